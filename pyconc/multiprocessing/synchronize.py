"""The standard library's, re-exported for now.

Mirrors `multiprocessing.synchronize`.
"""

import multiprocessing.synchronize
from multiprocessing.synchronize import *  # noqa: F403
from typing import Any


def __getattr__(name: str) -> Any:
    return getattr(multiprocessing.synchronize, name)
