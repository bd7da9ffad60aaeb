"""ThreadPoolExecutor over the thread engine.

Mirrors `concurrent.futures.thread`.
"""

from __future__ import annotations

import concurrent.futures
import concurrent.futures.thread
import math
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures._base import LOGGER
from concurrent.futures.thread import BrokenThreadPool
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from .. import _core
from .._crew import ThreadGroup
from .._mirror import mirror
from .._replacement import Replacement, replaces
from ._base import Future
from ._executor import Submitting, check_buffersize, default_workers

__all__ = ["BrokenThreadPool", "ThreadPoolExecutor"]

_P = ParamSpec("_P")
_T = TypeVar("_T")

# The groups that may have threads, with how long the interpreter's exit waits
# for them (None: until their work is done).
_live: weakref.WeakKeyDictionary[ThreadGroup, float | None] = (
    weakref.WeakKeyDictionary()
)
_exiting = False


class _WorkQueue:
    """The stdlib's queue of tasks, as monitoring code reads it."""

    def __init__(self, group: ThreadGroup) -> None:
        self._group = group

    def qsize(self) -> int:
        """Return how many tasks no thread has taken yet."""
        return self._group.engine.queued

    def empty(self) -> bool:
        """Return whether every task has been taken."""
        return self.qsize() == 0


@replaces(concurrent.futures.ThreadPoolExecutor, in_python=True)
class ThreadPoolExecutor(
    Submitting,
    concurrent.futures.ThreadPoolExecutor,
    metaclass=Replacement,
):
    """Run calls in threads.

    The documented interface of concurrent.futures.ThreadPoolExecutor, with
    the newest version's parameters on every version.  Beyond it:

    daemon: threads that do not keep the interpreter from its end: at exit
        queued tasks are cancelled, running ones abandoned.
    exit_timeout: at exit wait at most so many seconds for tasks, queued ones
        included, then do as with daemon=True, which it implies.
    idle_timeout: a thread that had nothing to do for so many seconds ends;
        None: they stay, as in the standard library.
    context: run each task in a copy of the contextvars context in which it
        was submitted.

    A task that waits without a timeout for futures of its own executor runs
    those of them that no thread has started, instead of waiting for a thread.

    Thread-safe.  In a forked child it is empty and usable; futures from
    before the fork raise RuntimeError there.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        daemon: bool = False,
        exit_timeout: float | None = None,
        idle_timeout: float | None = None,
        context: bool = False,
    ) -> None:
        if max_workers is None:
            max_workers = min(32, default_workers() + 4)
        if max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if exit_timeout is not None and not exit_timeout >= 0:
            raise ValueError("exit_timeout must be None or >= 0 seconds")
        if idle_timeout is not None and not idle_timeout >= 0:
            raise ValueError("idle_timeout must be None or >= 0 seconds")
        self._max_workers = max_workers
        number = self._counter  # type: ignore[attr-defined]  # the stdlib's
        prefix = thread_name_prefix or f"ThreadPoolExecutor-{number()}"
        self._thread_name_prefix = prefix
        self._initializer: Any = initializer
        self._initargs = initargs
        self._shutdown = False
        self._exit_timeout = (
            0.0 if daemon and exit_timeout is None else exit_timeout
        )
        self._group = ThreadGroup(
            # as in the stdlib 2.5 means up to 3, and infinity is a number
            math.ceil(min(max_workers, sys.maxsize)),
            Future,
            name=lambda number: f"{prefix}_{number}",
            initializer=initializer,
            initargs=initargs,
            on_init_error=_break,
            daemon=self._exit_timeout is not None,
            idle_timeout=idle_timeout,
            copies_context=context,
        )
        self._engine = self._group.engine
        self._finalizer: weakref.finalize[Any, Any] | None = None

    # --- hooks of the C half -----------------------------------------------

    def _open(self) -> None:
        raise RuntimeError(
            f"{type(self).__name__}.__init__ was not called, or not to its end"
        )

    def _grow(self) -> None:
        self._get_ready()
        self._group.grow()

    def _get_ready(self) -> None:
        """See to the end of threads before the first one is started."""
        if _exiting:
            self._group.engine.cancel_queued()
            self._refuse()
        if self._finalizer is None:
            _live[self._group] = self._exit_timeout
            self._finalizer = weakref.finalize(self, self._group.close)
            self._finalizer.atexit = False

    def _refuse(self) -> None:
        if self._broken:
            raise BrokenThreadPool(self._broken)
        if self._shutdown:
            raise RuntimeError("cannot schedule new futures after shutdown")
        if _exiting:
            raise RuntimeError(
                "cannot schedule new futures after interpreter shutdown"
            )

    # --- the documented interface ------------------------------------------

    if TYPE_CHECKING:  # it is the C half's, which does not know our Future

        def submit(
            self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
        ) -> Future[_T]: ...

    def submit_native(self, function: Any, /, *args: Any) -> Future[Any]:
        """Call a C function in a thread, without the GIL; return its Future.

        function: a ctypes function pointer that declares argtypes, of C
            scalars and pointers, and restype.
        args: as many as there are argtypes, as ctypes would take them; numbers
            are checked against the range of their types.  What they point to
            must not move meanwhile; the arguments stay referenced.

        The future is one that submit() could have returned.  If a thread is
        idle the call begins at once, so that it cannot be cancelled.

        Raises TypeError, OverflowError or ValueError for a function or
        arguments that do not fit, before anything runs; RuntimeError after
        shutdown().  A function that crashes takes the process with it.
        Thread-safe.
        """
        future: Future[Any] = _core.submit_native(self, function, args)
        return future

    def map(
        self,
        fn: Callable[..., _T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[_T]:
        """Return an iterator of fn(*items), in order.

        timeout: seconds for the whole, counted from this call; TimeoutError
            when a result is not there by then.
        chunksize: has no effect, as documented.
        buffersize: how many results may be under way or unread; the input is
            read only so far ahead (None: it is read to its end at once).

        Raises the exception of the first item, by position, that failed.
        Mirrors concurrent.futures.Executor.map.
        """
        check_buffersize(buffersize)
        end = None if timeout is None else time.monotonic() + timeout
        arguments = zip(*iterables, strict=False)
        return self._map(fn, arguments, end, buffersize)

    def shutdown(
        self, wait: bool = True, *, cancel_futures: bool = False
    ) -> None:
        """Accept no more tasks; the threads end once all are done.

        wait: return only when that has happened, callbacks included.
        cancel_futures: cancel what no thread has started.
        Idempotent, thread-safe.
        Mirrors concurrent.futures.Executor.shutdown.
        """
        self._shutdown = True
        if cancel_futures:
            self._group.engine.cancel_queued()
        self._group.close()
        if wait:
            self._group.join()

    @property
    def _threads(  # type: ignore[override]  # monitoring code reads it
        self,
    ) -> set[threading.Thread]:
        """The threads that were started, as monitoring code reads them."""
        return self._group.threads

    @property
    def _work_queue(  # type: ignore[override]  # monitoring code reads it
        self,
    ) -> _WorkQueue:
        return _WorkQueue(self._group)

    @property
    def _broken(  # type: ignore[override]  # monitoring code reads it
        self,
    ) -> str | bool:
        """Why the executor is broken, False if it is not."""
        error = self._group.engine.broken
        return False if error is None else str(error)


def _break(group: ThreadGroup, error: BaseException) -> None:
    LOGGER.critical("Exception in initializer:", exc_info=error)
    group.engine.fail(
        BrokenThreadPool(
            "A thread initializer failed, the thread pool is not usable anymore"
        )
    )


def _at_exit() -> None:
    """Wait for the work of all executors before the interpreter goes."""
    global _exiting
    _exiting = True
    groups = list(_live.items())
    for group, _ in groups:
        group.close(at_exit=True)
    # In a child that a task forked its own group cannot be waited for here.
    me = threading.current_thread()
    groups = [(g, t) for g, t in groups if me not in g.threads]
    start = time.monotonic()
    for group, timeout in groups:
        if timeout is not None:
            timeout = max(0.0, start + timeout - time.monotonic())
        if not group.join(timeout):
            group.engine.cancel_queued()


threading._register_atexit(_at_exit)  # type: ignore[attr-defined]


if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...


mirror(__name__, concurrent.futures.thread)
