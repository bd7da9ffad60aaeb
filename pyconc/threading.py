"""Threads and what they wait on, in C.

Mirrors `threading` of the running version: `Lock`, `RLock`, `Condition`,
`Semaphore`, `BoundedSemaphore`, `Event` and `Barrier` are pyconc's; `Thread`
adds the aliases that Python has dropped; everything else, private names too, is
the standard library's own object.  Threads of both see each other.

`AtomicInt` is new.  With the environment variable PYCONC_DEBUG_LOCKS set,
`Lock`, `RLock` and `Thread.join` report waits that take long and raise
`DeadlockError` instead of waiting for ever in a circle.
"""

import os
import sys
import threading as _threading
import warnings
from threading import (
    TIMEOUT_MAX,
    BrokenBarrierError,
    ExceptHookArgs,
    ThreadError,
    Timer,
    __excepthook__,  # noqa: F401  documented
    active_count,
    activeCount,
    current_thread,
    currentThread,
    enumerate,
    excepthook,
    get_ident,
    get_native_id,
    getprofile,
    gettrace,
    local,
    main_thread,
    setprofile,
    settrace,
    stack_size,
)
from threading import Thread as _Thread
from typing import TYPE_CHECKING, Any

from . import _core
from ._mirror import mirror
from ._replacement import Replacement, described, replaces
from ._sync_errors import DeadlockError

__all__ = [
    "TIMEOUT_MAX",
    "AtomicInt",
    "Barrier",
    "BoundedSemaphore",
    "BrokenBarrierError",
    "Condition",
    "DeadlockError",
    "Event",
    "ExceptHookArgs",
    "Lock",
    "RLock",
    "Semaphore",
    "Thread",
    "ThreadError",
    "Timer",
    "activeCount",
    "active_count",
    "currentThread",
    "current_thread",
    "enumerate",
    "excepthook",
    "get_ident",
    "get_native_id",
    "getprofile",
    "gettrace",
    "local",
    "main_thread",
    "setprofile",
    "settrace",
    "stack_size",
]

if sys.version_info >= (3, 12):
    from threading import setprofile_all_threads, settrace_all_threads

    __all__ += ["setprofile_all_threads", "settrace_all_threads"]

_DEBUG_LOCKS = os.environ.get("PYCONC_DEBUG_LOCKS", "0") not in ("", "0")

if _DEBUG_LOCKS:
    from . import _lock_debug
    from ._lock_debug import Lock, RLock
else:
    from ._core import RLock  # type: ignore[assignment]

    if TYPE_CHECKING or sys.version_info >= (3, 13):
        from ._core import Lock  # type: ignore[assignment]
    else:
        from ._core import allocate_lock as Lock


def _deprecated(old: str, new: str) -> None:
    warnings.warn(
        f"{old}() is deprecated, use {new}() instead",
        DeprecationWarning,
        stacklevel=3,
    )


@replaces(_threading.Condition)
class Condition(_core.Condition, metaclass=Replacement):
    """Let threads wait until another one notifies them, under a lock.

    lock: anything with acquire() and release(); by default a new RLock.

    Threads are woken in the order in which they came.  A thread that is
    interrupted by a signal handler's exception while it takes a plain Lock
    again holds it when the exception comes out.  Mirrors
    `threading.Condition`.
    """

    if _DEBUG_LOCKS:

        def __init__(self, lock: Any = None) -> None:
            super().__init__(RLock() if lock is None else lock)

    def notifyAll(self) -> None:
        """Deprecated: use notify_all()."""
        _deprecated("notifyAll", "notify_all")
        self.notify_all()

    def _at_fork_reinit(self) -> None:
        self._lock._at_fork_reinit()

    def __repr__(self) -> str:
        return f"<Condition({self._lock}, {self._waiting})>"


@replaces(_threading.Semaphore)
class Semaphore(_core.Semaphore, metaclass=Replacement):
    """A number of permits that threads take and give back.

    Who waits longest is woken first, but a thread that comes just then may be
    faster.  release() is safe in signal handlers and finalizers.  Mirrors
    `threading.Semaphore`.
    """

    def __repr__(self) -> str:
        return described(self, f"value={self._value}")


@replaces(_threading.BoundedSemaphore)
class BoundedSemaphore(Semaphore):
    """A semaphore that refuses to be given more than it had at first.

    Mirrors `threading.BoundedSemaphore`.
    """

    def __init__(self, value: int = 1) -> None:
        super().__init__(value)
        self._initial_value = value

    def __repr__(self) -> str:
        return described(self, f"value={self._value}/{self._initial_value}")


@replaces(_threading.Event)
class Event(_core.Event, metaclass=Replacement):
    """A flag that threads wait for.

    set() is safe in signal handlers and finalizers.  Mirrors
    `threading.Event`.
    """

    def isSet(self) -> bool:
        """Deprecated: use is_set()."""
        _deprecated("isSet", "is_set")
        return self.is_set()

    def _at_fork_reinit(self) -> None:
        """Do nothing: nobody waits in a forked child."""

    def __repr__(self) -> str:
        return described(self, "set" if self.is_set() else "unset")


@replaces(_threading.Barrier)
class Barrier(_core.Barrier, metaclass=Replacement):
    """Let a number of threads wait for each other, again and again.

    action: called by one of them before they go on; timeout: seconds, for
    wait() without one.  Mirrors `threading.Barrier`.
    """

    def __repr__(self) -> str:
        if self.broken:
            return described(self, "broken")
        return described(self, f"waiters={self.n_waiting}/{self.parties}")


class AtomicInt(_core.AtomicInt):
    """A 64-bit number that threads change without a lock.

    `n += 1` and `n -= 1` change the object itself, safely; add() and sub()
    also return the new value.  Compares as its value, and has no hash.
    """

    def __repr__(self) -> str:
        return f"AtomicInt({self.load()})"


@replaces(_Thread, inherits=True)
class Thread(_Thread, metaclass=Replacement):
    """A thread of control.

    The standard library's, with the method names that older programs use.
    `isinstance(t, Thread)` is true for its threads too.
    """

    if _DEBUG_LOCKS:

        def join(self, timeout: float | None = None) -> None:
            _lock_debug.join(self, timeout)

    def isAlive(self) -> bool:
        """Deprecated: use is_alive()."""
        _deprecated("isAlive", "is_alive")
        return self.is_alive()


def _alias(name: str, new: str) -> None:
    """Give Thread a name that the running version no longer has."""

    def method(self: Thread, *arguments: Any) -> Any:
        warnings.warn(
            f"{name}() is deprecated, {new}", DeprecationWarning, stacklevel=2
        )
        attribute = name[3:].lower() if name != "isDaemon" else "daemon"
        if arguments:
            return setattr(self, attribute, *arguments)
        return getattr(self, attribute)

    if not hasattr(_Thread, name):
        method.__name__ = name
        setattr(Thread, name, method)


_alias("getName", "get the name attribute instead")
_alias("setName", "set the name attribute instead")
_alias("isDaemon", "get the daemon attribute instead")
_alias("setDaemon", "set the daemon attribute instead")


del excepthook  # whichever is set there
mirror(__name__, _threading)
