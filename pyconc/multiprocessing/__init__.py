"""Process-based parallelism over pyconc's engine.

Mirrors `multiprocessing`: Pool is pyconc's, everything else is re-exported
from the standard library.
"""

from __future__ import annotations

import importlib
import multiprocessing
from collections.abc import Callable, Iterable
from multiprocessing import (
    Array,
    AuthenticationError,
    Barrier,
    BoundedSemaphore,
    BufferTooShort,
    Condition,
    Event,
    JoinableQueue,
    Lock,
    Manager,
    Pipe,
    Process,
    ProcessError,
    Queue,
    RawArray,
    RawValue,
    RLock,
    Semaphore,
    SimpleQueue,
    TimeoutError,
    Value,
    active_children,
    allow_connection_pickling,
    cpu_count,
    current_process,
    freeze_support,
    get_all_start_methods,
    get_logger,
    get_start_method,
    log_to_stderr,
    parent_process,
    reducer,
    set_executable,
    set_forkserver_preload,
    set_start_method,
)
from typing import Any

from .._mirror import mirror
from . import context, pool
from .context import get_context

__all__ = [
    "Array",
    "AuthenticationError",
    "Barrier",
    "BoundedSemaphore",
    "BufferTooShort",
    "Condition",
    "Event",
    "JoinableQueue",
    "Lock",
    "Manager",
    "Pipe",
    "Pool",
    "Process",
    "ProcessError",
    "Queue",
    "RLock",
    "RawArray",
    "RawValue",
    "Semaphore",
    "SimpleQueue",
    "TimeoutError",
    "Value",
    "active_children",
    "allow_connection_pickling",
    "context",
    "cpu_count",
    "current_process",
    "freeze_support",
    "get_all_start_methods",
    "get_context",
    "get_logger",
    "get_start_method",
    "log_to_stderr",
    "parent_process",
    "reducer",
    "set_executable",
    "set_forkserver_preload",
    "set_start_method",
]


_SUBMODULES = {
    "connection",
    "dummy",
    "managers",
    "process",
    "queues",
    "shared_memory",
    "sharedctypes",
    "synchronize",
}


def Pool(
    processes: int | None = None,
    initializer: Callable[..., object] | None = None,
    initargs: Iterable[Any] = (),
    maxtasksperchild: int | None = None,
    *,
    reseed: bool = True,
) -> pool.Pool:
    """Return a pyconc.multiprocessing.pool.Pool of the default context.

    Mirrors multiprocessing.Pool.
    """
    default: pool.Pool = get_context().Pool(
        processes, initializer, initargs, maxtasksperchild, reseed=reseed
    )
    return default


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    return getattr(multiprocessing, name)


mirror(__name__, multiprocessing)
