"""The standard library's, re-exported for now.

Mirrors `multiprocessing.shared_memory`.
"""

import multiprocessing.shared_memory
from multiprocessing.shared_memory import *  # noqa: F403
from typing import Any


def __getattr__(name: str) -> Any:
    return getattr(multiprocessing.shared_memory, name)
