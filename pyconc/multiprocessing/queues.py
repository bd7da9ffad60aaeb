"""The standard library's own, for now.

Mirrors `multiprocessing.queues`.
"""

import multiprocessing.queues
import sys
from multiprocessing.queues import *  # noqa: F403

sys.modules[__name__] = multiprocessing.queues
