"""The standard library's, re-exported for now.

Mirrors `multiprocessing.process`.
"""

import multiprocessing.process
from multiprocessing.process import *  # noqa: F403
from typing import Any


def __getattr__(name: str) -> Any:
    return getattr(multiprocessing.process, name)
