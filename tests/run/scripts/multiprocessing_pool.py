"""Pools of processes and of threads; argument: the start method."""

import multiprocessing
import multiprocessing.pool
import os
import sys
import threading
import time

import parts
from tour import attempt, refuse, run, section, show

state = []


def square(n):
    return n * n


def fail(n=0):
    raise LookupError(f"task {n}")


def fail_at_2(n):
    if n == 2:
        raise LookupError("task 2")
    return n


def set_state(*values):
    state.extend(values)


def get_state(_n=None):
    return list(state)


def collect(*args, **kwds):
    return args, kwds


def about_me():
    me = multiprocessing.current_process()
    parent = multiprocessing.parent_process()
    return (
        me.name,
        me.daemon,
        type(me).__name__,
        parent.name,
        parent.pid == os.getppid() or METHOD == "forkserver",
        len(me.authkey),
        threading.current_thread() is threading.main_thread(),
    )


def a_lambda():
    return lambda: 1


def pid(_n=None):
    return os.getpid()


def until(name):
    """Wait for a file; the directory is this run's own."""
    deadline = time.monotonic() + 60
    while not os.path.exists(name) and time.monotonic() < deadline:
        time.sleep(0.001)


def nested():
    multiprocessing.Pool(1)


class Point:
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __repr__(self):
        return f"Point({self.x}, {self.y})"

    def swapped(self):
        return Point(self.y, self.x)


METHOD = sys.argv[1]


@section()
def first_worker():
    with multiprocessing.Pool(1) as pool:
        show("worker", pool.apply(about_me))
        show("again", pool.apply(about_me))
        refuse("children of a daemon", pool.apply, nested)
    show("children", multiprocessing.active_children())


@section("Pool", "AsyncResult")
def process_pool():
    with multiprocessing.Pool(
        processes=2, initializer=set_state, initargs=(1, "two")
    ) as pool:
        show("pool", type(pool).__name__, isinstance(pool, multiprocessing.pool.Pool))
        show("state", pool.apply(get_state))
        walk(pool)
        children = multiprocessing.active_children()
        show("names", [c.name.rpartition("-")[0] for c in children])
        show("pids", os.getpid() not in pool.map(pid, range(5)))
        show("objects", pool.apply(Point(1, 2).swapped), pool.starmap(Point, [(1, 2)]))
        unpicklable(pool)
    refuse("apply", pool.apply, square, (1,))


def unpicklable(pool):
    try:
        pool.apply(a_lambda)
    except multiprocessing.pool.MaybeEncodingError as error:
        # The reason is worded differently from version to version.
        message, _, reason = str(error).partition(" Reason: ")
        show("what cannot be pickled", message, "a_lambda" in reason)


def walk(pool):
    """Use every method that runs tasks."""
    show("apply", pool.apply(square, (3,)), pool.apply(func=collect))
    show("apply", pool.apply(collect, args=[1, 2], kwds={"key": 3}))
    show("map", pool.map(square, range(10)), pool.map(square, [], chunksize=3))
    show("map", pool.map(func=square, iterable=iter(range(5)), chunksize=2))
    show("starmap", pool.starmap(pow, [(2, 3), (3, 2)], chunksize=1))
    show("imap", list(pool.imap(square, range(5), chunksize=2)))
    show("imap", list(pool.imap(square, iter(range(5)))))
    unordered = pool.imap_unordered(square, range(5), chunksize=2)
    show("imap_unordered", sorted(unordered))
    results = pool.imap(square, [1, 2])
    show("iterator", iter(results) is results, type(results).__name__)
    show("next", results.next(), results.next(timeout=20))
    refuse("next", results.next)
    refuse("next", next, results)
    asked = f"asked {type(pool).__name__}"
    slow = pool.imap(until, [asked])
    refuse("next in time", slow.next, timeout=0.01)
    open(asked, "x").close()
    show("next", slow.next())
    os.remove(asked)
    refuse("chunksize", pool.imap, square, [1], 0)
    refuse("chunksize", pool.imap_unordered, square, [1], 0)
    failing = pool.imap(fail_at_2, range(4))
    show("before", next(failing), next(failing))
    refuse("error", next, failing)
    show("after", next(failing), list(failing))

    results, errors = [], []
    async_result = pool.apply_async(
        square, (4,), {}, callback=results.append, error_callback=errors.append
    )
    show("get", async_result.get(), async_result.get(timeout=1), results, errors)
    show("state", async_result.ready(), async_result.successful())
    show("wait", async_result.wait(), async_result.wait(timeout=1))
    async_result = pool.apply_async(
        collect,
        args=(1,),
        kwds={"key": 2},
        callback=results.append,
        error_callback=errors.append,
    )
    show("get", async_result.get())
    failed = pool.apply_async(fail, (7,), {}, results.append, errors.append)
    refuse("get", failed.get)
    show("failed", failed.ready(), failed.successful(), len(results), errors)
    try:
        failed.get()
    except LookupError as error:
        cause = error.__cause__
        show("cause", type(cause).__name__)
        if cause is not None:
            lines = str(cause).strip().strip('"').strip().splitlines()
            show("lines", lines[0], lines[-1], lines[-2].strip())
    mapped = pool.map_async(
        square, range(3), chunksize=1, callback=results.append, error_callback=None
    )
    show("map_async", mapped.get(20), results[-1], type(mapped).__name__)
    mapped = pool.starmap_async(
        pow, [(2, 3)], chunksize=1, callback=results.append, error_callback=None
    )
    show("starmap_async", mapped.get(20), results[-1], isinstance(mapped, AsyncResult))
    mapped = pool.map_async(fail, [1], error_callback=errors.append)
    refuse("map_async", mapped.get)
    show("errors", errors[-1], mapped.successful())
    refuse("map", pool.map, fail_at_2, range(4))
    refuse("starmap", pool.starmap, fail, [(5,)])
    slow = pool.apply_async(until, (asked,))
    show("not yet", slow.ready(), slow.wait(0.01), slow.wait(timeout=0))
    attempt("successful", slow.successful)
    refuse("get in time", slow.get, timeout=0.01)
    open(asked, "x").close()
    show("get", slow.get(20), type(slow).__name__)
    os.remove(asked)
    show("empty", pool.map_async(square, []).get(), list(pool.imap(square, [])))
    attempt("no iterable", pool.map, square, 3)
    show("TimeoutError", multiprocessing.TimeoutError.__mro__[1].__name__)


AsyncResult = multiprocessing.pool.AsyncResult


@section("Pool")
def ends():
    pool = multiprocessing.Pool(1)
    refuse("join", pool.join)
    result = pool.map_async(square, range(100))
    show("close", pool.close(), pool.close())
    refuse("apply", pool.apply, square, (1,))
    refuse("map_async", pool.map_async, square, [1])
    refuse("imap", pool.imap, square, [1])
    show("join", pool.join(), pool.join(), sum(result.get()))
    pool = multiprocessing.Pool(1)
    pool.apply_async(time.sleep, (60,))
    show("terminate", pool.terminate(), pool.terminate())
    show("join", pool.join())
    refuse("imap", pool.imap, square, [1])
    refuse("enter", pool.__enter__)
    show("children", multiprocessing.active_children())


@section("Pool")
def worker_lives():
    pool = multiprocessing.pool.Pool(
        processes=1,
        initializer=None,
        initargs=(),
        maxtasksperchild=2,
        context=multiprocessing.get_context(METHOD),
    )
    pids = [pool.apply(pid) for _ in range(4)]
    show("pids", pids[0] == pids[1], pids[1] == pids[2], pids[2] == pids[3])
    pool.close()
    pool.join()
    refuse("processes", multiprocessing.Pool, 0)
    refuse("processes", multiprocessing.Pool, processes=-1)
    attempt("initializer", multiprocessing.Pool, initializer=3)
    refuse("maxtasksperchild", multiprocessing.Pool, 1, maxtasksperchild=0)
    attempt("unknown argument", multiprocessing.Pool, bogus=1)
    refuse("pickling", lambda: multiprocessing.reducer.ForkingPickler.dumps(pool))
    context = multiprocessing.get_context(METHOD)
    with context.Pool(processes=1, maxtasksperchild=None) as pool:
        show("context", pool.apply(square, (5,)))


@section("ThreadPool", "Pool")
def thread_pool():
    with multiprocessing.pool.ThreadPool(
        processes=2, initializer=set_state, initargs=("thread",)
    ) as pool:
        show("pool", type(pool).__name__, isinstance(pool, multiprocessing.pool.Pool))
        walk(pool)
        show("same process", set(pool.map(pid, range(5))) == {os.getpid()})
        show("lambda", pool.map(lambda n: -n, [1, 2]), pool.apply(a_lambda)())
    show("state", state)
    refuse("apply", pool.apply, square, (1,))
    pool = multiprocessing.pool.ThreadPool(1)
    refuse("join", pool.join)
    show("close", pool.close(), pool.join())
    pool = multiprocessing.pool.ThreadPool(1)
    show("terminate", pool.terminate(), pool.join())
    refuse("processes", multiprocessing.pool.ThreadPool, 0)
    show("Process", callable(pool.Process))


@section("IMapIterator")
def iterators():
    with multiprocessing.pool.ThreadPool(1) as pool:
        iterator = pool.imap(square, [2])
        show("next", iterator.next(timeout=None), iterator.__next__ is not None)
        show("names", type(pool.imap_unordered(square, [1])).__name__)


if __name__ == "__main__":
    multiprocessing.set_start_method(METHOD)
    with multiprocessing.pool.ThreadPool(1) as threads:
        iterator_type = type(threads.imap(abs, [1]))
    run(
        [multiprocessing.pool],
        classes={"AsyncResult": AsyncResult, "IMapIterator": iterator_type},
        functions=parts.names("pool"),
    )
