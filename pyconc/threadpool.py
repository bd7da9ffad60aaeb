"""The `threadpool` package of PyPI, over the thread engine.

Mirrors `threadpool` 1.3.2.  Requests go in with ThreadPool.putRequest, worker
threads run them, and callbacks get the results in the thread that calls
ThreadPool.poll or ThreadPool.wait.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
import traceback
import weakref
from collections.abc import Callable, Iterable, Mapping
from itertools import starmap
from types import TracebackType
from typing import Any, TypeAlias

from . import _core
from .futures._base import Future

__version__ = "1.3.2"  # whose surface this is

__all__ = [
    "NoResultsPending",
    "NoWorkersAvailable",
    "ThreadPool",
    "WorkRequest",
    "WorkerThread",
    "makeRequests",
]

_ExcInfo: TypeAlias = (
    tuple[type[BaseException], BaseException, TracebackType]
    | tuple[None, None, None]
)
_Callback: TypeAlias = Callable[["WorkRequest", Any], object]
_ExcCallback: TypeAlias = Callable[["WorkRequest", _ExcInfo], object]


class NoResultsPending(Exception):
    """Every request that was put has been answered.

    Mirrors `threadpool.NoResultsPending`.
    """


class NoWorkersAvailable(Exception):
    """Requests are pending, and the pool has no worker to run them.

    Mirrors `threadpool.NoWorkersAvailable`.
    """


def _handle_thread_exception(request: WorkRequest, exc_info: _ExcInfo) -> None:
    """Print the traceback: what is done where no exc_callback is given."""
    traceback.print_exception(*exc_info)


class WorkRequest:
    """A call to be made by a worker, and what to do with its outcome.

    callable_, args, kwds: the call is callable_(*args, **kwds).
    requestID: its hash is the request's identity; None: id(self).  TypeError
        if it has no hash.
    callback: called as callback(request, result).
    exc_callback: called as exc_callback(request, sys.exc_info()) if the call
        raised; by default it prints the traceback.  None: `callback` gets the
        exc_info.

    Attributes: callable, args, kwds, requestID, callback, exc_callback as
    above; exception: True once the call has raised.

    Mirrors `threadpool.WorkRequest`.
    """

    def __init__(
        self,
        callable_: Callable[..., Any],
        args: Iterable[Any] | None = None,
        kwds: Mapping[str, Any] | None = None,
        requestID: object = None,
        callback: _Callback | None = None,
        exc_callback: _ExcCallback | None = _handle_thread_exception,
    ) -> None:
        if requestID is None:
            self.requestID = id(self)
        else:
            try:
                self.requestID = hash(requestID)
            except TypeError as error:
                raise TypeError(f"requestID must be hashable: {error}") from None
        self.exception = False
        self.callback = callback
        self.exc_callback = exc_callback
        self.callable = callable_
        self.args = args or []
        self.kwds = kwds or {}

    def __str__(self) -> str:
        """Return the request's identity, arguments and whether it failed."""
        return (
            f"<WorkRequest id={self.requestID} args={self.args!r} "
            f"kwargs={self.kwds!r} exception={self.exception}>"
        )


def makeRequests(
    callable_: Callable[..., Any],
    args_list: Iterable[Any],
    callback: _Callback | None = None,
    exc_callback: _ExcCallback | None = _handle_thread_exception,
) -> list[WorkRequest]:
    """Return a WorkRequest of the same callable for each of `args_list`.

    args_list: each item is a tuple of positional arguments (a list) and
        keyword arguments (a dict), or a single argument that is no tuple.

    Raises IndexError for a tuple of less than two.
    Mirrors `threadpool.makeRequests`.
    """
    requests = []
    for item in args_list:
        args, kwds = (
            (item[0], item[1]) if isinstance(item, tuple) else ([item], None)
        )
        requests.append(
            WorkRequest(
                callable_,
                args,
                kwds,
                callback=callback,
                exc_callback=exc_callback,
            )
        )
    return requests


class _Slots:
    """So many can be taken before one has to be given back.

    No lock is held at any time: a finalizer, which may have interrupted any
    of these methods, can call open().
    """

    def __init__(self, count: int) -> None:
        self._fresh = iter(range(count))
        self._returned: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._is_open = False

    def take(self, block: bool = True, timeout: float | None = None) -> None:
        """Raise queue.Empty if there is none in time."""
        if next(self._fresh, None) is None:
            self._returned.get(block, timeout)
            if self._is_open:
                self._returned.put(None)  # for the next one

    def give(self) -> None:
        self._returned.put(None)

    def open(self) -> None:
        """Let everybody pass from now on."""
        self._is_open = True
        self._returned.put(None)


class _RequestQueue(_core.Submitter):
    """What no worker has taken yet: the engine's queue, with a bound."""

    def __init__(self, maxsize: int) -> None:
        # The limit is on threads that the engine asks for: none.
        self.engine = self._engine = _core.ThreadEngine(0, Future, lambda: None)
        self.maxsize = maxsize
        self.room = _Slots(maxsize) if maxsize > 0 else None

    def _refuse(self) -> None:
        """Leave it to the engine to say why."""

    def reserve(self, block: bool, timeout: float | None) -> None:
        """Make room for a request.  Raises as queue.Queue.put does."""
        if self.room is None:
            return
        if block and timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")
        try:
            self.room.take(block, timeout)
        except queue.Empty:
            raise queue.Full from None

    def qsize(self) -> int:
        """Return how many requests no worker has taken yet."""
        return self.engine.queued

    def empty(self) -> bool:
        """Return whether every request has been taken."""
        return self.qsize() == 0

    def full(self) -> bool:
        """Return whether putRequest would have to wait."""
        return 0 < self.maxsize <= self.qsize()


class _ResultQueue:
    """Answers that nobody has polled yet; None tells a poller to look up."""

    def __init__(self, maxsize: int) -> None:
        self.room = _Slots(maxsize) if maxsize > 0 else None
        self._answers: queue.SimpleQueue[tuple[WorkRequest, Any] | None]
        self._answers = queue.SimpleQueue()

    def put(self, answer: tuple[WorkRequest, Any]) -> None:
        """Wait until there is room."""
        if self.room is not None:
            self.room.take()
        self._answers.put(answer)

    def get(self, block: bool) -> tuple[WorkRequest, Any] | None:
        """Raise queue.Empty if there is none and `block` is false."""
        answer = self._answers.get(block)
        if answer is not None and self.room is not None:
            self.room.give()
        return answer

    def nudge(self) -> None:
        """Have one poller look up; needs no room."""
        self._answers.put(None)

    def qsize(self) -> int:
        """Return about how many answers nobody has polled yet."""
        return self._answers.qsize()

    def empty(self) -> bool:
        """Return whether there is nothing to poll."""
        return self.qsize() == 0


def _run(
    request: WorkRequest, room: _Slots | None, results: _ResultQueue
) -> None:
    """Run a request in a worker."""
    if room is not None:
        room.give()
    try:
        result = request.callable(*request.args, **request.kwds)
    except BaseException:
        request.exception = True
        # No name for it here: its traceback refers to this frame.
        results.put((request, sys.exc_info()))
    else:
        results.put((request, result))


class WorkerThread(threading.Thread):
    """A daemon thread that runs a pool's requests until it is dismissed.

    It starts at once.  A subclass can be started from an overridden
    ThreadPool.createWorkers, with the two queues of that pool; run() has to
    call the inherited one.

    poll_timeout: has no effect; a worker is woken when it is dismissed.
    kwds: threading.Thread's.

    Mirrors `threadpool.WorkerThread`.
    """

    def __init__(
        self,
        requests_queue: Any,
        results_queue: Any,
        poll_timeout: float = 5,
        **kwds: Any,
    ) -> None:
        if not isinstance(requests_queue, _RequestQueue):
            raise TypeError(
                "requests_queue must be the one of a pyconc ThreadPool, not a "
                f"{type(requests_queue).__name__}"
            )
        super().__init__(**kwds)
        self.daemon = True
        # Not the results: they may refer to the pool, which a running thread
        # would keep from being collected.
        self._engine = requests_queue.engine
        self._lives: list[tuple[()]] = [()]
        self._engine.worker_count += 1  # until work() ends
        self.start()

    def run(self) -> None:
        """Run requests until dismissed, or until the pool is gone.

        Mirrors `threadpool.WorkerThread.run`.
        """
        # To find that there is a life left, and to enter the engine's list of
        # workers, is one step under the GIL: dismiss() comes before or after.
        for _ in starmap(self._engine.work, self._lives):
            pass

    def dismiss(self) -> None:
        """Have the thread end once its current request is done.

        Does not wait.  Idempotent, thread-safe.
        Mirrors `threadpool.WorkerThread.dismiss`.
        """
        # Once only: another thread may get the ident of one that has ended.
        with contextlib.suppress(IndexError):
            self._lives.pop()
            if self.ident is not None:
                self._engine.dismiss(self.ident)


class ThreadPool:
    """A pool of threads that run requests; polling it calls the callbacks.

    num_workers: how many threads to start.
    q_size: how many requests may be waiting for a worker; 0: any number.
    resq_size: how many results may be waiting to be polled; a worker waits
        until there is room for its own.  0: any number.
    poll_timeout: has no effect; nothing in here polls.

    With both bounds, putRequest waits for ever if nobody polls: give it a
    timeout, and poll when it raises queue.Full.

    Attributes: workers, dismissedWorkers: lists of WorkerThread; workRequests:
    the pending requests by requestID.

    Thread-safe.  A pool that is dropped runs what was put, and its threads
    end.  In a forked child it is empty, without workers, and usable.
    Mirrors `threadpool.ThreadPool`.
    """

    def __init__(
        self,
        num_workers: int,
        q_size: int = 0,
        resq_size: int = 0,
        poll_timeout: float = 5,
    ) -> None:
        self._begin(q_size, resq_size)
        self.createWorkers(num_workers, poll_timeout)

    def _begin(self, q_size: int, resq_size: int) -> None:
        self._sizes = q_size, resq_size
        self._requests_queue = _RequestQueue(q_size)
        self._results_queue = _ResultQueue(resq_size)
        self.workers: list[WorkerThread] = []
        self.dismissedWorkers: list[WorkerThread] = []
        self.workRequests: dict[int, WorkRequest] = {}
        # Pending ones that are not in there: another has their requestID.
        self._shadowed: list[WorkRequest] = []
        # As long as the number of threads in poll(True).
        self._pollers: list[None] = []
        # Nothing of this may refer to the results: they may refer to the pool.
        self._finalizer = weakref.finalize(
            self,
            _end,
            self._requests_queue.engine,
            self._results_queue.room,
            self.workers,
        )
        self._finalizer.atexit = False
        _pools.add(self)

    def _after_fork_in_child(self) -> None:
        self._finalizer.detach()
        self._requests_queue.engine.after_fork()
        self._begin(*self._sizes)

    # --- workers -----------------------------------------------------------

    def createWorkers(self, num_workers: int, poll_timeout: float = 5) -> None:
        """Start so many more threads.

        poll_timeout: has no effect.
        Raises RuntimeError if a thread cannot be started; those before it stay.
        Mirrors `threadpool.ThreadPool.createWorkers`.
        """
        for _ in range(num_workers):
            self.workers.append(
                WorkerThread(
                    self._requests_queue,
                    self._results_queue,
                    poll_timeout=poll_timeout,
                )
            )

    def dismissWorkers(self, num_workers: int, do_join: bool = False) -> None:
        """Have so many threads, at most all, end after their current request.

        do_join: wait until they have ended; else they are put in
            dismissedWorkers.

        What is queued stays queued, in its order, for other workers.
        Mirrors `threadpool.ThreadPool.dismissWorkers`.
        """
        dismissed = []
        for _ in range(min(num_workers, len(self.workers))):
            worker = self.workers.pop()
            worker.dismiss()
            dismissed.append(worker)
        self._nudge_if_over()
        if do_join:
            for worker in dismissed:
                worker.join()
        else:
            self.dismissedWorkers.extend(dismissed)

    def joinAllDismissedWorkers(self) -> None:
        """Wait until every thread in dismissedWorkers has ended; empty it.

        Mirrors `threadpool.ThreadPool.joinAllDismissedWorkers`.
        """
        for worker in self.dismissedWorkers:
            worker.join()
        self.dismissedWorkers = []

    # --- requests ----------------------------------------------------------

    def putRequest(
        self,
        request: WorkRequest,
        block: bool = True,
        timeout: float | None = None,
    ) -> None:
        """Queue a request for the workers.

        block, timeout: whether to wait, and for how many seconds (None: any
            number), if q_size requests are waiting already.

        Raises queue.Full if there is no room (in time), AssertionError for
        what is no WorkRequest and for one that has failed before, and
        ValueError for a negative timeout.
        Mirrors `threadpool.ThreadPool.putRequest`.
        """
        assert isinstance(request, WorkRequest), (
            f"putRequest takes a WorkRequest, not a {type(request).__name__}"
        )
        assert not getattr(request, "exception", None), (
            f"this request has failed before, make a new one: {request}"
        )
        requests = self._requests_queue
        requests.reserve(block, timeout)
        # Known before a worker can have answered it.
        shadowed = self.workRequests.get(request.requestID)
        self.workRequests[request.requestID] = request
        if shadowed is not None:
            self._shadowed.append(shadowed)
        try:
            requests.submit(_run, request, requests.room, self._results_queue)
        except BaseException:
            if requests.room is not None:
                requests.room.give()
            self._forget(request)
            self._nudge_if_over()
            raise

    def _forget(self, request: WorkRequest) -> None:
        if self.workRequests.get(request.requestID) is request:
            del self.workRequests[request.requestID]
        else:
            with contextlib.suppress(ValueError):
                self._shadowed.remove(request)

    # --- results -----------------------------------------------------------

    def poll(self, block: bool = False) -> None:
        """Call the callbacks of the requests that have been run.

        block: wait for results until every request has been answered; false:
            return once no more results are there.

        Raises NoResultsPending when every request has been answered,
        NoWorkersAvailable with `block` if some have not and the pool has no
        workers, and what a callback raises; that request counts as answered.
        Mirrors `threadpool.ThreadPool.poll`.
        """
        if block:
            self._pollers.append(None)
        try:
            while True:
                if not self.workRequests and not self._shadowed:
                    raise NoResultsPending
                if block and not self.workers:
                    raise NoWorkersAvailable
                try:
                    answer = self._results_queue.get(block)
                except queue.Empty:
                    return
                if answer is not None:
                    self._call_back(*answer)
                del answer  # not to be kept during the next wait
        finally:
            if block:
                self._pollers.pop()
            self._nudge_if_over()

    def _call_back(self, request: WorkRequest, result: Any) -> None:
        try:
            if request.exception and request.exc_callback:
                request.exc_callback(request, result)
            elif request.callback:
                request.callback(request, result)
        finally:
            self._forget(request)

    def _nudge_if_over(self) -> None:
        """Have all of poll(True) look up, if there is nothing to wait for.

        A poller counts itself before it looks, and who ends its wait makes
        the change before it counts.
        """
        if self._pollers and not (
            self.workers and (self.workRequests or self._shadowed)
        ):
            for _ in tuple(self._pollers):
                self._results_queue.nudge()

    def wait(self) -> None:
        """Call callbacks until every request has been answered.

        Raises NoWorkersAvailable and what a callback raises, as poll does.
        Mirrors `threadpool.ThreadPool.wait`.
        """
        with contextlib.suppress(NoResultsPending):
            while True:
                self.poll(True)


_pools: weakref.WeakSet[ThreadPool] = weakref.WeakSet()


def _end(
    engine: _core.ThreadEngine,
    room: _Slots | None,
    workers: list[WorkerThread],
) -> None:
    """Have the threads of a pool that is gone run what is queued, and end."""
    engine.close()
    if not workers:  # nobody is left to run it
        engine.cancel_queued()
    if room is not None:
        room.open()


def _after_fork_in_child() -> None:
    for pool in list(_pools):
        # What one pool cannot do must not keep the others from it.
        with contextlib.suppress(Exception):
            pool._after_fork_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)
