"""Contexts whose Pool is pyconc's.

Mirrors `multiprocessing.context`.  The start method that
`multiprocessing.set_start_method` chose is shared with the standard library.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.context
from collections.abc import Callable, Iterable
from multiprocessing.context import (
    AuthenticationError,
    BaseContext,
    BufferTooShort,
    Process,
    ProcessError,
    TimeoutError,
    assert_spawning,
    get_spawning_popen,
    set_spawning_popen,
)
from typing import Any

from .._mirror import mirror
from . import pool

__all__ = [
    "AuthenticationError",
    "BaseContext",
    "BufferTooShort",
    "ForkContext",
    "ForkServerContext",
    "Process",
    "ProcessError",
    "SpawnContext",
    "TimeoutError",
    "assert_spawning",
    "get_context",
    "get_spawning_popen",
    "set_spawning_popen",
]


class _PoolMixin:
    def Pool(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: int | None = None,
        *,
        reseed: bool = True,
    ) -> pool.Pool:
        """Return a pyconc.multiprocessing.pool.Pool of this context."""
        return pool.Pool(
            processes,
            initializer,
            initargs,
            maxtasksperchild,
            context=self,  # type: ignore[arg-type]
            reseed=reseed,
        )

    def get_context(self, method: str | None = None) -> Any:
        """Return this context, or the one of another start method."""
        return self if method is None else get_context(method)


class ForkContext(_PoolMixin, multiprocessing.context.ForkContext):
    """multiprocessing's fork context with pyconc's Pool."""


class SpawnContext(_PoolMixin, multiprocessing.context.SpawnContext):
    """multiprocessing's spawn context with pyconc's Pool."""


class ForkServerContext(
    _PoolMixin, multiprocessing.context.ForkServerContext
):
    """multiprocessing's forkserver context with pyconc's Pool."""


_contexts: dict[str, BaseContext] = {
    "fork": ForkContext(),
    "spawn": SpawnContext(),
    "forkserver": ForkServerContext(),
}


def get_context(method: str | None = None) -> Any:
    """Return the context of a start method (None: the default one).

    Raises ValueError for an unknown method.
    Mirrors multiprocessing.get_context.
    """
    theirs: Any = multiprocessing.get_context(method)
    # Packages register start methods of their own.
    return _contexts.get(theirs.get_start_method(), theirs)


mirror(__name__, multiprocessing.context)
