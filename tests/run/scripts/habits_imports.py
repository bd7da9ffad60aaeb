"""Every spelling of an import."""

import concurrent
import concurrent.futures
import concurrent.futures as cf
import concurrent.futures.thread as cft
import importlib
import importlib.util
import multiprocessing as mp
import multiprocessing.connection
import multiprocessing.dummy as mpd
import multiprocessing.pool
import multiprocessing.queues as mpq
import queue as q
import sys
import threading as t
from concurrent import futures
from concurrent.futures import Future, thread, wait
from concurrent.futures.thread import ThreadPoolExecutor as Executor
from multiprocessing import pool as pool_module
from multiprocessing.dummy import Pool as ThreadPool
from multiprocessing.pool import Pool
from multiprocessing.pool import ThreadPool as RealThreadPool
from queue import Empty, Queue
from threading import *  # noqa: F403
from threading import Lock, Thread, current_thread

import package
import package.threading
from package import relative
from package.futures import inner
from package.queue import Queue as TheirQueue
from tour import attempt, refuse, run, section, show


@section()
def spellings():
    import threading

    show("as", t is threading, t.Thread is Thread, q.Queue is Queue)
    show("current_thread", current_thread is t.current_thread)
    show("star", Event is t.Event, Barrier is t.Barrier)  # noqa: F405
    show("futures", futures is concurrent.futures, cf is futures)
    show("attribute", concurrent.futures.Future is Future, thread is cft)
    show("from", Executor is cf.ThreadPoolExecutor, wait is futures.wait)
    show("pool", pool_module is multiprocessing.pool, mp is multiprocessing)
    show("Pool", Pool is mp.pool.Pool, RealThreadPool is mp.pool.ThreadPool)
    show("queues", mpq is multiprocessing.queues, mpd is mp.dummy)
    show("connection", mp.connection is multiprocessing.connection)
    show("dummy", ThreadPool is mpd.Pool, mpd.Queue is q.Queue)
    show("Empty", Empty is q.Empty, Lock is t.Lock)


@section()
def dynamic():
    for name, given in (
        ("threading", t),
        ("queue", q),
        ("multiprocessing", mp),
        ("multiprocessing.pool", pool_module),
        ("multiprocessing.dummy", mpd),
        ("concurrent.futures", cf),
        ("concurrent.futures.thread", cft),
    ):
        module = importlib.import_module(name)
        show(name, module is given, name in sys.modules)
        root = __import__(name)
        show("root", root.__name__.rpartition(".")[2] == name.partition(".")[0])
        show("leaf", __import__(name, fromlist=["x"]) is given)
    show("relative", importlib.import_module(".pool", "multiprocessing") is mp.pool)
    show("relative", importlib.import_module(".queue", "package").Queue is TheirQueue)
    module = __import__("queue", globals(), locals(), ["Queue"], 0)
    show("arguments", module.Queue is Queue)
    spec = importlib.util.find_spec("threading")
    show("spec", spec is not None, spec.name)
    show("no spec", importlib.util.find_spec("threading_but_not_there"))
    scope = {}
    exec("import queue\nfrom threading import Thread as T", scope)
    show("exec", scope["queue"] is q, scope["T"] is Thread)
    show("eval", eval("__import__('queue').Queue") is Queue)
    attempt("no such name", exec, "from queue import Nothing")
    refuse("no such module", importlib.import_module, "multiprocessing.nothing")
    refuse("no package", importlib.import_module, "queue.nothing")
    refuse("no attribute", lambda: t.nothing)
    refuse("no attribute", lambda: mp.nothing)
    refuse("no attribute", lambda: cf.nothing)


@section()
def lazy():
    def in_a_function():
        from multiprocessing.pool import ThreadPool
        from queue import Queue as Inner

        with ThreadPool(1) as pool:
            return Inner is Queue, pool.map(abs, [-1])

    class InAClass:
        import threading
        from queue import LifoQueue

    try:
        import nothing_of_this_name as queue_module
    except ImportError:
        import queue as queue_module
    show("function", in_a_function())
    show("class", InAClass.LifoQueue is q.LifoQueue, InAClass.threading is t)
    show("fallback", queue_module is q)


@section()
def packages():
    show("relative", relative.names())
    show("their queue", TheirQueue.__module__, TheirQueue().put("x"))
    show("their threading", package.threading.WHAT, package.threading.real())
    show("their futures", inner.NAME, inner.real())
    show("same objects", relative.thread_class() is Thread)


@section()
def reloaded():
    again = importlib.reload(package.threading)
    show("own", again is package.threading)
    del sys.modules["package.queue"]
    show("anew", importlib.import_module("package.queue").Queue is TheirQueue)
    attempt("cached", lambda: sys.modules["queue"].Empty is Empty)
    attempt("cached", lambda: sys.modules["threading"].get_ident() == t.get_ident())


if __name__ == "__main__":
    run([])
