"""Thread pools; the standard library's for now.

Mirrors `concurrent.futures.thread`.
"""

from concurrent.futures.thread import BrokenThreadPool, ThreadPoolExecutor

__all__ = ["BrokenThreadPool", "ThreadPoolExecutor"]
