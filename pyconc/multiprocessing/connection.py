"""The standard library's own, for now.

Mirrors `multiprocessing.connection`.
"""

import multiprocessing.connection
import sys
from multiprocessing.connection import *  # noqa: F403

sys.modules[__name__] = multiprocessing.connection
