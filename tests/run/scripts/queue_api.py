"""Everything that the documentation of `queue` lists."""

import queue
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from tour import attempt, refuse, run, section, show

# The documented names of 3.13 are tried from there on.
HAS_SHUTDOWN = sys.version_info >= (3, 13)


def start(function, *args):
    thread = threading.Thread(target=function, args=args)
    thread.start()
    return thread


@section()
def exceptions():
    show("Empty", queue.Empty.__mro__[1:], queue.Empty.__name__)
    show("Full", queue.Full.__mro__[1:], queue.Full.__name__)
    if HAS_SHUTDOWN:
        show("ShutDown", queue.ShutDown.__mro__[1:], queue.ShutDown.__name__)
    show("raised", attempt("Empty", fail, queue.Empty))


def fail(error):
    raise error


def walk(cls, items):
    """Use every method of one of the three classes that have them all."""
    q = cls(maxsize=2)
    show("new", q.maxsize, q.qsize(), q.empty(), q.full())
    refuse("get", q.get, block=False)
    refuse("get_nowait", q.get_nowait)
    refuse("get in time", q.get, timeout=0.01)
    refuse("get in time", q.get, True, 0)
    refuse("negative timeout", q.get, timeout=-1)
    refuse("not blocking ignores the timeout", q.get, False, -1)
    show("put", q.put(items[0]), q.put_nowait(items[1]))
    show("full", q.qsize(), q.empty(), q.full())
    refuse("put", q.put, items[2], block=False)
    refuse("put_nowait", q.put_nowait, items[2])
    refuse("put in time", q.put, items[2], timeout=0.01)
    refuse("negative timeout", q.put, items[2], timeout=-1)
    refuse("not blocking ignores the timeout", q.put, items[2], False, -1)
    show("get", q.get(), q.qsize(), q.empty(), q.full())
    show("put", q.put(items[2], block=True, timeout=5))
    show("get", q.get(block=True, timeout=5), q.get_nowait())
    show("task_done", [q.task_done() for _ in range(3)])
    refuse("task_done", q.task_done)
    show("join", q.join())
    done = []
    worker = start(work, q, done)
    for item in items:
        q.put(item)
    show("join", q.join(), len(done))
    q.put(None if cls is not queue.PriorityQueue else (99, None))
    worker.join()
    show("sorted", sorted(done, key=repr) == sorted(items, key=repr))
    unbounded = cls()
    for item in items:
        unbounded.put(item)
    show("order", [unbounded.get() for _ in items], unbounded.maxsize)
    show("bounds", cls(0).full(), cls(-1).full(), cls(-1).maxsize)
    attempt("unknown argument", cls, bogus=1)
    attempt("no item", q.put)
    show("generic", cls[int] is not None)
    waits = cls(1)
    getter = start(lambda: show("got", waits.get(), waits.get()))
    waits.put(items[0])
    waits.put(items[1])
    getter.join()


def work(q, done):
    while True:
        item = q.get()
        if item is None or item == (99, None):
            q.task_done()
            return
        done.append(item)
        q.task_done()


def walk_shutdown(cls):
    """Use what came with 3.13."""
    q = cls()
    for n in range(3):
        q.put(n)
    show("shutdown", q.shutdown(), q.shutdown())
    refuse("put", q.put, 1)
    refuse("put_nowait", q.put_nowait, 1)
    show("left", sorted([q.get(), q.get_nowait(), q.get()]), q.qsize())
    refuse("get", q.get)
    refuse("get_nowait", q.get_nowait)
    refuse("get in time", q.get, timeout=0.01)
    show("done", [q.task_done() for _ in range(3)], q.join())
    q = cls()
    q.put(1)
    q.put(2)
    show("at once", q.shutdown(immediate=True), q.qsize(), q.empty())
    refuse("get", q.get)
    show("join", q.join())
    refuse("task_done", q.task_done)
    q = cls(1)
    q.put(0)
    outcomes = []
    waits = threading.Event()

    def put():
        waits.set()
        try:
            q.put(1)
        except queue.ShutDown as error:
            outcomes.append(type(error).__name__)

    thread = start(put)
    waits.wait()
    time.sleep(0.01)
    q.shutdown(immediate=False)
    thread.join()
    show("a waiting put", outcomes)
    empty = cls()

    def get():
        try:
            empty.get()
        except queue.ShutDown as error:
            outcomes.append(type(error).__name__)

    thread = start(get)
    empty.shutdown()
    thread.join()
    show("a waiting get", outcomes)


@section("Queue")
def fifo():
    walk(queue.Queue, [3, "a", None.__class__])
    if HAS_SHUTDOWN:
        walk_shutdown(queue.Queue)


@section("LifoQueue")
def lifo():
    walk(queue.LifoQueue, [3, "a", (1, 2)])
    show("is a Queue", issubclass(queue.LifoQueue, queue.Queue))
    if HAS_SHUTDOWN:
        walk_shutdown(queue.LifoQueue)


@dataclass(order=True)
class Prioritized:
    """The recipe of the documentation."""

    priority: int
    item: Any = field(compare=False)


@section("PriorityQueue")
def priority():
    walk(queue.PriorityQueue, [(3, "c"), (1, "a"), (2, "b")])
    show("is a Queue", issubclass(queue.PriorityQueue, queue.Queue))
    q = queue.PriorityQueue()
    for n in (5, 1, 4, 1, 3):
        q.put(Prioritized(n, {"item": n}))
    show("order", [q.get().item["item"] for _ in range(5)])
    q.put(1)
    refuse("what cannot be compared", q.put, "a")
    if HAS_SHUTDOWN:
        walk_shutdown(queue.PriorityQueue)


@section("SimpleQueue")
def simple():
    q = queue.SimpleQueue()
    show("new", q.qsize(), q.empty(), type(q).__name__)
    refuse("get", q.get, block=False)
    refuse("get_nowait", q.get_nowait)
    refuse("get in time", q.get, timeout=0.01)
    refuse("get in time", q.get, True, 0)
    refuse("negative timeout", q.get, timeout=-1)
    show("put", q.put(1), q.put(2, block=False), q.put(3, True, timeout=-5))
    show("put_nowait", q.put_nowait(4), q.qsize(), q.empty())
    show("get", q.get(), q.get(True), q.get(block=True, timeout=5), q.get_nowait())
    thread = start(lambda: show("got", q.get()))
    q.put("later")
    thread.join()
    show("no tasks", hasattr(q, "task_done"), hasattr(q, "join"))
    attempt("maxsize", queue.SimpleQueue, 3)
    show("not a Queue", issubclass(queue.SimpleQueue, queue.Queue))
    attempt("timeout of no number", q.get, timeout="1")


@section()
def example_of_the_documentation():
    q = queue.Queue()
    done = []

    def worker():
        while True:
            item = q.get()
            done.append(item)
            q.task_done()

    threading.Thread(target=worker, daemon=True).start()
    for item in range(30):
        q.put(item)
    q.join()
    show("done", done == list(range(30)))


if __name__ == "__main__":
    run([queue])
