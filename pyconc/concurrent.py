"""The package around `futures`.

Mirrors `concurrent`: `from pyconc.concurrent import futures`.
"""

import concurrent

from . import futures
from ._mirror import mirror

__all__ = ["futures"]

__path__ = concurrent.__path__  # what looks for its modules finds them

mirror(__name__, concurrent)
