"""Everything that the documentation of PyPI's `threadpool` lists."""

import contextlib
import io
import queue
import threading
import time

import threadpool
from tour import attempt, refuse, run, section, show

# How soon an idle worker of the original sees that it was dismissed.
SOON = 0.01


def double(n, extra=0):
    return 2 * n + extra


def fail(n):
    raise LookupError(f"request {n}")


class Answers(list):
    def __bool__(self):
        return True  # else it counts as no callback while it is empty

    def __call__(self, request, result):
        self.append(result)


@section("ThreadPool")
def main_example():
    """Run the example of the documentation."""
    answers = Answers()
    pool = threadpool.ThreadPool(3)
    requests = threadpool.makeRequests(double, range(10), answers)
    for request in requests:
        pool.putRequest(request)
    show("pending", 0 < len(pool.workRequests) <= 10)
    show("wait", pool.wait(), sorted(answers), pool.workRequests)
    show("workers", len(pool.workers), type(pool.workers[0]).__name__)


@section("ThreadPool")
def pools():
    pool = threadpool.ThreadPool(
        num_workers=1, q_size=0, resq_size=0, poll_timeout=SOON
    )
    show("new", len(pool.workers), pool.dismissedWorkers, pool.workRequests)
    refuse("poll", pool.poll)
    refuse("poll", pool.poll, block=True)
    show("wait", pool.wait())
    show("createWorkers", pool.createWorkers(2, poll_timeout=SOON), len(pool.workers))
    answers = Answers()
    for n in range(4):
        request = threadpool.WorkRequest(double, [n], callback=answers)
        show("putRequest", pool.putRequest(request, block=True, timeout=5))
    while True:
        try:
            pool.poll()
            time.sleep(0.001)
        except threadpool.NoResultsPending:
            break
    show("answers", sorted(answers))
    show("dismissWorkers", pool.dismissWorkers(1, do_join=False), len(pool.workers))
    show("dismissed", len(pool.dismissedWorkers))
    show("join", pool.joinAllDismissedWorkers(), pool.dismissedWorkers)
    show("dismissWorkers", pool.dismissWorkers(5, do_join=True), pool.workers)
    show("dismissed", pool.dismissedWorkers)
    pool.putRequest(threadpool.WorkRequest(double, [9], callback=answers))
    refuse("nobody works", pool.wait)
    refuse("nobody works", pool.poll, True)
    show("poll", pool.poll(), len(pool.workRequests))
    pool.createWorkers(1, SOON)
    show("wait", pool.wait(), answers[-1])
    pool.dismissWorkers(1, True)
    attempt("no request", pool.putRequest, 3)
    attempt("unknown argument", threadpool.ThreadPool, 1, bogus=1)


@section("ThreadPool")
def bounds():
    pool = threadpool.ThreadPool(0, q_size=2, resq_size=0, poll_timeout=SOON)
    requests = threadpool.makeRequests(double, range(4))
    pool.putRequest(requests[0])
    pool.putRequest(requests[1], False)
    try:
        pool.putRequest(requests[2], block=False)
    except queue.Full as error:
        show("full", type(error).__name__)
    attempt("in time", pool.putRequest, requests[2], timeout=0.01)
    pool.createWorkers(1, SOON)
    show("put", pool.putRequest(requests[3], timeout=20), pool.wait())
    pool.dismissWorkers(1, True)


@section("WorkRequest")
def requests():
    r = threadpool.WorkRequest(
        double,
        args=[1],
        kwds={"extra": 2},
        requestID="an id",
        callback=None,
        exc_callback=None,
    )
    show("request", r.callable.__name__, r.args, r.kwds, r.exception)
    show("callbacks", r.callback, r.exc_callback)
    show("id", r.requestID == hash("an id"))
    r = threadpool.WorkRequest(double)
    show("default", r.args, r.kwds, r.requestID == id(r), r.callback)
    show("exc_callback", callable(r.exc_callback))
    show("str", str(threadpool.WorkRequest(double, [1], {"extra": 2}, requestID=7)))
    attempt("id", threadpool.WorkRequest, double, requestID=[])
    pool = threadpool.ThreadPool(1, poll_timeout=SOON)
    order = []
    for n in range(3):
        pool.putRequest(
            threadpool.WorkRequest(
                double,
                [n],
                {"extra": 1},
                requestID=n,
                callback=lambda r, result: order.append((r.requestID, result)),
            )
        )
    pool.wait()
    show("one worker keeps the order", order)
    pool.dismissWorkers(1, True)


@section("WorkRequest")
def errors():
    pool = threadpool.ThreadPool(1, poll_timeout=SOON)
    answers, failures = Answers(), []

    def failed(request, exc_info):
        failures.append((request.exception, exc_info[0].__name__, str(exc_info[1])))

    request = threadpool.WorkRequest(fail, [1], callback=answers, exc_callback=failed)
    pool.putRequest(request)
    show("wait", pool.wait(), failures, answers, request.exception)
    attempt("put again", pool.putRequest, request)
    pool.putRequest(
        threadpool.WorkRequest(fail, [2], callback=answers, exc_callback=None)
    )
    pool.wait()
    show("callback gets the error", len(answers), answers[0][0], answers[0][1])
    stderr = io.StringIO()
    with contextlib.redirect_stderr(stderr):
        pool.putRequest(threadpool.WorkRequest(fail, [3], callback=answers))
        pool.wait()
    lines = stderr.getvalue().splitlines()
    show("printed", lines[0], lines[-1], len(answers))

    pool.dismissWorkers(1, True)


@section()
def make_requests():
    calls = [((1,), {"extra": 1}), 3]
    requests = threadpool.makeRequests(
        callable_=double, args_list=calls, callback=None, exc_callback=None
    )
    show("args", [(r.args, r.kwds) for r in requests])
    show("requests", [type(r).__name__ for r in requests], requests[0].exc_callback)
    show("a list is one argument", threadpool.makeRequests(len, [[4]])[0].args)
    show("None", threadpool.makeRequests(double, [((5,), None)])[0].kwds)
    attempt("a short tuple", threadpool.makeRequests, double, [(1,)])
    show("none", threadpool.makeRequests(double, []))


@section("WorkerThread")
def workers():
    pool = threadpool.ThreadPool(1, 0, 0, SOON)
    w = threadpool.WorkerThread(
        pool._requests_queue, pool._results_queue, poll_timeout=SOON
    )
    show("worker", isinstance(w, threading.Thread), bool(w.daemon), w.is_alive())
    show("dismiss", w.dismiss(), w.dismiss(), w.join(), w.is_alive())
    pool.dismissWorkers(1, do_join=True)

    class Named(threadpool.WorkerThread):
        pass

    class Pool(threadpool.ThreadPool):
        def createWorkers(self, num_workers, poll_timeout=SOON):
            for n in range(num_workers):
                self.workers.append(
                    Named(
                        self._requests_queue,
                        self._results_queue,
                        poll_timeout=poll_timeout,
                        name=f"worker {n}",
                    )
                )

    pool = Pool(2, poll_timeout=SOON)
    names = Answers()
    for _ in range(5):
        pool.putRequest(
            threadpool.WorkRequest(lambda: threading.current_thread().name, None, None)
        )
        pool.putRequest(threadpool.WorkRequest(time.sleep, [0.001], callback=names))
    pool.wait()
    show("named", sorted(w.name for w in pool.workers), len(names))
    show("run", callable(Named.run))
    pool.dismissWorkers(2, do_join=True)


@section()
def exceptions():
    for error in (threadpool.NoResultsPending, threadpool.NoWorkersAvailable):
        show(error.__name__, error.__mro__[1].__name__)
    show("version", threadpool.__version__)
    everything = {}
    exec("from threadpool import *", everything)
    show("star", [n for n in threadpool.__all__ if n not in everything])


if __name__ == "__main__":
    run(
        [threadpool],
        undocumented={
            f"WorkerThread.{name}"
            for name in (
                *("getName", "isDaemon", "setDaemon", "setName"),
                *("ident", "native_id", "start", "join(timeout=)"),
            )
        },
    )
