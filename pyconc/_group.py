"""The worker processes of one pool: started, watched, replaced, ended.

One group serves a Pool and a ProcessPoolExecutor alike; what differs (what a
death means, which process class) is told at its making.  The group never
refers to its pool, so that a pool which is dropped is collected.

Threads.  The *watcher* sleeps in poll() on a pidfd per worker and acts when
one ends; only it sweeps, replaces and reaps.  The *collector* is started by
the engine when something has to be completed that nobody waits for.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import select
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver, popen_fork, spawn, util
from typing import Any, Protocol

from . import _core
from ._worker import WorkerPlan, worker_main
from .errors import PoolTerminatedError, WorkerLostError

# Slot states, as in csrc/workers/layout.h.
_LEAVING = 2
_INIT_FAILED = 3

# Engine phases, as in csrc/workers/engine.h.
_OPEN = 0
_ENDED = 2

# What workers find of __main__, as in csrc/workers/engine.h.
_MAIN_SHARED = 0
_MAIN_RERUN = 1
_MAIN_MISSING = 2

# How long a worker that was told to leave may take before it is killed.
_LEAVE_GRACE = 1.0

# How long a worker may take from closing its descriptors to being dead.
_EXIT_GRACE = 0.2

_groups: weakref.WeakSet[WorkerGroup] = weakref.WeakSet()
# Held while a group makes descriptors that forked children must close, and
# across every fork.
_registering = threading.Lock()


class _Member:
    """One worker process in its slot."""

    def __init__(self, process: Any, slot: int, pidfd: int) -> None:
        self.process = process
        self.slot = slot
        self.pid: int = process.pid
        self.pidfd = pidfd
        self.sentinel: int = process.sentinel

    def ended(self) -> bool:
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(0))

    def signal(self, number: int) -> None:
        if self.pidfd < 0:
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    def reap(self) -> int | None:
        """Return the exit code, None if somebody else has taken it."""
        code: int | None = None
        with contextlib.suppress(ChildProcessError, OSError):
            result = os.waitid(
                os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT
            )
            if result is not None:
                code = result.si_status
                if result.si_code != os.CLD_EXITED:
                    code = -code
        self.process.join(1)
        if self.process.exitcode is not None:
            code = self.process.exitcode
        return code

    def close(self) -> None:
        os.close(self.pidfd)
        self.pidfd = -1


def describe_exit(exitcode: int | None) -> str:
    """Say in words how a process ended."""
    if exitcode is None:
        return "ended; its exit status is unknown, the program took it"
    if exitcode >= 0:
        return f"ended with exit code {exitcode}"
    try:
        name = signal.Signals(-exitcode).name
    except ValueError:
        name = f"signal {-exitcode}"
    hint = " (probably out of memory)" if -exitcode == signal.SIGKILL else ""
    return f"was killed by {name}{hint}"


class WorkerGroup:
    """See the module."""

    def __init__(
        self,
        count: int,
        context: Any,
        future_type: type,
        *,
        make_process: Callable[..., Any],
        flavour: str,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
        max_tasks: int | None,
        reseed: bool,
        replace_lost: bool,
    ) -> None:
        self.count = count
        self.context = context
        self.replace_lost = replace_lost
        self._make_process = make_process
        self._flavour = flavour
        self._initializer = initializer
        self._initargs = initargs
        self._max_tasks = max_tasks or 0
        self._reseed = reseed
        self._owner = os.getpid()
        self._members: dict[int, _Member] = {}
        self._lock = threading.RLock()
        self._watcher: threading.Thread | None = None
        self._collector: threading.Thread | None = None
        self._ending: float | None = None  # when grace ends, monotonic
        self._deaths = 0  # in a row, without a finished task
        self._finished_at_death = 0
        self._descriptors: list[int] = []
        self._finished = False
        self._on_finish: Callable[[], object] | None = None

        reference = weakref.ref(self)

        def start_collector() -> None:
            group = reference()
            if group is not None:
                group._start_collector()

        method = context.get_start_method()
        self._main_travels = _main_travels(method)
        self.engine = _core.ProcessEngine(
            count, future_type, start_collector, self._main_travels
        )
        if method != "fork" and self.engine.region_fd < 0:
            raise OSError(
                errno.EFBIG,
                "the limit on file sizes (RLIMIT_FSIZE) leaves no room for "
                f"shared memory that {method} can pass on; raise it or use "
                "the fork start method",
            )
        try:
            # Known to the fork handler before anybody can fork.
            with _registering:
                self._lifeline, self._lifeline_end = _core.lifeline_open()
                self._descriptors += [self._lifeline, self._lifeline_end]
                _groups.add(self)
            self._wakeup = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            self._descriptors.append(self._wakeup)
        except BaseException:
            self._close_descriptors()
            raise
        _core.crash_role("parent")

    # --- starting ----------------------------------------------------------

    def start(self, wanted: int) -> None:
        """Bring the number of workers up to `wanted`, all or nothing."""
        with self._lock:
            started: list[_Member] = []
            try:
                for slot in range(self.count):
                    if len(self._members) >= wanted:
                        break
                    if slot not in self._members:
                        started.append(self._start_worker(slot))
            except BaseException:
                for member in started:
                    del self._members[member.slot]
                    member.signal(signal.SIGKILL)
                for member in started:
                    _wait_ended(member, None)
                    member.reap()
                    member.close()
                    self.engine.sweep(member.slot, _no_task)
                self.engine.started = len(self._members)
                if not self._members:
                    self.abandon()
                raise
            self._start_watcher()
        self._wake_watcher()

    def grow(self) -> None:
        """Start one more worker, if there is a slot for it."""
        self.start(min(self.count, len(self._members) + 1))

    def _start_worker(self, slot: int) -> _Member:
        plan = WorkerPlan(
            self.engine,
            self._lifeline,
            slot,
            self._flavour,
            self._initializer,
            self._initargs,
            self._max_tasks,
            self._reseed,
            self._main_travels == _MAIN_MISSING,
        )
        process = self._make_process(target=worker_main, args=(plan,))
        if self._flavour == "pool":
            process.name = process.name.replace("Process", "PoolWorker")
            process.daemon = True
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        _starting.add(threading.get_ident())
        try:
            with _without_missing_main():
                process.start()
        except (OSError, EOFError) as error:
            _close_stranded(error)
            explained = _explained(error)
            if explained is error:
                raise
            raise explained from error
        finally:
            _starting.discard(threading.get_ident())
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        try:
            pidfd = os.pidfd_open(process.pid)
        except OSError:
            process.kill()
            process.join(1)
            raise
        member = _Member(process, slot, pidfd)
        self._members[slot] = member
        self.engine.started = len(self._members)
        return member

    def _start_watcher(self) -> None:
        if self._watcher is None:
            thread = threading.Thread(
                target=self._watch, name="pyconc-watcher", daemon=True
            )
            thread.start()
            self._watcher = thread

    def _start_collector(self) -> None:
        thread = threading.Thread(
            target=self.engine.collect, name="pyconc-collector", daemon=True
        )
        thread.start()
        self._collector = thread

    # --- watching ----------------------------------------------------------

    def _wake_watcher(self) -> None:
        # The number of a closed descriptor may be somebody else's by now.
        with self._lock:
            if self._descriptors:
                os.eventfd_write(self._wakeup, 1)

    def _watch(self) -> None:
        """Live as the watcher, until there is nobody left to watch."""
        try:
            while self._watch_once():
                pass
        finally:
            self._finish()

    def _watch_once(self) -> bool:
        with self._lock:
            members = list(self._members.values())
            if not members and self._is_over():
                return False
        poll = select.poll()
        poll.register(self._wakeup, select.POLLIN)
        by_descriptor: dict[int, _Member] = {}
        for member in members:
            by_descriptor[member.pidfd] = member
            by_descriptor[member.sentinel] = member
            poll.register(member.pidfd, select.POLLIN)
            poll.register(member.sentinel, select.POLLIN)
        timeout = None
        if self._ending is not None:
            timeout = max(0.0, (self._ending - time.monotonic()) * 1000)
        events = poll.poll(timeout)
        ended: set[_Member] = set()
        for descriptor, _ in events:
            if descriptor == self._wakeup:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self._wakeup)
            else:
                ended.add(by_descriptor[descriptor])
        for member in ended:
            # End-of-file on the sentinel with the process alive: it became
            # another program, or closed what is not its own.
            if not _wait_ended(member, _EXIT_GRACE):
                member.signal(signal.SIGKILL)
                _wait_ended(member, None)
            self._on_end(member)
        if self._ending is not None and time.monotonic() >= self._ending:
            for member in members:
                member.signal(signal.SIGKILL)
        return True

    def _is_over(self) -> bool:
        return self._ending is not None or (
            self.engine.phase != _OPEN and self.engine.pending == 0
        )

    def _on_end(self, member: _Member) -> None:
        status, init_error = self.engine.slot(member.slot)
        exitcode = member.reap()
        with self._lock:  # signals are sent under it
            member.close()
        closing = self.engine.phase != _OPEN
        clean = status == _LEAVING
        fatal: BaseException | None = None

        if init_error is not None or status == _INIT_FAILED:
            fatal = self._initializer_error(init_error)
        elif not clean and not self.replace_lost and self._ending is None:
            fatal = BrokenProcessPool(
                "A process in the process pool was terminated abruptly while "
                "the future was running or pending: worker process "
                f"{member.pid} {describe_exit(exitcode)}"
            )

        def make_error(function: str | None) -> BaseException:
            if fatal is not None:
                return fatal
            return WorkerLostError(
                f"worker process {member.pid} {describe_exit(exitcode)} "
                f"while it ran {function or 'a task'}",
                member.pid,
                exitcode,
                function,
            )

        if fatal is not None:
            self.engine.fail(fatal)
        self.engine.sweep(member.slot, make_error)
        with self._lock:
            self._members.pop(member.slot, None)
            self.engine.started = len(self._members)
        if fatal is not None:
            self._end_all()
        elif not clean and self._ending is None:
            self._count_death(member, exitcode)
        if not (closing and self.engine.pending == 0):
            self._replace()

    def _initializer_error(self, error: BaseException | None) -> BaseException:
        if self._flavour == "pool" and isinstance(error, Exception):
            return error
        broken = BrokenProcessPool(
            "A process in the process pool was terminated abruptly: its "
            f"initializer raised {error!r}"
        )
        broken.__cause__ = error
        return broken

    def _count_death(self, member: _Member, exitcode: int | None) -> None:
        if self.engine.finished != self._finished_at_death:
            self._finished_at_death = self.engine.finished
            self._deaths = 0
        self._deaths += 1
        limit = max(10, 2 * self.count)
        if self._deaths >= limit:
            self.engine.fail(
                WorkerLostError(
                    f"{self._deaths} workers in a row ended without finishing "
                    f"a task; the last one, process {member.pid}, "
                    f"{describe_exit(exitcode)}. The pool has given up",
                    member.pid,
                    exitcode,
                )
            )
            self._end_all()

    def _replace(self) -> None:
        if self._ending is not None:
            return
        if self.engine.broken is not None or self.engine.phase == _ENDED:
            return
        if self.engine.phase != _OPEN and self.engine.pending == 0:
            return
        wanted = self.count
        if self._flavour == "futures" and self.grows_on_demand():
            wanted = min(wanted, max(len(self._members), self.engine.pending))
        try:
            self.start(wanted)
        except Exception as error:
            if not self._members:
                broken = BrokenProcessPool(
                    f"no worker is left and none can be started: {error}"
                )
                broken.__cause__ = error
                self.engine.fail(broken)

    def grows_on_demand(self) -> bool:
        """Whether workers are started one by one, as in the stdlib."""
        return bool(self.context.get_start_method() != "fork")

    # --- ending ------------------------------------------------------------

    def close(self, *, at_exit: bool = False) -> None:
        """Accept no more tasks; workers leave when all are done.

        at_exit: join() follows.  The collector is not needed then, and 3.12
            could not start it: it starts no threads at exit.
        """
        if self._owner != os.getpid():
            return
        if self.engine.close() and not at_exit:
            self.engine.need_collector()
        self._wake_watcher()

    def join(self) -> None:
        """Wait until all tasks are done, callbacks returned, workers gone."""
        if self._owner != os.getpid():
            return
        while not self.engine.wait_idle(None):
            pass
        self.close()
        watcher = self._watcher
        if watcher is not None and watcher is not threading.current_thread():
            watcher.join()
        self._end_collector()

    def _end_collector(self) -> None:
        self.engine.retire()
        collector = self._collector
        if (
            collector is not None
            and collector is not threading.current_thread()
        ):
            collector.join()

    def _end_all(self) -> None:
        """Have every worker leave; the watcher kills those that do not."""
        with self._lock:
            if self._ending is None:
                self._ending = time.monotonic() + _LEAVE_GRACE
            self.engine.halt()
            for member in self._members.values():
                member.signal(signal.SIGTERM)
        self._wake_watcher()

    def terminate(self) -> None:
        """Fail what is pending, end all workers within a second."""
        if self._owner != os.getpid():
            return
        self.engine.fail(
            PoolTerminatedError("the pool was terminated before this task was done"),
            ValueError("Pool not running"),
        )
        self._end_all()
        watcher = self._watcher
        if watcher is not None and watcher is not threading.current_thread():
            watcher.join()
        self._end_collector()

    def kill(self, number: int, error: BaseException) -> None:
        """Fail what is pending and send every worker a signal, at once."""
        if self._owner != os.getpid():
            return
        self.engine.fail(error)
        with self._lock:
            for member in self._members.values():
                member.signal(number)
        self._end_all()

    def abandon(self) -> None:
        """Give back everything of a group that has no worker."""
        self._finish()

    def _finish(self) -> None:
        self.engine.close()
        self.engine.halt()
        if self.engine.pending:
            self.engine.fail(
                PoolTerminatedError("the pool has no worker any more")
            )
        self.engine.retire()
        with self._lock:
            self._close_descriptors()
            self._finished = True
            on_finish, self._on_finish = self._on_finish, None  # may refer here
        if on_finish is not None:
            on_finish()

    def when_finished(self, call: Callable[[], object]) -> None:
        """Have `call()` made when the last worker has gone, or at once."""
        with self._lock:
            if not self._finished:
                self._on_finish = call
                return
        call()

    def _close_descriptors(self) -> None:
        descriptors, self._descriptors = self._descriptors, []
        for descriptor in descriptors:
            os.close(descriptor)

    def processes(self) -> list[Any]:
        """The living workers, by slot."""
        with self._lock:
            return [m.process for _, m in sorted(self._members.items())]

    def _after_fork_in_child(self) -> None:
        self._lock = threading.RLock()
        self._watcher = self._collector = None
        self._members = {}
        # The lifeline's write end must stay with the owner alone.  (A fork in
        # the middle of _close_descriptors finds nothing here; what it then
        # keeps open belongs to a pool that has ended.)
        if self._lifeline_end in self._descriptors:
            self._descriptors.remove(self._lifeline_end)
            os.close(self._lifeline_end)


def _explained(error: OSError | EOFError) -> OSError:
    """Say which limit kept a process from starting."""
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EAGAIN:
        text = (
            "no process can be started: the limit on processes "
            "(RLIMIT_NPROC, or pids.max of the cgroup) is reached"
        )
    elif number in (None, errno.ECONNREFUSED, errno.EPIPE):
        number = number or errno.EPIPE
        text = (
            "the fork server ended while it started a worker, probably out "
            "of file descriptors"
        )
    else:
        return error  # type: ignore[return-value]  # it says so itself
    return OSError(number, text)


def _close_stranded(error: OSError | EOFError) -> None:
    """Close the pipes that the stdlib leaves open when a start fails.

    popen_fork and forkserver make two pipes before they fork or send; when
    the second one, or the fork, fails, only that frame knows the first.
    """
    makers = (
        popen_fork.Popen._launch.__code__,  # type: ignore[attr-defined]
        forkserver.ForkServer.connect_to_new_process.__code__,
    )
    step = error.__traceback__
    while step is not None:
        known = step.tb_frame.f_locals
        # From "allfds" on the forkserver's client cleans up itself.
        if step.tb_frame.f_code in makers and "allfds" not in known:
            for name in ("parent_r", "child_w", "child_r", "parent_w"):
                if name in known:
                    os.close(known[name])
        step = step.tb_next


def _main_file_is_missing() -> bool:
    """Whether __main__ claims a file that is none, as on standard input."""
    path = getattr(sys.modules["__main__"], "__file__", None)
    return path is not None and not os.path.exists(path)


def _main_travels(method: str) -> int:
    if method == "fork":
        return _MAIN_SHARED
    plan = spawn.get_preparation_data("")
    if "init_main_from_name" in plan:
        return _MAIN_RERUN
    if "init_main_from_path" in plan and not _main_file_is_missing():
        return _MAIN_RERUN
    return _MAIN_MISSING


@contextlib.contextmanager
def _without_missing_main() -> Iterator[None]:
    """Keep a started process from running a file that does not exist."""
    main = sys.modules["__main__"]
    if not _main_file_is_missing():
        yield
        return
    path = main.__file__
    main.__file__ = None
    try:
        yield
    finally:
        main.__file__ = path


def _no_task(function: str | None) -> BaseException:
    return WorkerLostError("the worker was stopped while the pool started")


def _wait_ended(member: _Member, timeout: float | None) -> bool:
    poll = select.poll()
    poll.register(member.pidfd, select.POLLIN)
    return bool(poll.poll(None if timeout is None else timeout * 1000))


# Whether garbage was collected when the fork began that is under way.
_collecting = False
# The threads that are starting workers.
_starting: set[int] = set()


def _before_fork() -> None:
    global _collecting
    _registering.acquire()
    # Until locks are made anew in the child, a finalizer there could wait for
    # one that no thread holds.
    _collecting = gc.isenabled()
    gc.disable()


def _after_fork_in_parent() -> None:
    if _collecting:
        gc.enable()
    _registering.release()


def _after_fork_in_child() -> None:
    _registering.release()
    for group in list(_groups):
        group._after_fork_in_child()
    if threading.get_ident() in _starting:
        # This is a worker: what was forked along is the parent's to collect.
        # And the pages stay shared.
        gc.freeze()
    _starting.clear()
    if _collecting:
        gc.enable()


os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)


class _Terminable(Protocol):
    def terminate(self) -> None: ...


def end_with(owner: object, group: _Terminable, priority: int) -> util.Finalize:
    """End the group when `owner` is collected or the interpreter exits."""
    return util.Finalize(
        owner, _terminate_at_end, args=(group,), exitpriority=priority
    )


def _terminate_at_end(group: _Terminable) -> None:
    group.terminate()
