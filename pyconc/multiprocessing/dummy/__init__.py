"""The interface of multiprocessing over threads.

Mirrors `multiprocessing.dummy`: Pool is pyconc's ThreadPool, queues and locks
are those of pyconc.queue and pyconc.threading, everything else is the standard
library's.
"""

import multiprocessing.dummy
import sys
from collections.abc import Callable, Iterable
from multiprocessing.dummy import (  # type: ignore[attr-defined]  # dict, list
    Array,
    DummyProcess,
    Namespace,
    Pipe,
    Process,
    Value,
    active_children,
    current_process,
    dict,
    freeze_support,
    list,
    shutdown,
)
from typing import TYPE_CHECKING, Any

from ..._mirror import mirror
from ...queue import Queue
from ...threading import (
    Barrier,
    BoundedSemaphore,
    Condition,
    Event,
    Lock,
    RLock,
    Semaphore,
)
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


JoinableQueue = Queue


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


if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...


mirror(__name__, multiprocessing.dummy)
