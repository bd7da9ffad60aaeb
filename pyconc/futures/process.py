"""ProcessPoolExecutor over the shared-memory engine.

Mirrors `concurrent.futures.process`.
"""

from __future__ import annotations

import concurrent.futures
import itertools
import multiprocessing
import signal
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import util
from multiprocessing.context import BaseContext
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

from .._group import WorkerGroup
from .._mirror import mirror
from .._replacement import Replacement, replaces
from ._base import Future
from ._executor import (
    Submitting,
    check_buffersize,
    default_workers,
    result_or_cancel,
)

__all__ = ["BrokenProcessPool", "ProcessPoolExecutor"]

_P = ParamSpec("_P")
_T = TypeVar("_T")

# Chunks that the executor chooses itself aim at this much work each.
_CHUNK_SECONDS = 0.001
_CHUNK_MAX = 100_000

# The groups whose work is not finished, with how each leaves this table.
_live: dict[WorkerGroup, util.Finalize] = {}
# Before multiprocessing.util joins its children, which never end otherwise:
# in a child process of Python 3.11 that comes before _at_exit.
_EXIT_PRIORITY = 10


def _run_chunk(fn: Callable[..., _T], chunk: list[tuple[Any, ...]]) -> list[_T]:
    return [fn(*arguments) for arguments in chunk]


def _run_timed(
    fn: Callable[..., _T], chunk: list[tuple[Any, ...]]
) -> tuple[float, list[_T]]:
    start = time.perf_counter()
    results = [fn(*arguments) for arguments in chunk]
    return time.perf_counter() - start, results


class _CallQueue:
    """The stdlib's call queue, as far as code in the wild asks for it."""

    def join_thread(self) -> None:
        """There is no feeder thread to wait for."""


@replaces(concurrent.futures.ProcessPoolExecutor, in_python=True)
class ProcessPoolExecutor(
    Submitting,
    concurrent.futures.ProcessPoolExecutor,
    metaclass=Replacement,
):
    """Run calls in worker processes.

    The documented interface of concurrent.futures.ProcessPoolExecutor, with
    the newest version's parameters on every version.  Beyond it:

    on_worker_lost: what the death of a worker means.  "break" (the default,
        as documented): every pending future fails with BrokenProcessPool and
        so do later submits.  "replace": only the task that the worker was
        running fails, with WorkerLostError; the worker is replaced.
    reseed: give each worker random numbers of its own (`random`, and NumPy's
        global state if NumPy is imported).  False keeps the stdlib's
        behaviour, in which forked workers share one NumPy stream.

    Thread-safe.  Not usable in a forked child of the process that made it.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: BaseContext | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        max_tasks_per_child: int | None = None,
        on_worker_lost: Literal["break", "replace"] = "break",
        reseed: bool = True,
    ) -> None:
        if max_workers is None:
            max_workers = default_workers()
        elif max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if mp_context is None:
            if max_tasks_per_child is not None:
                mp_context = multiprocessing.get_context("spawn")
            else:
                mp_context = multiprocessing.get_context()
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if max_tasks_per_child is not None:
            if not isinstance(max_tasks_per_child, int):
                raise TypeError("max_tasks_per_child must be an integer")
            if max_tasks_per_child <= 0:
                raise ValueError("max_tasks_per_child must be >= 1")
            if mp_context.get_start_method() == "fork":
                raise ValueError(
                    "max_tasks_per_child is incompatible with the 'fork' "
                    "multiprocessing start method; supply a different "
                    "mp_context."
                )
        if on_worker_lost not in ("break", "replace"):
            raise ValueError(
                "on_worker_lost must be 'break' or 'replace', not "
                f"{on_worker_lost!r}"
            )
        self._max_workers = max_workers
        self._mp_context: Any = mp_context
        self._initializer: Any = initializer
        self._initargs = initargs
        self._max_tasks_per_child = max_tasks_per_child
        self._on_worker_lost = on_worker_lost
        self._reseed = reseed
        self._group: WorkerGroup | None = None
        self._shutdown = False
        self._lock = threading.RLock()
        self._finalizer: weakref.finalize[Any, Any] | None = None

    # --- hooks of the C half -----------------------------------------------

    def _open(self) -> None:
        """Make the engine and start the workers, at the first submit."""
        with self._lock:
            if self._shutdown:
                self._refuse()
            if _exiting:
                raise RuntimeError(
                    "cannot schedule new futures after interpreter shutdown"
                )
            if self._group is not None:
                if self._engine is None:
                    raise RuntimeError(
                        "an executor cannot be used in its own workers, nor "
                        "in a signal handler while it starts them"
                    )
                return
            group = WorkerGroup(
                self._max_workers,
                self._mp_context,
                Future,
                make_process=self._mp_context.Process,
                flavour="futures",
                initializer=self._initializer,
                initargs=self._initargs,
                max_tasks=self._max_tasks_per_child,
                reseed=self._reseed,
                replace_lost=self._on_worker_lost == "replace",
            )
            self._group = group  # known to the workers that are forked
            try:
                group.start(
                    1 if group.grows_on_demand() else self._max_workers
                )
            except BaseException:
                self._group = None
                raise
            self._engine = group.engine
            self._finalizer = weakref.finalize(self, _close_group, group)
            self._finalizer.atexit = False
            # What is registered keeps the group, the error that broke it,
            # and through its traceback perhaps us.
            group.when_finished(
                partial(
                    _forget, self._finalizer.detach, _finish_at_exit(group)
                )
            )

    def _grow(self) -> None:
        if self._group is not None:
            self._group.grow()

    def _refuse(self) -> None:
        broken = None if self._engine is None else self._engine.broken
        if isinstance(broken, BrokenProcessPool):
            raise BrokenProcessPool(str(broken)) from broken
        if self._shutdown:
            raise RuntimeError("cannot schedule new futures after shutdown")
        if _exiting:
            raise RuntimeError(
                "cannot schedule new futures after interpreter shutdown"
            )
        if broken is not None:
            raise broken

    # --- the documented interface ------------------------------------------

    if TYPE_CHECKING:  # it is the C half's, which does not know our Future

        def submit(
            self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
        ) -> Future[_T]: ...

    def map(
        self,
        fn: Callable[..., _T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int | None = 1,
        buffersize: int | None = None,
    ) -> Iterator[_T]:
        """Return an iterator of fn(*items), in order.

        timeout: seconds for the whole, counted from this call; TimeoutError
            when a result is not there by then.
        chunksize: items per task; None adapts it to the measured time of an
            item, about a millisecond of work each.
        buffersize: how many results may be under way or unread; the input is
            read only so far ahead (None: it is read to its end at once).

        Raises the exception of the first item, by position, that failed.
        Mirrors concurrent.futures.Executor.map.
        """
        if chunksize is not None and chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        check_buffersize(buffersize)
        end = None if timeout is None else time.monotonic() + timeout
        arguments = zip(*iterables, strict=False)
        if chunksize is None:
            return self._map_adaptive(fn, arguments, end, buffersize)
        if chunksize == 1:
            return self._map(fn, arguments, end, buffersize)
        chunks = _chunks(arguments, chunksize)
        results: Iterator[list[_T]] = self._map(
            partial(_run_chunk, fn), ((chunk,) for chunk in chunks), end, buffersize
        )
        return _flatten(results)

    def _map_adaptive(
        self,
        fn: Callable[..., Any],
        arguments: Iterator[tuple[Any, ...]],
        end: float | None,
        buffersize: int | None,
    ) -> Iterator[Any]:
        run = partial(_run_timed, fn)
        pending: deque[tuple[int, Future[tuple[float, list[Any]]]]] = deque()
        executor: weakref.ref[ProcessPoolExecutor] | None = weakref.ref(self)
        size = 1
        # Without a buffersize the input is read to its end, as documented;
        # with chunks that are measured while they run, it is read into
        # memory first and cut as the measurements come in.
        items = arguments if buffersize is not None else iter(list(arguments))
        ahead = 4 * self._max_workers

        def refill() -> None:
            owner = executor() if executor is not None else None
            if owner is None:
                return
            while len(pending) < ahead:
                room = size
                if buffersize is not None:
                    room = min(size, buffersize - sum(n for n, _ in pending))
                chunk = list(itertools.islice(items, max(0, room)))
                if not chunk:
                    return
                pending.append((len(chunk), owner.submit(run, chunk)))

        refill()

        def results() -> Iterator[Any]:
            nonlocal size
            try:
                while pending:
                    count, future = pending.popleft()
                    left = None if end is None else end - time.monotonic()
                    seconds, values = result_or_cancel(future, left)
                    del future
                    wanted = int(count * _CHUNK_SECONDS / max(seconds, 1e-9))
                    size = max(1, min(wanted, 2 * size, _CHUNK_MAX))
                    refill()
                    yield from _flatten(iter([values]))
            finally:
                for _, future in pending:
                    future.cancel()

        return results()

    def shutdown(
        self, wait: bool = True, *, cancel_futures: bool = False
    ) -> None:
        """Accept no more tasks and free the workers once all are done.

        wait: return only when that has happened, callbacks included.
        cancel_futures: cancel what no worker has started.
        Idempotent, thread-safe.
        Mirrors concurrent.futures.Executor.shutdown.
        """
        with self._lock:
            self._shutdown = True
            group = self._group
        if group is None:
            return
        if cancel_futures:
            group.engine.cancel_queued()
        group.close()
        if wait:
            group.join()

    def terminate_workers(self) -> None:
        """Send SIGTERM to every worker; pending futures fail.

        The executor is shut down; BrokenProcessPool is what futures get.
        Mirrors ProcessPoolExecutor.terminate_workers of 3.14.
        """
        self._force(signal.SIGTERM, "terminate_workers")

    def kill_workers(self) -> None:
        """Send SIGKILL to every worker; pending futures fail.

        Mirrors ProcessPoolExecutor.kill_workers of 3.14.
        """
        self._force(signal.SIGKILL, "kill_workers")

    def _force(self, number: int, name: str) -> None:
        self.shutdown(wait=False, cancel_futures=True)
        if self._group is not None:
            self._group.kill(
                number,
                BrokenProcessPool(
                    f"the workers were ended by {name}() before this task "
                    "was done"
                ),
            )

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        if exc_type is not None and issubclass(exc_type, KeyboardInterrupt):
            # Ctrl-C: nobody waits for the rest; what runs gets a second.
            self.shutdown(wait=False, cancel_futures=True)
            if self._group is not None:
                self._group.terminate()
        else:
            self.shutdown(wait=True)
        return False

    @property
    def _processes(  # type: ignore[override]  # monitoring code reads it
        self,
    ) -> dict[int, Any]:
        """The living workers by pid, as monitoring code reads them."""
        if self._group is None:
            return {}
        return {p.pid: p for p in self._group.processes()}

    @property
    def _broken(  # type: ignore[override]  # monitoring code reads it
        self,
    ) -> str | bool:
        """Why the executor is broken, False if it is not."""
        error = None if self._group is None else self._group.engine.broken
        return False if error is None else str(error)

    @property
    def _executor_manager_thread(  # type: ignore[override]  # monitoring code reads it
        self,
    ) -> threading.Thread | None:
        """The thread that ends when the last worker has."""
        return None if self._group is None else self._group._watcher

    @property
    def _call_queue(self) -> _CallQueue:
        return _CallQueue()


def _chunks(
    arguments: Iterator[tuple[Any, ...]], size: int
) -> Iterator[list[tuple[Any, ...]]]:
    while chunk := list(itertools.islice(arguments, size)):
        yield chunk


def _flatten(chunks: Iterator[list[_T]]) -> Iterator[_T]:
    for chunk in chunks:
        chunk.reverse()
        while chunk:
            yield chunk.pop()


def _close_group(group: WorkerGroup) -> None:
    """An executor was dropped: what is pending is still done."""
    group.close()


_exiting = False


def _finish_at_exit(group: WorkerGroup) -> Callable[[], object]:
    """Have the work of a group waited for at exit; return how to undo it."""
    hook = util.Finalize(
        None, _finish, args=(group,), exitpriority=_EXIT_PRIORITY
    )
    _live[group] = hook

    def undo() -> None:
        _live.pop(group, None)
        hook.cancel()

    return undo


def _forget(*undo: Callable[[], object]) -> None:
    for step in undo:
        step()


def _finish(group: WorkerGroup) -> None:
    """Wait for the work, as documented; after Ctrl-C nobody wants it."""
    if getattr(sys, "last_type", None) is KeyboardInterrupt:
        group.terminate()
    else:
        group.close(at_exit=True)
        group.join()


def _at_exit() -> None:
    """Wait for the work of all executors before the interpreter goes."""
    global _exiting
    _exiting = True
    for group in list(_live):
        _finish(group)


threading._register_atexit(_at_exit)  # type: ignore[attr-defined]


if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...


mirror(__name__, concurrent.futures.process)
