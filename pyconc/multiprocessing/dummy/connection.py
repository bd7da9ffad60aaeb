"""The standard library's own, for now.

Mirrors `multiprocessing.dummy.connection`.
"""

import multiprocessing.dummy.connection
import sys
from multiprocessing.dummy.connection import *  # noqa: F403

sys.modules[__name__] = multiprocessing.dummy.connection
