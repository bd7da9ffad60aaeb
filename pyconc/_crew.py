"""The worker threads of one pool: started, ended, joined.

One group serves a ThreadPoolExecutor and a ThreadPool alike.  It never refers
to its pool, so that a pool which is dropped is collected; its threads refer
to it, so that it lives as long as they do.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from . import _core
from .errors import PoolTerminatedError

# Engine phase, as in csrc/pool/engine.h.
_OPEN = 0

_groups: weakref.WeakSet[ThreadGroup] = weakref.WeakSet()


class ThreadGroup:
    """See the module.

    limit: how many threads at most.
    on_init_error: called with what the initializer raised, in the thread that
        it was raised in, which then ends.
    daemon: the interpreter does not wait for the threads.
    idle_timeout: seconds after which a thread without work ends, None: never.
    copies_context: each task runs in a copy of its submitter's context.
    """

    def __init__(
        self,
        limit: int,
        future_type: type,
        *,
        name: Callable[[int], str] | None,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
        on_init_error: Callable[[ThreadGroup, BaseException], object],
        daemon: bool,
        idle_timeout: float | None = None,
        copies_context: bool = False,
    ) -> None:
        self.threads: set[threading.Thread] = set()
        self.daemon = daemon
        self._name = name
        self._initializer = initializer
        self._initargs = initargs
        self._on_init_error = on_init_error
        self._owner = os.getpid()
        self._lock = threading.RLock()
        self._started = 0
        self._collector: threading.Thread | None = None
        self._sleeper: threading.Thread | None = None
        self._on_finish: Callable[[], object] | None = None
        reference = weakref.ref(self)

        def start_collector() -> None:
            group = reference()
            if group is not None:
                group._start_collector()

        self.engine = _core.ThreadEngine(
            limit, future_type, start_collector, idle_timeout, copies_context
        )
        _groups.add(self)

    # --- starting ----------------------------------------------------------

    def start(self, wanted: int) -> None:
        """Bring the number of threads up to `wanted`, all or nothing."""
        try:
            for _ in range(wanted - self.engine.worker_count):
                if self.engine.broken is not None:
                    break  # by an initializer
                self.grow()
        except BaseException:
            self.close()
            self.join()
            raise

    def grow(self) -> None:
        """Start one more thread."""
        with self._lock:
            name = None if self._name is None else self._name(self._started)
            thread = threading.Thread(
                target=self._work, name=name, daemon=self.daemon
            )
            self.engine.worker_count += 1
            # Before it starts: it may be done with everything when start()
            # returns.
            self.threads.add(thread)
            try:
                thread.start()
            except BaseException:
                if thread.ident is None:
                    self.engine.worker_count -= 1
                    self.threads.discard(thread)
                raise
            self._started += 1

    def _work(self) -> None:
        try:
            if self._initializer is not None:
                try:
                    self._initializer(*self._initargs)
                except BaseException as error:
                    self.engine.worker_count -= 1
                    self._on_init_error(self, error)
                    return
            self.engine.work()
        finally:
            self._leave()

    def _leave(self) -> None:
        with self._lock:
            if self.engine.phase == _OPEN:  # idle for too long
                self.threads.discard(threading.current_thread())
            if self.engine.worker_count or self.engine.phase == _OPEN:
                return
            on_finish, self._on_finish = self._on_finish, None
        if on_finish is not None:
            on_finish()

    def when_finished(self, call: Callable[[], object]) -> None:
        """Have `call()` made when the last thread of a closed group ends."""
        self._on_finish = call

    def _start_collector(self) -> None:
        thread = threading.Thread(
            target=self.engine.collect, name="pyconc-collector", daemon=True
        )
        thread.start()
        self._collector = thread

    # --- tasks that wait for their time -------------------------------------

    def enable_timers(self) -> None:
        """Let the engine have timers."""
        reference = weakref.ref(self)

        def grow() -> None:
            group = reference()
            if group is not None:
                group.grow()

        self.engine.enable_timers(grow)

    def watch(self, name: str) -> None:
        """Start the thread that sleeps until tasks are due."""
        with self._lock:
            thread = threading.Thread(
                target=self._watch, name=name, daemon=self.daemon
            )
            before, self._sleeper = self._sleeper, thread
            try:
                thread.start()
            except BaseException:
                if thread.ident is None:
                    self._sleeper = before
                raise

    def _watch(self) -> None:
        self.engine.watch_timers()

    # --- ending ------------------------------------------------------------

    def close(self, *, at_exit: bool = False) -> None:
        """Accept no more tasks; threads end when all are done.

        Periodic tasks end; what waits for its time still runs then, but not
        at the interpreter's exit.
        """
        if self._owner == os.getpid():
            self.engine.close()
            self.engine.cancel_timers(at_exit)

    def join(self, timeout: float | None = None) -> bool:
        """Wait until all threads have ended and callbacks returned.

        False if that was not so within `timeout` seconds.  Raises
        RuntimeError in one of these threads.
        """
        if self._owner != os.getpid():
            return True
        end = None if timeout is None else time.monotonic() + timeout
        if threading.current_thread() in self.threads:
            raise RuntimeError("cannot join current thread")
        while True:
            # First as all our waits, which look for signals; Thread.join does
            # not notice one that another thread gets.  And whoever submitted
            # last may have yet to start a thread for it.
            left = None if end is None else max(0.0, end - time.monotonic())
            if not self.engine.wait_idle(left):
                return False
            with self._lock:  # not amid a start
                living = [t for t in self.threads if t.is_alive()]
            if not living:
                break
            left = None if end is None else max(0.0, end - time.monotonic())
            living[0].join(left)
            if living[0].is_alive():
                return False
        left = None if end is None else max(0.0, end - time.monotonic())
        if not self._join_sleeper(left):
            return False
        self._end_collector()
        return True

    def _join_sleeper(self, timeout: float | None) -> bool:
        sleeper = self._sleeper
        if sleeper is None or sleeper is threading.current_thread():
            return True
        sleeper.join(timeout)
        return not sleeper.is_alive()

    def _end_collector(self) -> None:
        self.engine.retire()
        collector = self._collector
        if (
            collector is not None
            and collector is not threading.current_thread()
        ):
            collector.join()

    def terminate(self) -> None:
        """Fail what is queued; threads end after their current task.

        What runs cannot be stopped, and is not waited for.
        """
        if self._owner != os.getpid():
            return
        self.engine.fail(
            PoolTerminatedError(
                "the pool was terminated before this task was done"
            ),
            ValueError("Pool not running"),
        )
        self.engine.halt()
        self.engine.retire()

    def processes(self) -> list[threading.Thread]:
        """The living workers, in the order of their start."""
        return sorted(
            (t for t in list(self.threads) if t.is_alive()),
            key=lambda thread: thread.ident or 0,
        )

    def _after_fork_in_child(self) -> None:
        self._lock = threading.RLock()
        # A task that forks goes on in the child, in what is left of its
        # thread.
        self.threads.intersection_update([threading.current_thread()])
        self._collector = None
        self._sleeper = None
        if self.engine.after_fork():
            self._owner = os.getpid()


def _after_fork_in_child() -> None:
    for group in list(_groups):
        # What one group cannot do must not keep the others from it.
        with contextlib.suppress(Exception):
            group._after_fork_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)
