"""The standard library's, re-exported for now.

Mirrors `multiprocessing.managers`.
"""

import multiprocessing.managers
from multiprocessing.managers import *  # noqa: F403
from typing import Any


def __getattr__(name: str) -> Any:
    return getattr(multiprocessing.managers, name)
