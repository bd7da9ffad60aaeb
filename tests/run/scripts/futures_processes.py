"""`ProcessPoolExecutor`; argument: the start method."""

import concurrent.futures
import concurrent.futures.process
import multiprocessing
import os
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from tour import attempt, refuse, run, section, show

METHOD = sys.argv[1]
state = []


def square(n):
    return n * n


def divide(n):
    return 6 // n


def fail(error):
    raise error


def collect(*args, **kwds):
    return args, kwds


def keep(value):
    state.append(value)


def get_state():
    return state


def about_me():
    me = multiprocessing.current_process()
    parent = multiprocessing.parent_process()
    in_main_thread = threading.current_thread() is threading.main_thread()
    return me.name, me.daemon, type(me).__name__, parent.name, in_main_thread


def pid(_n=None):
    return os.getpid()


def wait_for_the_gate():
    return state[-1].wait(20)


def until(name):
    """Wait for a file; the directory is this run's own."""
    deadline = time.monotonic() + 60
    while not os.path.exists(name) and time.monotonic() < deadline:
        time.sleep(0.001)


def die():
    os._exit(7)


def a_lambda():
    return lambda: 1


def have_children():
    with multiprocessing.Pool(1) as pool:
        return pool.map(square, [1, 2])


class Custom(Exception):
    def __init__(self, a, b=0):
        super().__init__(a, b)
        self.b = b


@section()
def first_worker():
    with ProcessPoolExecutor(1) as executor:
        name, *rest = executor.submit(about_me).result()
        show("worker", name, *rest)
        show("children of a worker", executor.submit(have_children).result())
    show("children", multiprocessing.active_children())


@section("ProcessPoolExecutor")
def tasks():
    with ProcessPoolExecutor(
        max_workers=2,
        mp_context=multiprocessing.get_context(METHOD),
        initializer=keep,
        initargs=("initialised",),
    ) as executor:
        show("executor", isinstance(executor, concurrent.futures.Executor))
        show("max_workers", executor._max_workers)
        f = executor.submit(square, 3)
        show("submit", f.result(), type(f).__name__, f)
        show("type", isinstance(f, concurrent.futures.Future))
        show("keywords", executor.submit(collect, 1, fn=2, self=3).result())
        show("state", executor.submit(get_state).result())
        calls = []
        f.add_done_callback(lambda f: calls.append(f.result()))
        f = executor.submit(square, 4)
        f.add_done_callback(lambda f: calls.append(f.result()))
        concurrent.futures.wait([f])
        show("result", f.result(timeout=20), f.exception(), f.done(), f.running())
        f = executor.submit(fail, LookupError("why"))
        refuse("result", f.result)
        show("exception", f.exception(), f)
        cause = f.exception().__cause__
        show("cause", type(cause).__name__)
        lines = str(cause).strip().strip('"').strip().splitlines()
        show("lines", lines[0], lines[-1], lines[-2].strip())
        f = executor.submit(fail, Custom("a", b=2))
        show("attributes", f.exception().b, f.exception())
        show("map", list(executor.map(square, range(10))))
        show("map", list(executor.map(square, range(10), timeout=20, chunksize=3)))
        show("map", list(executor.map(pow, [1, 2, 3], [2, 2, 2])))
        show("uneven", list(executor.map(pow, [1, 2, 3], [2, 2])))
        results = executor.map(divide, [3, 2, 0, 1])
        show("iterator", type(results).__name__, next(results), next(results))
        refuse("next", next, results)
        refuse("next", next, results)
        refuse("chunksize", executor.map, square, [1], chunksize=0)
        slow = executor.submit(until, "asked")
        refuse("result in time", slow.result, timeout=0.01)
        refuse("map in time", list, executor.map(until, ["asked"], timeout=0.01))
        open("asked", "x").close()
        futures = {executor.submit(square, n): n for n in range(8)}
        done = concurrent.futures.as_completed(futures)
        show("as_completed", sorted((futures[f], f.result()) for f in done))
        show("calls", calls)
        f = executor.submit(a_lambda)
        error = f.exception()
        show("what cannot be pickled", "a_lambda" in str(error))
        show("pids", os.getpid() not in set(executor.map(pid, range(5))))
    refuse("submit", executor.submit, square, 1)
    refuse("map", executor.map, square, [1])
    show("shutdown", executor.shutdown(), executor.shutdown(wait=False))


@section("ProcessPoolExecutor")
def arguments():
    refuse("max_workers", ProcessPoolExecutor, max_workers=0)
    refuse("max_workers", ProcessPoolExecutor, -1)
    refuse("initializer", ProcessPoolExecutor, initializer=3)
    refuse("tasks", ProcessPoolExecutor, max_tasks_per_child=0)
    refuse("tasks", ProcessPoolExecutor, max_tasks_per_child="1")
    attempt("unknown argument", ProcessPoolExecutor, bogus=1)
    context = multiprocessing.get_context("fork")
    refuse(
        "tasks under fork",
        ProcessPoolExecutor,
        mp_context=context,
        max_tasks_per_child=1,
    )
    if METHOD != "fork":
        with ProcessPoolExecutor(1, max_tasks_per_child=2) as executor:
            pids = [executor.submit(pid).result() for _ in range(3)]
            show("pids", pids[0] == pids[1], pids[1] == pids[2])


@section("ProcessPoolExecutor")
def shutdown():
    gate = multiprocessing.Event()
    executor = ProcessPoolExecutor(1, initializer=keep, initargs=(gate,))
    running = executor.submit(wait_for_the_gate)
    while not running.running() and not running.done():
        time.sleep(0.001)
    show("cancel", running.cancel())
    queued = [executor.submit(square, n) for n in range(10)]
    show("cancel", queued[-1].cancel(), queued[-1].cancelled(), queued[-1])
    ends = threading.Thread(
        target=lambda: executor.shutdown(wait=True, cancel_futures=True)
    )
    ends.start()
    while not queued[-2].cancelled():
        time.sleep(0.001)
    gate.set()
    ends.join()
    show("shutdown", executor.shutdown(wait=True), running.result())
    # Some have been on their way already.
    show("done", running.done(), all(f.done() for f in queued), queued[-2].cancelled())
    refuse("result", queued[-2].result)
    executor = ProcessPoolExecutor(1)
    f = executor.submit(square, 9)
    show("shutdown", executor.shutdown(wait=False), f.result())
    show("unused", ProcessPoolExecutor(1).shutdown())


@section("ProcessPoolExecutor")
def broken():
    show("class", BrokenProcessPool.__name__, BrokenProcessPool.__mro__[1].__name__)
    executor = ProcessPoolExecutor(1)
    f = executor.submit(die)
    attempt("result", f.result)
    attempt("submit", executor.submit, square, 1)
    show("type", isinstance(f.exception(), concurrent.futures.BrokenExecutor))
    executor.shutdown()


if __name__ == "__main__":
    multiprocessing.set_start_method(METHOD)
    run(
        [],
        classes={"ProcessPoolExecutor": ProcessPoolExecutor},
        functions={
            "BrokenProcessPool": BrokenProcessPool,
            "ProcessPoolExecutor": ProcessPoolExecutor,
        },
    )
