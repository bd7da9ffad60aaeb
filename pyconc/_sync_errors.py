"""The exceptions of `pyconc.errors` that locks and queues raise.

Apart from the others, which derive from what takes long to import.
"""

import sys

__all__ = ["DeadlockError", "ShutDown"]

if sys.version_info >= (3, 13):
    from queue import ShutDown
else:

    class ShutDown(Exception):
        """A queue was used after its shutdown().

        Mirrors queue.ShutDown of Python 3.13, and is that where it exists.
        """

        __module__ = "pyconc.queue"


class DeadlockError(RuntimeError):
    """Threads wait for each other's locks, in a circle.

    Raised by PYCONC_DEBUG_LOCKS=1, in the thread that closed the circle; the
    message has the stack of each thread and what it holds.
    """

    __module__ = "pyconc.errors"
