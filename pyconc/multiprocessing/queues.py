"""The standard library's, re-exported for now.

Mirrors `multiprocessing.queues`.
"""

import multiprocessing.queues
from multiprocessing.queues import *  # noqa: F403
from typing import Any


def __getattr__(name: str) -> Any:
    return getattr(multiprocessing.queues, name)
