from concurrent.futures import ThreadPoolExecutor

from .. import threading as theirs
from ..queue import Queue

NAME = theirs.WHAT, Queue.__module__


def real():
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(abs, -1).result()
