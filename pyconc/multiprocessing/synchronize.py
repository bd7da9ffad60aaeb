"""The standard library's own, for now.

Mirrors `multiprocessing.synchronize`.
"""

import multiprocessing.synchronize
import sys
from multiprocessing.synchronize import *  # noqa: F403

sys.modules[__name__] = multiprocessing.synchronize
