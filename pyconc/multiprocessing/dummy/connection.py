"""The standard library's, re-exported.

Mirrors `multiprocessing.dummy.connection`.
"""

import multiprocessing.dummy.connection
from multiprocessing.dummy.connection import *  # noqa: F403
from typing import Any


def __getattr__(name: str) -> Any:
    return getattr(multiprocessing.dummy.connection, name)
