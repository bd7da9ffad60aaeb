"""The standard library's own, for now.

Mirrors `multiprocessing.sharedctypes`.
"""

import multiprocessing.sharedctypes
import sys
from multiprocessing.sharedctypes import *  # noqa: F403

sys.modules[__name__] = multiprocessing.sharedctypes
