"""The package around `futures`.

Mirrors `concurrent`: `from pyconc.concurrent import futures`.
"""

import concurrent

from . import futures
from ._mirror import mirror

__all__ = ["futures"]

mirror(__name__, concurrent)
