"""Asynchronous calls, over pyconc's engines.

Mirrors `concurrent.futures`; adds `as_completed_async` and awaitable
futures.
"""

import concurrent.futures
import sys

from .._mirror import mirror
from ._base import (
    ALL_COMPLETED,
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    InvalidStateError,
    TimeoutError,
    as_completed,
    as_completed_async,
    wait,
)
from .process import ProcessPoolExecutor
from .scheduled import ScheduledThreadPoolExecutor
from .thread import ThreadPoolExecutor

__all__ = [
    "ALL_COMPLETED",
    "FIRST_COMPLETED",
    "FIRST_EXCEPTION",
    "BrokenExecutor",
    "CancelledError",
    "Executor",
    "Future",
    "InvalidStateError",
    "ProcessPoolExecutor",
    "ScheduledThreadPoolExecutor",
    "ThreadPoolExecutor",
    "TimeoutError",
    "as_completed",
    "as_completed_async",
    "wait",
]

if sys.version_info >= (3, 14):
    from concurrent.futures import InterpreterPoolExecutor

    __all__ += ["InterpreterPoolExecutor"]

mirror(__name__, concurrent.futures)
