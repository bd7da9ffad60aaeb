"""The queues of `multiprocessing`; argument: the start method."""

import multiprocessing
import multiprocessing.queues
import pickle
import queue
import sys
import time

import parts
from tour import attempt, refuse, run, section, show

METHOD = sys.argv[1]


def echo(inbox, outbox):
    for item in iter(inbox.get, None):
        outbox.put(("echo", item))
        if hasattr(inbox, "task_done"):
            inbox.task_done()
    if hasattr(inbox, "task_done"):
        inbox.task_done()


def start(*args):
    process = multiprocessing.Process(target=echo, args=args)
    process.start()
    return process


def eventually(question):
    deadline = time.monotonic() + 20
    while not question() and time.monotonic() < deadline:
        time.sleep(0.001)
    return question()


def walk(q):
    show("new", q.empty(), q.full(), q.qsize())
    refuse("get", q.get, block=False)
    refuse("get_nowait", q.get_nowait)
    refuse("get in time", q.get, timeout=0.01)
    refuse("get in time", q.get, True, 0)
    show("put", q.put(1), q.put("two", block=True, timeout=30))
    show("full", q.full(), q.qsize())
    refuse("put", q.put, 3, block=False)
    refuse("put_nowait", q.put_nowait, 3)
    refuse("put in time", q.put, 3, timeout=0.01)
    refuse("put in time", q.put, 3, True, 0.01)
    show("get", q.get(), q.get(block=True, timeout=30), q.empty())
    show("put_nowait", q.put_nowait([3]), eventually(lambda: not q.empty()))
    show("get", q.get(timeout=5))


def close(q):
    show("close", q.close(), q.close(), q.join_thread())
    refuse("put", q.put, 1)
    refuse("get", q.get)


@section("Queue")
def fifo():
    q = multiprocessing.Queue(maxsize=2)
    show("type", type(q).__name__, isinstance(q, multiprocessing.queues.Queue))
    walk(q)
    refuse("pickling", pickle.dumps, q)
    outbox = multiprocessing.Queue()
    process = start(q, outbox)
    for item in (1, "a", {"key": [None]}):
        q.put(item)
    q.put(None)
    show("echoes", [outbox.get() for _ in range(3)], process.join())
    refuse("join before close", q.join_thread)
    close(q)
    fresh = multiprocessing.Queue()
    show("cancel", fresh.cancel_join_thread())
    close(fresh)
    big = multiprocessing.Queue()
    big.put(bytes(1_000_000))
    show("big", len(big.get()))
    show("Empty", queue.Empty.__module__, queue.Full.__module__)
    attempt("maxsize", multiprocessing.Queue, "1")


@section("JoinableQueue")
def joinable():
    q = multiprocessing.JoinableQueue(maxsize=2)
    walk(q)
    show("task_done", [q.task_done() for _ in range(3)], q.join())
    refuse("task_done", q.task_done)
    outbox = multiprocessing.Queue()
    process = start(q, outbox)
    for item in (1, 2, 3, None):
        q.put(item)
    show("join", q.join(), [outbox.get() for _ in range(3)], process.join())
    show("is a Queue", isinstance(q, multiprocessing.queues.Queue))
    q.cancel_join_thread()
    close(q)


@section("SimpleQueue")
def simple():
    q = multiprocessing.SimpleQueue()
    show("new", q.empty(), type(q).__name__)
    show("put", q.put(1), q.put("two"), q.empty())
    show("get", q.get(), q.get(), q.empty())
    outbox = multiprocessing.SimpleQueue()
    process = start(q, outbox)
    q.put([1])
    q.put(None)
    show("echo", outbox.get(), process.join())
    refuse("pickling", pickle.dumps, q)
    show("close", q.close(), q.close())
    refuse("put", q.put, 1)
    refuse("get", q.get)
    refuse("empty", q.empty)


@section()
def of_a_context():
    context = multiprocessing.get_context(METHOD)
    for make in (context.Queue, context.JoinableQueue, context.SimpleQueue):
        q = make()
        q.put(1)
        show(make.__name__, type(q).__name__, q.get())
        q.close()


if __name__ == "__main__":
    multiprocessing.set_start_method(METHOD)
    run(
        [multiprocessing.queues],
        functions=parts.names("queues"),
    )
