"""Python's concurrency primitives, written again in C.

`from pyconc import multiprocessing, futures` is the whole migration: the
documented interfaces of `multiprocessing` and `concurrent.futures` over a
shared-memory engine.  `pyconc.threading` and `pyconc.queue` mirror `threading`
and `queue`.

`python -m pyconc run script.py` runs a program unchanged with these modules;
`install()` does the same from inside.

Importing this package does no work: no process, thread or shared memory is
made before a pool is.
"""

from __future__ import annotations

import os
import sys

if sys.platform != "linux":
    raise ImportError(
        "pyconc needs Linux: it is built on futexes, memfds and pidfds"
    )

try:
    from ._install import install, installed, uninstall
except ImportError as error:
    raise ImportError(
        f"pyconc in {os.path.dirname(__file__)} is not built for this Python. "
        "If that is the source tree, which hides the installed package, run "
        "Python from another directory; else install pyconc again"
    ) from error

TYPE_CHECKING = False
if TYPE_CHECKING:
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
    "install",
    "installed",
    "uninstall",
]


def get_include() -> str:
    """Return the directory of pyconc.h, for C and Cython extensions."""
    return os.path.join(os.path.dirname(__file__), "include")


if not TYPE_CHECKING:

    def __getattr__(name: str) -> type[Exception]:
        """Find the exceptions, whose module imports much."""
        if name in __all__:
            from . import errors

            globals()[name] = getattr(errors, name)
            return globals()[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
