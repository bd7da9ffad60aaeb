"""The standard library's, re-exported for now.

Mirrors `multiprocessing.dummy`.
"""

import multiprocessing.dummy
from multiprocessing.dummy import *  # noqa: F403
from typing import Any


def __getattr__(name: str) -> Any:
    return getattr(multiprocessing.dummy, name)
