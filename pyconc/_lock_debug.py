"""Locks that know who holds them, and who waits for whom.

What `pyconc.threading` uses with PYCONC_DEBUG_LOCKS=1: `Lock`, `RLock` and
`Thread.join`.  A wait that takes longer than PYCONC_DEBUG_LOCKS_AFTER seconds
(10) prints who holds what, and a wait without a timeout that closes a circle
of such waits raises DeadlockError.
"""

from __future__ import annotations

import _thread
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any

from ._sync_errors import DeadlockError

__all__ = ["Lock", "RLock", "join"]

_HERE = os.path.dirname(__file__) + os.sep
_AFTER = float(os.environ.get("PYCONC_DEBUG_LOCKS_AFTER", "10"))

# Guards the two below.  Reentrant: a signal handler may come in between.
_registry = _thread.RLock()
_held: dict[int, list[_Tracked]] = {}
_waits: dict[int, _Wait] = {}


class _Wait:
    """A thread that waits: for a lock, or for another thread to end."""

    def __init__(
        self, target: _Tracked | threading.Thread, endless: bool
    ) -> None:
        self.target = target
        self.endless = endless
        self.since = time.monotonic()

    def blocker(self) -> int | None:
        """The ident of the thread that has to act first."""
        if isinstance(self.target, threading.Thread):
            return self.target.ident
        return self.target.owner


class _Tracked:
    """What Lock and RLock have in common: an inner lock and its holder."""

    _reentrant = False

    def __init__(self) -> None:
        self._inner = _thread.allocate_lock()
        self._made_at = _place(sys._getframe(1))
        self.owner: int | None = None
        self.count = 0
        self.since = 0.0
        self.taken_at = ""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock; as the standard library's, but for DeadlockError."""
        me = _thread.get_ident()
        if self._reentrant and self.owner == me:
            self.count += 1
            return True
        if not blocking or timeout != -1:
            # Raises what the standard library raises for bad arguments.
            _thread.allocate_lock().acquire(blocking, timeout)
        if not self._inner.acquire(False) and not (
            blocking and _wait_for(self, timeout)
        ):
            return False
        try:
            self._taken(me, sys._getframe(1))
        except BaseException:  # of a signal handler
            self._let_go()
            raise
        return True

    def _taken(self, me: int, frame: FrameType) -> None:
        with _registry:
            self.owner = me
            self.count = 1
            self.since = time.monotonic()
            self.taken_at = _place(frame)
            _held.setdefault(me, []).append(self)

    def _let_go(self) -> None:
        with _registry:
            if self.owner is not None:
                mine = _held.get(self.owner, [])
                if self in mine:
                    mine.remove(self)
                if not mine:
                    _held.pop(self.owner, None)
            self.owner = None
            self.count = 0
        self._inner.release()

    def locked(self) -> bool:
        """Return whether somebody holds the lock."""
        return self._inner.locked()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def release(self) -> None:
        """Give the lock back."""
        raise NotImplementedError

    def _at_fork_reinit(self) -> None:
        self._inner = _thread.allocate_lock()
        self.owner = None
        self.count = 0

    def __repr__(self) -> str:
        state = "locked" if self.locked() else "unlocked"
        return (
            f"<{state} pyconc.threading.{type(self).__name__} object at "
            f"{id(self):#x}, made at {self._made_at}>"
        )


class Lock(_Tracked):
    """A lock that any thread may release.  Mirrors `threading.Lock`."""

    def release(self) -> None:
        """Give the lock back."""
        if not self._inner.locked():
            raise RuntimeError("release unlocked lock")
        self._let_go()

    acquire_lock = _Tracked.acquire
    release_lock = release
    locked_lock = _Tracked.locked


class RLock(_Tracked):
    """A lock that its holder may take again.  Mirrors `threading.RLock`."""

    _reentrant = True

    def release(self) -> None:
        """Give the lock back once."""
        if self.owner != _thread.get_ident():
            raise RuntimeError("cannot release un-acquired lock")
        if self.count > 1:
            self.count -= 1
        else:
            self._let_go()

    def _is_owned(self) -> bool:
        return self.owner == _thread.get_ident()

    def _recursion_count(self) -> int:
        return self.count if self._is_owned() else 0

    def _release_save(self) -> int:
        if not self._is_owned():
            raise RuntimeError("cannot release un-acquired lock")
        count = self.count
        self._let_go()
        return count

    def _acquire_restore(self, count: int) -> None:
        self.acquire()
        self.count = count


def join(thread: threading.Thread, timeout: float | None) -> None:
    """Wait for a thread as its join() does, and watch."""
    inner = threading.Thread.join
    if thread is threading.current_thread() or not thread.is_alive():
        inner(thread, timeout)
        return

    def attempt(seconds: float) -> bool:
        inner(thread, seconds)
        return not thread.is_alive()

    _watch(thread, -1.0 if timeout is None else timeout, attempt)


# --- waiting ---------------------------------------------------------------


def _wait_for(lock: _Tracked, timeout: float) -> bool:
    return _watch(lock, timeout, lambda s: lock._inner.acquire(True, s))


def _watch(
    target: _Tracked | threading.Thread, timeout: float, attempt: Any
) -> bool:
    """Wait in pieces: print when it takes long, raise when it is hopeless."""
    me = _thread.get_ident()
    wait = _Wait(target, timeout < 0)
    with _registry:
        outer = _waits.get(me)
        _waits[me] = wait
        circle = _find_circle(me)
        text = None if circle is None else _describe(circle)
    try:
        if text is not None:
            raise DeadlockError(f"these threads wait for each other\n{text}")
        pause = _AFTER
        while True:
            left = wait.since + timeout - time.monotonic()
            if attempt(pause if wait.endless else max(0, min(left, pause))):
                return True
            if not wait.endless and time.monotonic() >= wait.since + timeout:
                return False
            with _registry:
                text = _describe(_chain(me))
            print(f"pyconc: a long wait\n{text}", file=sys.stderr, flush=True)
            pause *= 2
    finally:
        with _registry:
            if outer is None:
                del _waits[me]
            else:  # that wait was interrupted by a signal handler
                _waits[me] = outer


def _chain(start: int) -> list[int]:
    """The threads that wait for each other, from `start` on."""
    chain = [start]
    while (wait := _waits.get(chain[-1])) is not None:
        following = wait.blocker()
        if following is None or following in chain:
            break
        chain.append(following)
    return chain


def _find_circle(start: int) -> list[int] | None:
    chain = _chain(start)
    waits = [_waits.get(ident) for ident in chain]
    if all(w is not None and w.endless for w in waits):
        last = waits[-1]
        if last is not None and last.blocker() == start:
            return chain
    return None


# --- describing ------------------------------------------------------------


def _place(frame: FrameType | None) -> str:
    while frame is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    if frame is None:
        return "an unknown place"
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _name(ident: int) -> str:
    thread = threading._active.get(ident)  # type: ignore[attr-defined]
    return f"thread {thread.name!r}" if thread else f"thread {ident}"


def _describe(idents: list[int]) -> str:
    now = time.monotonic()
    frames = sys._current_frames()
    return "".join(
        line for ident in idents for line in _lines(ident, now, frames)
    )


def _lines(
    ident: int, now: float, frames: dict[int, FrameType]
) -> Iterator[str]:
    yield f"{_name(ident)}\n"
    wait = _waits.get(ident)
    if wait is not None:
        blocker = wait.blocker()
        holder = "" if blocker is None else f", held by {_name(blocker)}"
        if isinstance(wait.target, threading.Thread):
            holder = ""
        yield (
            f"  has been waiting for {now - wait.since:.1f} s for "
            f"{wait.target!r}{holder}\n"
        )
    for lock in _held.get(ident, []):
        yield (
            f"  holds {lock!r} since {now - lock.since:.1f} s ago, "
            f"taken at {lock.taken_at}\n"
        )
    frame = frames.get(ident)
    while frame is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    if frame is not None:
        yield "  its stack:\n"
        for entry in traceback.format_stack(frame):
            yield "".join(f"  {line}\n" for line in entry.splitlines())


def _after_fork_in_child() -> None:
    global _registry
    _registry = _thread.RLock()
    me = _thread.get_ident()
    for table in (_held, _waits):
        for ident in [i for i in table if i != me]:
            del table[ident]


os.register_at_fork(after_in_child=_after_fork_in_child)
