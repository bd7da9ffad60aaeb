"""What the executors have in common: map over the C half's submit."""

from __future__ import annotations

import concurrent.futures
import os
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from .. import _core

__all__ = [
    "Submitting",
    "check_buffersize",
    "default_workers",
    "result_or_cancel",
]


def result_or_cancel(
    future: concurrent.futures.Future[Any], timeout: float | None = None
) -> Any:
    """Return the future's result; cancel it if that fails."""
    try:
        try:
            return future.result(timeout)
        finally:
            future.cancel()
    finally:
        del future


def default_workers() -> int:
    """Return how many processes a pool has if nothing is said."""
    count: int | None = getattr(os, "process_cpu_count", os.cpu_count)()
    return count or 1


def check_buffersize(buffersize: int | None) -> None:
    """Raise what Executor.map of 3.14 raises."""
    if buffersize is not None and not isinstance(buffersize, int):
        raise TypeError("buffersize must be an integer or None")
    if buffersize is not None and buffersize < 1:
        raise ValueError("buffersize must be None or > 0")


class Submitting(_core.Submitter):
    """An executor whose submit is the C half's."""

    def _map(
        self,
        fn: Callable[..., Any],
        arguments: Iterator[tuple[Any, ...]],
        end: float | None,
        buffersize: int | None,
    ) -> Iterator[Any]:
        """Submit for each tuple of arguments; return the results' iterator.

        end: when to raise TimeoutError, on the monotonic clock.
        buffersize: how many results may be under way or unread.
        """
        limit = -1 if buffersize is None else buffersize
        futures = deque(self._submit_some(fn, arguments, limit))
        executor = None if buffersize is None else weakref.ref(self)
        return _results(fn, futures, arguments, end, executor)

    def _submit_some(
        self,
        fn: Callable[..., Any],
        arguments: Iterator[tuple[Any, ...]],
        limit: int,
    ) -> list[concurrent.futures.Future[Any]]:
        if (
            type(self).submit is _core.Submitter.submit
            and "submit" not in vars(self)
        ):
            return self._submit_each(fn, arguments, limit)
        # A subclass's, which may count, or wrap fn.
        some = arguments if limit < 0 else islice(arguments, limit)
        return [self.submit(fn, *items) for items in some]


def _results(
    fn: Callable[..., Any],
    futures: deque[concurrent.futures.Future[Any]],
    arguments: Iterator[tuple[Any, ...]],
    end: float | None,
    executor: weakref.ref[Submitting] | None,
) -> Iterator[Any]:
    # A function of its own, so that the generator does not keep the
    # executor alive.
    try:
        while futures:
            if executor is not None and (owner := executor()) is not None:
                more = owner._submit_some(fn, arguments, 1)
                futures.extend(more)
                del owner
            # No name for the future: it holds the result while this frame
            # is suspended.
            left = None if end is None else end - time.monotonic()
            yield result_or_cancel(futures.popleft(), left)
    finally:
        for future in futures:
            future.cancel()
