"""Future, wait and as_completed over the C core.

Mirrors `concurrent.futures._base`.
"""

from __future__ import annotations

import concurrent.futures
import concurrent.futures._base
import time
from collections.abc import AsyncIterator, Generator, Iterable, Iterator
from concurrent.futures import (
    ALL_COMPLETED,
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    BrokenExecutor,
    CancelledError,
    Executor,
    InvalidStateError,
    TimeoutError,
)
from concurrent.futures._base import DoneAndNotDoneFutures
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .. import _core
from .._mirror import mirror
from .._replacement import Replacement, replaces

__all__ = [
    "ALL_COMPLETED",
    "FIRST_COMPLETED",
    "FIRST_EXCEPTION",
    "BrokenExecutor",
    "CancelledError",
    "Executor",
    "Future",
    "InvalidStateError",
    "TimeoutError",
    "as_completed",
    "as_completed_async",
    "wait",
]

_T = TypeVar("_T")


@replaces(concurrent.futures.Future)
class Future(  # type: ignore[override]  # properties for its attributes
    _core.FutureBase[_T],
    concurrent.futures.Future[_T],
    Generic[_T],
    metaclass=Replacement,
):
    """The outcome of a task.

    A `concurrent.futures.Future` in every respect, and awaitable: `await
    future` in a coroutine waits without blocking the loop; cancelling the
    awaiting task cancels a future that has not started.
    """

    def __await__(self) -> Generator[Any, None, _T]:
        import asyncio  # which most programs have no use for

        return asyncio.wrap_future(self).__await__()


def wait(
    fs: Iterable[concurrent.futures.Future[_T]],
    timeout: float | None = None,
    return_when: str = ALL_COMPLETED,
) -> DoneAndNotDoneFutures[_T]:
    """Wait for futures, at most `timeout` seconds.

    Returns the named tuple (done, not_done) of sets.  `return_when` is
    FIRST_COMPLETED, FIRST_EXCEPTION or ALL_COMPLETED; ValueError otherwise.
    Futures of the standard library may be among them.
    Mirrors concurrent.futures.wait.
    """
    futures = set(fs)
    if return_when not in (ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION):
        raise ValueError(f"Invalid return condition: {return_when!r}")
    if not _core.Completions.accepts(futures):
        return concurrent.futures.wait(futures, timeout, return_when)
    completions = _core.Completions(futures)
    completions.wait(
        timeout,
        return_when == FIRST_COMPLETED,
        return_when == FIRST_EXCEPTION,
    )
    not_done = completions.unfinished()
    done = futures - not_done if not_done else futures
    return DoneAndNotDoneFutures(done, not_done)


def as_completed(
    fs: Iterable[concurrent.futures.Future[_T]], timeout: float | None = None
) -> Iterator[concurrent.futures.Future[_T]]:
    """Yield futures as they finish, each once.

    Raises TimeoutError if not all have finished `timeout` seconds after the
    call.  Futures of the standard library may be among them.
    Mirrors concurrent.futures.as_completed.
    """
    end = None if timeout is None else time.monotonic() + timeout
    fs = set(fs)  # the caller's own reference must not keep them alive
    if not _core.Completions.accepts(fs):
        left = None if end is None else end - time.monotonic()
        yield from concurrent.futures.as_completed(fs, left)
        return
    total = len(fs)
    completions = _core.Completions(fs)
    del fs
    for finished in range(total):
        left = None if end is None else max(0.0, end - time.monotonic())
        future = completions.next(left)
        if future is None:
            raise TimeoutError(
                f"{total - finished} (of {total}) futures unfinished"
            )
        found = [future]
        del future
        yield found.pop()  # not kept by this frame while it is suspended


async def as_completed_async(
    fs: Iterable[concurrent.futures.Future[_T]], timeout: float | None = None
) -> AsyncIterator[concurrent.futures.Future[_T]]:
    """Yield futures as they finish, without blocking the event loop.

    For `async for`.  Raises TimeoutError as as_completed does.
    """
    import asyncio

    loop = asyncio.get_running_loop()
    end = None if timeout is None else loop.time() + timeout
    finished: asyncio.Queue[concurrent.futures.Future[_T]] = asyncio.Queue()
    futures = set(fs)

    def tell(future: concurrent.futures.Future[_T]) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(finished.put_nowait, future)

    for future in futures:
        future.add_done_callback(tell)
    total = len(futures)
    for count in range(total):
        try:
            async with asyncio.timeout_at(end):
                future = await finished.get()
        except TimeoutError:
            raise TimeoutError(
                f"{total - count} (of {total}) futures unfinished"
            ) from None
        yield future


if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...


mirror(__name__, concurrent.futures._base)
