"""The standard library's own, for now.

Mirrors `multiprocessing.shared_memory`.
"""

import multiprocessing.shared_memory
import sys
from multiprocessing.shared_memory import *  # noqa: F403

sys.modules[__name__] = multiprocessing.shared_memory
