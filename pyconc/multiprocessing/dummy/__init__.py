"""The interface of multiprocessing over threads.

Mirrors `multiprocessing.dummy`: Pool is pyconc's ThreadPool, everything else
is the standard library's.
"""

import multiprocessing.dummy
import sys
from collections.abc import Callable, Iterable
from multiprocessing.dummy import (  # type: ignore[attr-defined]  # dict, list
    Array,
    Barrier,
    BoundedSemaphore,
    Condition,
    DummyProcess,
    Event,
    JoinableQueue,
    Lock,
    Namespace,
    Pipe,
    Process,
    Queue,
    RLock,
    Semaphore,
    Value,
    active_children,
    current_process,
    dict,
    freeze_support,
    list,
    shutdown,
)
from typing import Any

from ..pool import ThreadPool

__all__ = [
    "Array",
    "Barrier",
    "BoundedSemaphore",
    "Condition",
    "DummyProcess",
    "Event",
    "JoinableQueue",
    "Lock",
    "Manager",
    "Namespace",
    "Pipe",
    "Pool",
    "Process",
    "Queue",
    "RLock",
    "Semaphore",
    "Value",
    "active_children",
    "current_process",
    "dict",
    "freeze_support",
    "list",
    "shutdown",
]


def Manager() -> Any:
    """Return this module: threads share everything as it is."""
    return sys.modules[__name__]


def Pool(
    processes: int | None = None,
    initializer: Callable[..., object] | None = None,
    initargs: Iterable[Any] = (),
) -> ThreadPool:
    """Return a pyconc.multiprocessing.pool.ThreadPool.

    Mirrors multiprocessing.dummy.Pool.
    """
    return ThreadPool(processes, initializer, initargs)


def __getattr__(name: str) -> Any:
    return getattr(multiprocessing.dummy, name)
