"""Pool over the shared-memory engine, ThreadPool over the thread engine.

Mirrors `multiprocessing.pool`.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.pool
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping
from multiprocessing.context import BaseContext
from multiprocessing.pool import (  # type: ignore[attr-defined]
    CLOSE,
    INIT,
    RUN,
    TERMINATE,
    ExceptionWithTraceback,
    MaybeEncodingError,
    RemoteTraceback,
)
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from .. import _core
from .._crew import ThreadGroup
from .._group import WorkerGroup, end_with
from .._mirror import mirror
from .._replacement import Replacement, described, replaces, their_name
from ..futures._base import Future
from ..futures._executor import default_workers

__all__ = [
    "ApplyResult",
    "AsyncResult",
    "ExceptionWithTraceback",
    "IMapIterator",
    "IMapUnorderedIterator",
    "MapResult",
    "MaybeEncodingError",
    "Pool",
    "RemoteTraceback",
    "ThreadPool",
]

_S = TypeVar("_S")
_T = TypeVar("_T")

# The stdlib's exit priority: before the daemonic processes are joined.
_EXIT_PRIORITY = 15


class ApplyResult(_core.ApplyResultBase[_T]):
    """The result of Pool.apply_async: get, wait, ready, successful."""

    __repr__ = described


AsyncResult = ApplyResult


class MapResult(_core.MapResultBase[_T], ApplyResult[list[_T]]):
    """The result of Pool.map_async and starmap_async, as AsyncResult."""


class IMapIterator(_core.IMapIteratorBase[_T]):
    """The results of Pool.imap, in order: iterate, or next(timeout)."""

    __repr__ = described


class IMapUnorderedIterator(IMapIterator[_T]):
    """The results of Pool.imap_unordered, as they come."""


def _check_chunk(chunksize: int) -> None:
    if chunksize < 1:
        raise ValueError(f"Chunksize must be 1+, not {chunksize}")


@replaces(multiprocessing.pool.Pool, calls=["_check_running"], in_python=True)
class Pool(multiprocessing.pool.Pool, metaclass=Replacement):
    """Worker processes that a program hands calls to.

    The documented interface of multiprocessing.Pool.  A worker that dies
    fails exactly the task that it was running, with pyconc.WorkerLostError;
    all others complete and the worker is replaced.  Beyond the documented:

    reseed: give each worker random numbers of its own (`random`, and NumPy's
        global state if NumPy is imported).  False keeps the stdlib's
        behaviour, in which forked workers share one NumPy stream.

    Leaving a `with` block terminates the pool, as documented.  Thread-safe.
    Not usable in a forked child of the process that made it.
    """

    @staticmethod
    def Process(ctx: Any, *args: Any, **kwds: Any) -> Any:
        """Make a worker's process object; for subclasses to override."""
        return ctx.Process(*args, **kwds)

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: int | None = None,
        context: BaseContext | None = None,
        *,
        reseed: bool = True,
    ) -> None:
        self._state: str = INIT
        self._ctx: Any = context or multiprocessing.get_context()
        if processes is None:
            processes = default_workers()
        if processes < 1:
            raise ValueError("Number of processes must be at least 1")
        if maxtasksperchild is not None and (
            not isinstance(maxtasksperchild, int) or maxtasksperchild <= 0
        ):
            raise ValueError("maxtasksperchild must be a positive int or None")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        self._processes = processes
        self._group = self._make_group(
            initializer, tuple(initargs), maxtasksperchild, reseed
        )
        self._engine = self._group.engine
        self._engine.serve(self)
        self._group.start(processes)
        self._terminate = end_with(self, self._group, _EXIT_PRIORITY)
        # As in ProcessPoolExecutor: it would keep the error that broke us.
        self._group.when_finished(self._terminate.cancel)
        self._state = RUN

    def _make_group(
        self,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
        max_tasks: int | None,
        reseed: bool,
    ) -> WorkerGroup | ThreadGroup:
        make_process, context = self.Process, self._ctx
        return WorkerGroup(
            self._processes,
            context,
            Future,
            make_process=lambda **kwds: make_process(context, **kwds),
            flavour="pool",
            initializer=initializer,
            initargs=initargs,
            max_tasks=max_tasks,
            reseed=reseed,
            replace_lost=True,
        )

    def __del__(self, _warn: Any = warnings.warn, _run: str = RUN) -> None:
        if getattr(self, "_state", None) == _run:
            _warn(
                f"unclosed running multiprocessing pool {self!r}",
                ResourceWarning,
                source=self,
            )

    def __repr__(self) -> str:
        # As in the stdlib, where those that have ended count as well.
        size = len(self._pool) if self._state == RUN else self._processes
        return f"<{their_name(self)} state={self._state} pool_size={size}>"

    @property
    def _pool(self) -> list[Any]:
        """The living workers, as monitoring code reads them."""
        return self._group.processes()

    def _repopulate_pool(self) -> None:
        """Nothing is left to do: a worker that leaves is replaced at once."""

    def _check_running(self) -> None:
        if self._state != RUN:
            raise ValueError("Pool not running")

    # --- calls -------------------------------------------------------------

    def apply(
        self,
        func: Callable[..., _T],
        args: Iterable[Any] = (),
        kwds: Mapping[str, Any] = {},
    ) -> _T:
        """Return func(*args, **kwds), run in a worker.

        Mirrors multiprocessing.pool.Pool.apply.
        """
        return self.apply_async(func, args, kwds).get()

    def apply_async(  # type: ignore[override]  # our own result types
        self,
        func: Callable[..., _T],
        args: Iterable[Any] = (),
        kwds: Mapping[str, Any] = {},
        callback: Callable[[_T], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> ApplyResult[_T]:
        """Have func(*args, **kwds) run in a worker; return an AsyncResult.

        callback is called with the result, error_callback with the
        exception, in a thread of the pool; the result is ready after that.
        Mirrors multiprocessing.pool.Pool.apply_async.
        """
        self._check_running()
        return self._engine.apply(
            ApplyResult, func, args, kwds, callback, error_callback
        )

    def map(
        self,
        func: Callable[[_S], _T],
        iterable: Iterable[_S],
        chunksize: int | None = None,
    ) -> list[_T]:
        """Return [func(item) for item in iterable], run in the workers.

        Raises the first error by completion, once all chunks have ended; an
        error ends its chunk.
        Mirrors multiprocessing.pool.Pool.map.
        """
        result: list[_T] = self._map(func, iterable, chunksize, False).get()
        return result

    def map_async(  # type: ignore[override]  # our own result types
        self,
        func: Callable[[_S], _T],
        iterable: Iterable[_S],
        chunksize: int | None = None,
        callback: Callable[[list[_T]], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> MapResult[_T]:
        """Start what map() does and return its result object.

        Mirrors multiprocessing.pool.Pool.map_async.
        """
        return self._map(
            func, iterable, chunksize, False, callback, error_callback
        )

    def starmap(
        self,
        func: Callable[..., _T],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
    ) -> list[_T]:
        """Return [func(*items) for items in iterable], run in the workers.

        Mirrors multiprocessing.pool.Pool.starmap.
        """
        result: list[_T] = self._map(func, iterable, chunksize, True).get()
        return result

    def starmap_async(  # type: ignore[override]  # our own result types
        self,
        func: Callable[..., _T],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
        callback: Callable[[list[_T]], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> MapResult[_T]:
        """Start what starmap() does and return its result object.

        Mirrors multiprocessing.pool.Pool.starmap_async.
        """
        return self._map(
            func, iterable, chunksize, True, callback, error_callback
        )

    def _map(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Any],
        chunksize: int | None,
        star: bool,
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> MapResult[Any]:
        self._check_running()
        if not isinstance(iterable, (list, tuple)):
            iterable = list(iterable)
        if chunksize is None:
            chunksize, extra = divmod(len(iterable), self._processes * 4)
            if extra:
                chunksize += 1
        if len(iterable) == 0:
            chunksize = 1
        _check_chunk(chunksize)
        return self._engine.map(
            MapResult, func, iterable, chunksize, star, callback, error_callback
        )

    def imap(  # type: ignore[override]  # our own result types
        self,
        func: Callable[[_S], _T],
        iterable: Iterable[_S],
        chunksize: int = 1,
        *,
        buffersize: int | None = None,
    ) -> IMapIterator[_T]:
        """Return an iterator of func(item), in order.

        With chunksize 1 it has next(timeout).  buffersize bounds how many
        results may be under way or unread: the input, which may be endless,
        is read only so far ahead (None: it is read to its end by a thread).
        Mirrors multiprocessing.pool.Pool.imap.
        """
        results: IMapIterator[_T] = self._imap(
            IMapIterator, func, iterable, chunksize, buffersize, True
        )
        return results

    def imap_unordered(  # type: ignore[override]  # our own result types
        self,
        func: Callable[[_S], _T],
        iterable: Iterable[_S],
        chunksize: int = 1,
        *,
        buffersize: int | None = None,
    ) -> IMapIterator[_T]:
        """Return an iterator of func(item), in the order of completion.

        Otherwise as imap().
        Mirrors multiprocessing.pool.Pool.imap_unordered.
        """
        results: IMapIterator[_T] = self._imap(
            IMapUnorderedIterator, func, iterable, chunksize, buffersize, False
        )
        return results

    def _imap(
        self,
        cls: type[IMapIterator[Any]],
        func: Callable[..., Any],
        iterable: Iterable[Any],
        chunksize: int,
        buffersize: int | None,
        ordered: bool,
    ) -> Any:
        self._check_running()
        _check_chunk(chunksize)
        if buffersize is not None:
            if not isinstance(buffersize, int):
                raise TypeError("buffersize must be an integer or None")
            if buffersize < 1:
                raise ValueError("buffersize must be None or > 0")
            # Counted in chunks, at least one.
            buffersize = max(1, buffersize // chunksize)
        result = self._engine.imap(
            cls, func, iterable, chunksize, ordered, buffersize or 0
        )
        if result._needs_feeder():
            threading.Thread(
                target=result._feed, name="pyconc-feeder", daemon=True
            ).start()
        if chunksize == 1:
            return result
        return (item for chunk in result for item in chunk)

    # --- ending ------------------------------------------------------------

    def close(self) -> None:
        """Accept no more tasks; the workers leave when all are done.

        Mirrors multiprocessing.pool.Pool.close.
        """
        if self._state == RUN:
            self._state = CLOSE
            self._group.close()

    def terminate(self) -> None:
        """End the workers at once; pending results fail.

        Sends SIGTERM, a second later SIGKILL; returns when all are gone.
        Pending get() raise pyconc.PoolTerminatedError.
        Mirrors multiprocessing.pool.Pool.terminate.
        """
        self._state = TERMINATE
        self._group.terminate()

    def join(self) -> None:
        """Wait until all tasks are done and the workers gone.

        Raises ValueError unless close() or terminate() came before.
        Mirrors multiprocessing.pool.Pool.join.
        """
        if self._state == RUN:
            raise ValueError("Pool is still running")
        if self._state not in (CLOSE, TERMINATE):
            raise ValueError("In unknown state")
        self._group.join()

    def __enter__(self) -> Pool:
        self._check_running()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self.terminate()

    def __reduce__(self) -> Any:
        raise NotImplementedError(
            "pool objects cannot be passed between processes or pickled"
        )


@replaces(
    multiprocessing.pool.ThreadPool, calls=["_check_running"], in_python=True
)
class ThreadPool(Pool, multiprocessing.pool.ThreadPool):
    """Worker threads that a program hands calls to.

    The documented interface of multiprocessing.pool.ThreadPool: that of Pool,
    with nothing pickled and nothing copied.  It needs neither shared memory
    nor semaphores.  terminate() drops what is queued; what runs goes on, as a
    thread cannot be stopped.

    A task that waits without a timeout for results of its own pool runs those
    that no thread has started, instead of waiting for a thread.  Thread-safe.
    Not usable in a forked child of the process that made it.
    """

    @staticmethod
    def Process(ctx: Any, *args: Any, **kwds: Any) -> Any:
        """Make a multiprocessing.dummy.Process, as in the standard library."""
        from multiprocessing.dummy import Process

        return Process(*args, **kwds)

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
    ) -> None:
        super().__init__(processes, initializer, initargs)

    def _make_group(
        self,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
        max_tasks: int | None,
        reseed: bool,
    ) -> ThreadGroup:
        return ThreadGroup(
            self._processes,
            Future,
            name=None,
            initializer=initializer,
            initargs=initargs,
            on_init_error=_fail_threads,
            daemon=True,
        )


def _fail_threads(group: ThreadGroup, error: BaseException) -> None:
    group.engine.fail(error)
    group.engine.halt()


if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...


mirror(__name__, multiprocessing.pool)
