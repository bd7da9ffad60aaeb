"""The standard library's, re-exported for now.

Mirrors `multiprocessing.connection`.
"""

import multiprocessing.connection
from multiprocessing.connection import *  # noqa: F403
from typing import Any


def __getattr__(name: str) -> Any:
    return getattr(multiprocessing.connection, name)
