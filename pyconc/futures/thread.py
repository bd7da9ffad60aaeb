"""Thread pools; the standard library's for now.

Mirrors `concurrent.futures.thread`.
"""

import concurrent.futures.thread
from concurrent.futures.thread import BrokenThreadPool, ThreadPoolExecutor
from typing import Any

__all__ = ["BrokenThreadPool", "ThreadPoolExecutor"]


def __getattr__(name: str) -> Any:
    return getattr(concurrent.futures.thread, name)
