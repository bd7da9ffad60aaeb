"""The standard library's own, for now.

Mirrors `multiprocessing.managers`.
"""

import multiprocessing.managers
import sys
from multiprocessing.managers import *  # noqa: F403

sys.modules[__name__] = multiprocessing.managers
