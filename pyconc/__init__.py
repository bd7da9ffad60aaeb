"""Python's concurrency primitives, written again in C.

`from pyconc import multiprocessing, futures` is the whole migration: the
documented interfaces of `multiprocessing` and `concurrent.futures` over a
shared-memory engine.

Importing this package does no work: no process, thread or shared memory is
made before a pool is.
"""

import sys

if sys.platform != "linux":
    raise ImportError(
        "pyconc needs Linux: it is built on futexes, memfds and pidfds"
    )

from .errors import (
    CorruptionError,
    DecodeError,
    PoolTerminatedError,
    WorkerLostError,
)

__version__ = "0.1.0"

__all__ = [
    "CorruptionError",
    "DecodeError",
    "PoolTerminatedError",
    "WorkerLostError",
    "__version__",
]
