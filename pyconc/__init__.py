"""Python's concurrency primitives, written again in C.

`from pyconc import multiprocessing, futures` is the whole migration: the
documented interfaces of `multiprocessing` and `concurrent.futures` over a
shared-memory engine.  `pyconc.threading` and `pyconc.queue` mirror `threading`
and `queue`.

Importing this package does no work: no process, thread or shared memory is
made before a pool is.
"""

import os
import sys

if sys.platform != "linux":
    raise ImportError(
        "pyconc needs Linux: it is built on futexes, memfds and pidfds"
    )

from .errors import (
    CorruptionError,
    DeadlockError,
    DecodeError,
    PoolTerminatedError,
    ShutDown,
    WorkerLostError,
)

__version__ = "0.1.0"

__all__ = [
    "CorruptionError",
    "DeadlockError",
    "DecodeError",
    "PoolTerminatedError",
    "ShutDown",
    "WorkerLostError",
    "__version__",
    "get_include",
]


def get_include() -> str:
    """Return the directory of pyconc.h, for C and Cython extensions."""
    return os.path.join(os.path.dirname(__file__), "include")
