"""The standard library's own, for now.

Mirrors `multiprocessing.process`.
"""

import multiprocessing.process
import sys
from multiprocessing.process import *  # noqa: F403

sys.modules[__name__] = multiprocessing.process
