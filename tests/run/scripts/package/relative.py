import threading as real

from . import queue, threading
from .threading import WHAT


def names():
    return queue.Queue.__module__, threading.WHAT, WHAT, real.main_thread().name


def thread_class():
    return real.Thread
