"""Lock, RLock and what waits for them, used while a wait is in the middle.

A handler, a finalizer or a conversion takes the very lock; the process forks
while threads wait; a wait ends by an exception.
"""

import gc
import os
import signal
import sys
import threading

import pytest

from support.blocking import (
    PATIENCE,
    Call,
    blocked_calls,
    signal_main,
    wait_asleep,
    when_main_sleeps,
)
from support.children import in_forked_child
from support.impls import NAMES
from support.scripts import run_source
from support.sync import load_sync, only_pyconc


class Interrupted(Exception):
    """Raised by the handler."""


@pytest.fixture(params=NAMES)
def sync(request):
    return load_sync(request.param)


@pytest.fixture(params=["Lock", "RLock"])
def kind(request):
    return request.param


@pytest.fixture
def lock(sync, kind):
    return getattr(sync.threading, kind)()


@pytest.fixture
def switch_after():
    """Set how long a thread keeps the GIL."""
    before = sys.getswitchinterval()
    yield sys.setswitchinterval
    sys.setswitchinterval(before)


class Held:
    """A thread that takes a lock and keeps it until release()."""

    def __init__(self, lock):
        self.taken, self.go = threading.Event(), threading.Event()

        def hold():
            with lock:
                self.taken.set()
                assert self.go.wait(PATIENCE)

        self.call = Call(hold)

    def wait_taken(self):
        assert self.taken.wait(PATIENCE)
        return self

    def release(self):
        self.go.set()
        self.call.result()


class Notifying:
    """A thread that notifies a condition and stays in it until leave()."""

    def __init__(self, condition):
        notified, self.go = threading.Event(), threading.Event()

        def notify_and_stay():
            with condition:
                condition.notify()
                notified.set()
                assert self.go.wait(PATIENCE)

        self.call = Call(notify_and_stay)
        assert notified.wait(PATIENCE)

    def leave(self):
        self.go.set()
        self.call.result()


def wake_for_nothing(lock, native_id):
    """Let a thread find the lock taken whenever it was woken.

    Our thread has the lock, and must not lose the GIL in between.
    """
    for _ in range(6):
        wait_asleep(native_id)
        lock.release()
        assert lock.acquire(False)
    wait_asleep(native_id)


def exit_code_of_child(function):
    """Fork at once, while no other thread has run; 0: the function said yes."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(20)
            code = 0 if function() else 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def interrupt(inside):
    """Signal main and wait until it is in the handler."""
    signal_main()
    assert inside.wait(PATIENCE)


# --- handlers that wait for what main waits for --------------------------------

# The standard library's semaphore is Python code over a lock; no handler may
# use it.
KINDS = [
    (side, kind)
    for side in NAMES
    for kind in ("Lock", "RLock", "Semaphore")
    if side == "pyconc" or kind != "Semaphore"
]
with_semaphore = pytest.mark.parametrize(("sync", "kind"), KINDS, indirect=["sync"])


@with_semaphore
@pytest.mark.parametrize("state", ["held", "free"])
def test_a_handler_takes_what_main_waits_for(handle, lock, state):
    inside, released, results = threading.Event(), threading.Event(), []

    def handler(*_):
        inside.set()
        if state == "free":
            assert released.wait(PATIENCE)
        results.append(lock.acquire(timeout=PATIENCE))
        lock.release()

    handle(handler)
    holder = Held(lock).wait_taken()
    helper = when_main_sleeps(lambda: interrupt(inside), holder.release, released.set)
    results.append(lock.acquire(timeout=PATIENCE))
    helper.result()
    assert results == [True, True]
    lock.release()
    assert lock.acquire(False) is True


@only_pyconc
def test_a_handler_takes_what_main_has_waited_for_long(handle, switch_after, lock):
    """Main, which nobody was to overtake any more, cannot take it now."""
    main = threading.main_thread().native_id
    taken, inside, released = (threading.Event() for _ in range(3))
    results = []

    def hold():
        with lock:
            taken.set()
            wake_for_nothing(lock, main)
            interrupt(inside)
        released.set()

    def handler(*_):
        inside.set()
        assert released.wait(PATIENCE)
        results.append(lock.acquire(timeout=PATIENCE))
        lock.release()

    handle(handler)
    switch_after(5)
    holder = Call(hold)
    assert taken.wait(PATIENCE)
    results.append(lock.acquire(timeout=PATIENCE))
    holder.result()
    assert results == [True, True]


@with_semaphore
def test_a_handler_waits_for_a_thread_that_waits_behind_main(handle, lock):
    inside, done, results, workers = threading.Event(), threading.Event(), [], []

    def work():
        with lock:
            done.set()

    def handler(*_):
        inside.set()
        results.append(done.wait(PATIENCE))

    handle(handler)
    holder = Held(lock).wait_taken()
    helper = when_main_sleeps(
        lambda: workers.append(Call(work).blocked()),
        lambda: interrupt(inside),
        holder.release,
    )
    results.append(lock.acquire(timeout=PATIENCE))
    helper.result()
    workers[0].result()
    assert results == [True, True]


@only_pyconc
def test_a_handler_enters_the_condition_that_main_enters_again(sync, handle, lock):
    condition, inside = sync.threading.Condition(lock), threading.Event()
    results, notifying = [], []

    def handler(*_):
        inside.set()
        results.append(condition.acquire(timeout=PATIENCE))
        condition.release()

    handle(handler)
    helper = when_main_sleeps(
        lambda: notifying.append(Notifying(condition)),
        lambda: interrupt(inside),
        lambda: notifying[0].leave(),
    )
    with condition:
        results.append(condition.wait(PATIENCE))
        assert not Call(condition.acquire, False).result()
    helper.result()
    assert results == [True, True]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="collects between calls only")
def test_a_finalizer_uses_what_its_thread_waits_for(sync):
    lock, finalized = sync.threading.RLock(), threading.Event()

    class Garbage:
        def __init__(self):
            self.thread, self.itself = threading.get_ident(), self

        def __del__(self):
            if self.thread == threading.get_ident():
                with lock:
                    finalized.set()

    def take():
        Garbage()
        gc.set_threshold(1)
        # new sets, so the collector is due when the call begins
        _ = {0}, {0}, {0}, {0}, lock.acquire()
        lock.release()

    before = gc.get_threshold()
    gc.set_threshold(100000)
    try:
        with lock:
            taker = Call(take).blocked()
            gc.set_threshold(*before)
        assert taker.ended() is None
        assert lock.acquire(timeout=PATIENCE) is True
    finally:
        gc.set_threshold(*before)


# --- forks ---------------------------------------------------------------------


def test_made_anew_in_a_child_while_threads_were_after_it(switch_after, lock):
    """Some of them had waited so long that nobody was to be faster."""
    stop = threading.Event()

    def hammer():
        while not stop.is_set():
            lock.acquire()
            lock.release()

    def child():
        lock._at_fork_reinit()
        return lock.acquire()

    def tease():
        """Wake the others and be faster, again and again."""
        for _ in range(31):
            if lock.acquire(False):
                sum(range(200))
                lock.release()

    switch_after(1e-4)
    calls = [Call(hammer) for _ in range(3)]
    try:
        for _ in range(50):
            tease()
            assert exit_code_of_child(child) == 0
    finally:
        stop.set()
    for call in calls:
        call.result()


@only_pyconc
@pytest.mark.parametrize("state", ["free", "made anew"])
def test_a_child_takes_what_a_thread_was_woken_for(switch_after, lock, state):
    """That thread had waited for long, and is not in the child."""

    def child():
        if state == "made anew":
            lock._at_fork_reinit()
        return lock.acquire()

    switch_after(5)
    lock.acquire()
    holder = Held(lock)
    wake_for_nothing(lock, holder.call.native_id)
    lock.release()
    assert exit_code_of_child(child) == 0
    holder.wait_taken().release()


@only_pyconc
def test_a_handler_takes_it_and_forks_in_a_wait(sync, handle, switch_after):
    """The wait goes on in the child, and ends there like any other."""
    lock, main = sync.threading.Lock(), threading.main_thread().native_id
    taken, inside, released = (threading.Event() for _ in range(3))
    pids = []

    def release_when_asleep(native_id):
        wait_asleep(native_id)
        lock.release()

    def handler(*_):
        inside.set()
        assert released.wait(PATIENCE)
        assert lock.acquire(False)
        pids.append(os.fork())
        if pids == [0]:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(20)
            Call(release_when_asleep, threading.get_native_id())
        else:
            lock.release()

    def act():
        with lock:
            taken.set()
            wake_for_nothing(lock, main)
            interrupt(inside)
        released.set()

    handle(handler)
    switch_after(5)
    helper = Call(act)
    assert taken.wait(PATIENCE)
    code = 1
    try:
        assert lock.acquire(timeout=PATIENCE)
        lock.release()
        if pids == [0]:
            code = 0 if lock.acquire() else 2
    finally:
        if pids == [0]:
            os._exit(code)
    helper.result()
    assert os.waitstatus_to_exitcode(os.waitpid(pids[0], 0)[1]) == 0


def test_a_thread_of_a_child_forks_and_has_the_ident_of_one_that_waited(sync):
    lock = sync.threading.Lock()

    def take_and_give():
        with lock:
            pass

    def grandchild():
        waiter = Call(lock.acquire, timeout=10).blocked()
        lock.release()
        return waiter.result()

    def child():
        return Call(in_forked_child, grandchild).result()

    lock.acquire()
    waiters = blocked_calls(4, take_and_give)
    try:
        assert in_forked_child(child) == (str(("True", 0)), 0)
    finally:
        lock.release()
    for waiter in waiters:
        waiter.result()


# --- notifications -------------------------------------------------------------


@only_pyconc
def test_an_interrupted_wait_passes_its_notification_on(sync, handle, lock):
    condition, others, notifying = sync.threading.Condition(lock), [], []

    def handler(*_):
        raise Interrupted

    def wait():
        with condition:
            return condition.wait(PATIENCE)

    handle(handler)
    helper = when_main_sleeps(
        lambda: others.append(Call(wait).blocked()),
        lambda: notifying.append(Notifying(condition)),
        signal_main,
        lambda: notifying[0].leave(),
    )
    with condition:
        with pytest.raises(Interrupted):
            condition.wait(PATIENCE)
    helper.result()
    assert others[0].result() is True


# --- arguments -----------------------------------------------------------------


class Number:
    """Asked as a number it is `index`, asked as a truth `truth`."""

    def __init__(self, index, truth, action=lambda: None):
        self.index, self.truth, self.action = index, truth, action

    def __index__(self):
        self.action()
        return self.index

    def __bool__(self):
        self.action()
        return self.truth

    def __repr__(self):
        return f"{type(self).__name__}({int(self.index)}, {self.truth})"


class WrongInt(int):
    """Of which bool() says the opposite."""

    def __bool__(self):
        return int(self) == 0

    def __repr__(self):
        return f"WrongInt({int(self)})"


BLOCKING = [Number(0, True), Number(1, False), WrongInt(0), WrongInt(1)]


@pytest.mark.parametrize("value", BLOCKING, ids=repr)
def test_what_is_true_of_blocking(lock, value):
    """The interpreter's own lock refuses a timeout if it is not to block."""
    try:
        blocks = threading.Lock().acquire(value, 1)
    except ValueError:
        blocks = False
    holder = Held(lock).wait_taken()
    call = Call(lock.acquire, value)
    if blocks:
        call.blocked()
        holder.release()
    assert call.result() is blocks
    holder.release()


def test_each_argument_is_asked_once(lock):
    asked = []
    blocking = Number(1, True, lambda: asked.append("blocking"))
    timeout = Number(1, True, lambda: asked.append("timeout"))
    assert lock.acquire(blocking) is True
    assert asked == ["blocking"]
    lock.release()
    assert lock.acquire(blocking, timeout) is True
    assert sorted(asked[1:]) == ["blocking", "timeout"]


@pytest.mark.parametrize("parameter", ["blocking", "timeout"])
def test_an_argument_that_takes_the_lock(lock, kind, parameter):
    results = []
    value = Number(0, False, lambda: results.append(lock.acquire(False)))
    assert lock.acquire(**{parameter: value}) is (kind == "RLock")
    assert results == [True]
    lock.release()


@only_pyconc
def test_a_timeout_of_zero_takes_what_is_free(switch_after, lock):
    """Though another thread, which was woken, has waited for long."""
    switch_after(5)
    lock.acquire()
    holder = Held(lock)
    wake_for_nothing(lock, holder.call.native_id)
    lock.release()
    taken = lock.acquire(True, 0)
    assert taken or lock.locked()
    if taken:
        lock.release()
    holder.wait_taken().release()


# --- types and states ----------------------------------------------------------


def test_the_types_are_immutable(lock):
    with pytest.raises(TypeError):
        type(lock).acquire = None
    with pytest.raises(TypeError):
        type(lock).mine = 1


@only_pyconc
def test_taking_back_what_was_not_held_leaves_it_free(sync):
    lock = sync.threading.RLock()
    lock._acquire_restore((0, threading.get_ident()))
    assert not lock.locked()
    assert Call(lock.acquire, False).result() is True


# --- PYCONC_DEBUG_LOCKS ---------------------------------------------------------

INTERRUPTED_ACQUIRES = """
import signal
import pyconc.threading as threading
from pyconc import _lock_debug as debug

class Interrupted(Exception):
    pass

def handler(*_):
    raise Interrupted

signal.signal(signal.SIGUSR1, handler)
registry, place = debug._registry, debug._place

class Registry:
    def __enter__(self):
        debug._registry = registry
        signal.raise_signal(signal.SIGUSR1)

    def __exit__(self, *_):
        pass

def place_once(frame):
    debug._place = place
    signal.raise_signal(signal.SIGUSR1)

for make in threading.Lock, threading.RLock:
    for name, value in ("_registry", Registry()), ("_place", place_once):
        lock = make()
        setattr(debug, name, value)
        try:
            lock.acquire()
        except Interrupted:
            print(lock.locked(), lock.owner, lock.count, debug._held)
"""


def test_an_interrupted_acquire_of_a_watched_lock(tmp_path, monkeypatch):
    """The handler raises when the lock was taken, not yet noted."""
    monkeypatch.setenv("PYCONC_DEBUG_LOCKS", "1")
    done = run_source(tmp_path, INTERRUPTED_ACQUIRES)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["False None 0 {}"] * 4
