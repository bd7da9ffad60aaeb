"""`concurrent.futures` but for processes: futures, threads, wait, as_completed."""

import concurrent.futures
import concurrent.futures.thread
import contextlib
import io
import logging
import sys
import threading
from concurrent.futures import Future

from tour import attempt, refuse, run, section, show


def fail(error):
    raise error


class Gate:
    """A task that says that it runs, and waits."""

    def __init__(self):
        self.runs = threading.Event()
        self.go = threading.Event()

    def __call__(self, result=None):
        self.runs.set()
        self.go.wait(20)
        return result


@section("Future")
def future():
    f = Future()
    show("new", f.done(), f.running(), f.cancelled(), f)
    refuse("result", f.result, timeout=0.01)
    refuse("exception", f.exception, timeout=0.01)
    refuse("result", f.result, 0)
    calls = []
    show("callback", f.add_done_callback(calls.append))
    show("running", f.set_running_or_notify_cancel(), f.running(), f)
    show("cancel", f.cancel(), f.cancelled())
    show("set_result", f.set_result(12), f.done(), f.running(), f)
    show("result", f.result(), f.result(timeout=1), f.exception(), calls == [f])
    show("late callback", f.add_done_callback(fn=calls.append), calls == [f, f])
    show("cancel", f.cancel())
    refuse("set_result", f.set_result, 13)
    refuse("set_exception", f.set_exception, ValueError())
    failed = Future()
    show("set_exception", failed.set_exception(LookupError("why")), failed)
    refuse("result", failed.result)
    show("exception", failed.exception(), failed.exception(timeout=1))
    cancelled = Future()
    cancelled.add_done_callback(calls.append)
    show("cancel", cancelled.cancel(), cancelled.cancel(), cancelled)
    show("state", cancelled.cancelled(), cancelled.done(), calls[-1] is cancelled)
    refuse("result", cancelled.result)
    refuse("exception", cancelled.exception)
    show("notify", cancelled.set_running_or_notify_cancel(), cancelled)
    attempt("set_result", cancelled.set_result, 1)
    order = []
    ordered = Future()
    for n in range(3):
        ordered.add_done_callback(lambda _f, n=n: order.append(n))
    ordered.set_result(None)
    show("order of callbacks", order)
    show("generic", Future[int] is not None)


@section("Future")
def wrong_state():
    f = Future()
    f.set_running_or_notify_cancel()
    stderr = io.StringIO()
    handler = logging.StreamHandler(stderr)
    logging.getLogger("concurrent.futures").addHandler(handler)
    refuse("running twice", f.set_running_or_notify_cancel)
    f.add_done_callback(lambda _f: fail(LookupError("in a callback")))
    f.add_done_callback(lambda _f: show("next callback"))
    f.set_result(1)
    f.add_done_callback(lambda _f: fail(LookupError("in a late callback")))
    logging.getLogger("concurrent.futures").removeHandler(handler)
    logged = stderr.getvalue().splitlines()
    show("logged", [line for line in logged if "a" in line and line[:1] != " "])


@section("Executor")
def abstract():
    executor = concurrent.futures.Executor()
    attempt("submit", executor.submit, fn=1)
    show("shutdown", executor.shutdown(wait=True, cancel_futures=True))
    with concurrent.futures.Executor() as entered:
        show("with", type(entered).__name__)

    class Inline(concurrent.futures.Executor):
        def submit(self, fn, /, *args, **kwds):
            f = Future()
            f.set_result(fn(*args, **kwds))
            return f

    with Inline() as inline:
        show("map", list(inline.map(pow, [1, 2], [3, 4], timeout=5, chunksize=1)))


@section("ThreadPoolExecutor")
def threads():
    Executor = concurrent.futures.ThreadPoolExecutor
    show("is an Executor", issubclass(Executor, concurrent.futures.Executor))
    names, started = set(), []
    with Executor(
        max_workers=2,
        thread_name_prefix="some",
        initializer=started.append,
        initargs=("started",),
    ) as executor:
        f = executor.submit(pow, 2, 10)
        show("submit", f.result(), type(f).__name__, isinstance(f, Future))
        show("keywords", executor.submit(dict, fn=1, self=2).result())
        gate = Gate()
        f = executor.submit(gate, "done")
        gate.runs.wait(20)
        show("running", f.running(), f.done(), f.cancel(), f)
        refuse("result", f.result, timeout=0.01)
        gate.go.set()
        show("result", f.result(timeout=20), f)
        f = executor.submit(fail, LookupError("why"))
        refuse("result", f.result)
        show("exception", f.exception(), f)
        show("map", list(executor.map(pow, [1, 2, 3], [2, 2, 2])))
        show("keywords", list(executor.map(abs, [-1], timeout=20, chunksize=5)))
        show("uneven", list(executor.map(max, [1, 2, 3], [2, 2])))
        results = executor.map(lambda n: 6 // n, [3, 2, 0, 1])
        show("iterator", type(results).__name__, next(results), next(results))
        refuse("next", next, results)
        refuse("next", next, results)
        for f in [executor.submit(threading.current_thread) for _ in range(9)]:
            names.add(f.result().name)
        show("names", names <= {"some_0", "some_1"}, set(started))
        show("max_workers", executor._max_workers)
    refuse("submit", executor.submit, abs, 1)
    refuse("map", executor.map, abs, [1])
    show("shutdown", executor.shutdown(), executor.shutdown(wait=False))
    refuse("max_workers", Executor, max_workers=0)
    refuse("max_workers", Executor, -1)
    refuse("initializer", Executor, initializer=3)
    attempt("unknown argument", Executor, bogus=1)
    attempt("no function", Executor(1).submit)


@section("ThreadPoolExecutor")
def shutdown():
    executor = concurrent.futures.ThreadPoolExecutor(1)
    gate = Gate()
    running = executor.submit(gate, "ran")
    gate.runs.wait(20)
    queued = [executor.submit(abs, n) for n in range(3)]
    show("cancel", queued[0].cancel(), queued[0].cancelled(), queued[0].done())
    show("shutdown", executor.shutdown(wait=False, cancel_futures=True))
    show("cancelled", [f.cancelled() for f in queued])
    refuse("result", queued[1].result)
    gate.go.set()
    show("running", running.result())
    executor.shutdown(wait=True)
    executor = concurrent.futures.ThreadPoolExecutor(1)
    gate = Gate()
    running = executor.submit(gate)
    queued = executor.submit(abs, -5)
    executor.shutdown(wait=False)
    refuse("submit", executor.submit, abs, 1)
    gate.go.set()
    show("queued tasks run", queued.result())
    with contextlib.suppress(LookupError), concurrent.futures.ThreadPoolExecutor() as e:
        f = e.submit(abs, -3)
        raise LookupError
    show("after an error", f.result())
    executor = concurrent.futures.ThreadPoolExecutor(1)
    gate = Gate()
    executor.submit(gate)
    results = executor.map(abs, [1], timeout=0.01)
    refuse("map in time", next, results)
    gate.go.set()
    executor.shutdown()


@section()
def broken_thread_pool():
    logging.getLogger("concurrent.futures").addHandler(logging.NullHandler())
    logging.getLogger("concurrent.futures").propagate = False
    broken = concurrent.futures.thread.BrokenThreadPool
    show("class", broken.__name__, broken.__mro__[1].__name__)
    show("base", concurrent.futures.BrokenExecutor.__mro__[1].__name__)
    executor = concurrent.futures.ThreadPoolExecutor(
        1, initializer=fail, initargs=(LookupError("initializer"),)
    )
    f = executor.submit(abs, 1)
    refuse("result", f.result)
    refuse("submit", executor.submit, abs, 1)
    executor.shutdown()
    logging.getLogger("concurrent.futures").propagate = True


@section()
def wait():
    show("constants", concurrent.futures.FIRST_COMPLETED)
    show("constants", concurrent.futures.FIRST_EXCEPTION)
    show("constants", concurrent.futures.ALL_COMPLETED)
    with concurrent.futures.ThreadPoolExecutor(3) as executor:
        gate = Gate()
        quick, slow = executor.submit(abs, -1), executor.submit(gate, 2)
        both = [quick, slow]
        result = concurrent.futures.wait(
            fs=both, return_when=concurrent.futures.FIRST_COMPLETED
        )
        show("first", type(result).__name__, result._fields)
        show("sets", result.done == {quick}, result.not_done == {slow})
        done, not_done = concurrent.futures.wait(both, timeout=0.01)
        show("in time", len(done), len(not_done), type(done).__name__)
        failing = executor.submit(fail, LookupError())
        done, not_done = concurrent.futures.wait(
            [slow, failing], return_when=concurrent.futures.FIRST_EXCEPTION
        )
        show("exception", done == {failing}, not_done == {slow})
        gate.go.set()
        done, not_done = concurrent.futures.wait(
            [quick, slow, quick], 20, concurrent.futures.ALL_COMPLETED
        )
        show("all", len(done), len(not_done))
        show("none", concurrent.futures.wait([]))
        refuse("return_when", concurrent.futures.wait, [Future()], 0, "SOMETIMES")


@section()
def as_completed():
    with concurrent.futures.ThreadPoolExecutor(3) as executor:
        gate = Gate()
        slow = executor.submit(gate, "slow")
        quick = executor.submit(abs, -1)
        results = concurrent.futures.as_completed(fs=[slow, quick, slow])
        show("iterator", type(results).__name__, next(results).result())
        late = concurrent.futures.as_completed([slow], timeout=0.01)
        refuse("in time", next, late)
        gate.go.set()
        show("rest", [f.result() for f in results])
        show("none", list(concurrent.futures.as_completed([])))
        futures = {executor.submit(pow, n, 2): n for n in range(10)}
        show(
            "all",
            sorted(
                (futures[f], f.result())
                for f in concurrent.futures.as_completed(futures)
            ),
        )


@section()
def exceptions():
    show("CancelledError", concurrent.futures.CancelledError.__mro__[1].__name__)
    show("TimeoutError", concurrent.futures.TimeoutError is TimeoutError)
    show("InvalidStateError", concurrent.futures.InvalidStateError.__name__)
    show("BrokenExecutor", concurrent.futures.BrokenExecutor.__name__)
    everything = {}
    exec("from concurrent.futures import *", everything)
    missing = [n for n in concurrent.futures.__all__ if n not in everything]
    show("star", missing, everything["Future"] is Future)
    show("listed", "ProcessPoolExecutor" in concurrent.futures.__all__)
    show("lazy", concurrent.futures.ProcessPoolExecutor.__name__)
    show("version", sys.version_info >= (3, 11))


if __name__ == "__main__":
    # Processes have a script of their own.
    from concurrent.futures import ProcessPoolExecutor

    run(
        [concurrent.futures],
        undocumented={
            f"ProcessPoolExecutor({p}=)"
            for p in ("mp_context", "max_tasks_per_child")
        }
        | {"a section about ProcessPoolExecutor", ProcessPoolExecutor.__name__},
    )
