"""The standard library's, re-exported for now.

Mirrors `multiprocessing.sharedctypes`.
"""

import multiprocessing.sharedctypes
from multiprocessing.sharedctypes import *  # noqa: F403
from typing import Any


def __getattr__(name: str) -> Any:
    return getattr(multiprocessing.sharedctypes, name)
