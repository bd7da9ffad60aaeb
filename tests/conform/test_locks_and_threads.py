"""Lock, RLock, Thread and what else a user of threading finds there."""

import abc
import sys
import threading
import types
from unittest import mock

import pytest

from support.blocking import PATIENCE, Call
from support.sync import NAN, NO_TIMEOUT, TOO_LONG, only_pyconc


@pytest.fixture
def mod(sync):
    return sync.threading


@pytest.fixture(params=["Lock", "RLock"])
def lock(request, mod):
    return getattr(mod, request.param)()


@pytest.fixture
def start(mod):
    """Start threads that have ended at the end of the test."""
    threads = []

    def start(target, **kwds):
        threads.append(mod.Thread(target=target, **kwds))
        threads[-1].start()
        return threads[-1]

    yield start
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def free(lock):
    """Whether another thread could have it."""
    if taken := Call(lock.acquire, False).result():
        return taken
    return False


def test_every_public_name_is_there(mod):
    for name in [*threading.__all__, "BrokenBarrierError", "__excepthook__"]:
        assert hasattr(mod, name), name
        assert name in dir(mod)
    assert set(threading.__all__) <= set(mod.__all__)


def test_constants_and_exceptions(mod):
    assert mod.TIMEOUT_MAX == threading.TIMEOUT_MAX
    assert mod.ThreadError is threading.ThreadError
    assert mod.ThreadError is RuntimeError
    assert mod.ExceptHookArgs is threading.ExceptHookArgs


def test_a_lock_is_held_by_one(lock):
    assert lock.acquire() is True
    waiter = Call(lock.acquire).blocked()
    waiter_with_timeout = Call(lock.acquire, True, 0.01)
    assert waiter_with_timeout.result() is False
    assert lock.release() is None
    assert waiter.result() is True


def test_a_lock_is_a_context_manager(lock):
    with pytest.raises(KeyError), lock as entered:
        assert entered is True
        assert Call(lock.acquire, blocking=False).result() is False
        raise KeyError
    assert free(lock)


def test_release_of_a_lock_that_is_free(mod):
    with pytest.raises(RuntimeError, match=r"^release unlocked lock$"):
        mod.Lock().release()
    with pytest.raises(RuntimeError, match=r"^cannot release un-acquired lock$"):
        mod.RLock().release()


def test_another_thread_may_release_a_lock(mod):
    lock = mod.Lock()
    assert lock.locked() is False
    lock.acquire()
    assert lock.locked() is True
    Call(lock.release).result()
    assert lock.locked() is False


def test_only_the_owner_may_release_a_recursive_lock(mod):
    lock = mod.RLock()
    with lock:
        error = Call(lock.release).ended()
        assert type(error) is RuntimeError
        assert str(error) == "cannot release un-acquired lock"
        assert not free(lock)


def test_a_recursive_lock_counts(mod):
    lock = mod.RLock()
    for _ in range(3):
        assert lock.acquire() is True
    assert lock.acquire(False) is True
    for _ in range(4):
        assert not free(lock)
        lock.release()
    assert free(lock)


def blocked_by_another(lock):
    """Let a thread hold the lock for good."""
    Call(lock.acquire).result()
    return lock


def test_timeouts_of_locks(lock):
    blocked_by_another(lock)
    assert lock.acquire(timeout=0) is False
    assert lock.acquire(True, 0.01) is False
    assert lock.acquire(blocking=False) is False
    assert lock.acquire(False, -1) is False
    with pytest.raises(ValueError, match="timeout for a non-blocking call"):
        lock.acquire(False, 1)
    for timeout in (-0.5, -2, NAN):
        with pytest.raises(ValueError):
            lock.acquire(True, timeout)
    for timeout in TOO_LONG:
        with pytest.raises(OverflowError):
            lock.acquire(timeout=timeout)
    for timeout in (None, *NO_TIMEOUT):
        with pytest.raises(TypeError):
            lock.acquire(timeout=timeout)


@pytest.mark.parametrize("timeout", [-1, -1.0, threading.TIMEOUT_MAX])
def test_timeouts_that_wait(mod, timeout):
    lock = mod.Lock()
    lock.acquire()
    waiter = Call(lock.acquire, True, timeout).blocked()
    lock.release()
    assert waiter.result() is True


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_old_names_of_thread_methods(mod):
    thread = mod.Thread(name="first")
    thread.setName("second")
    assert thread.getName() == thread.name == "second"
    assert thread.isDaemon() is thread.daemon is False
    thread.setDaemon(True)
    assert thread.isDaemon() is thread.daemon is True
    assert mod.activeCount() == mod.active_count()
    assert mod.currentThread() is mod.current_thread()


OLD_CALLS = {
    "setName": lambda mod, thread: thread.setName("x"),
    "getName": lambda mod, thread: thread.getName(),
    "setDaemon": lambda mod, thread: thread.setDaemon(True),
    "isDaemon": lambda mod, thread: thread.isDaemon(),
    "activeCount": lambda mod, thread: mod.activeCount(),
    "currentThread": lambda mod, thread: mod.currentThread(),
}


@pytest.mark.parametrize("name", OLD_CALLS)
def test_the_old_names_warn(mod, name):
    with pytest.warns(DeprecationWarning, match=name) as caught:
        OLD_CALLS[name](mod, mod.Thread())
    assert caught[0].filename == __file__


@only_pyconc
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_is_alive_has_its_oldest_name(mod, start):
    go = mod.Event()
    thread = start(go.wait)
    assert thread.isAlive() is True
    go.set()
    thread.join()
    assert thread.isAlive() is False


def test_a_thread_runs_its_target(mod):
    seen = []

    def target(*args, **kwds):
        seen.append((args, kwds, mod.current_thread(), mod.get_ident()))

    thread = mod.Thread(None, target, "by hand", (1, 2), {"three": 3}, daemon=True)
    assert thread.name == "by hand"
    assert thread.daemon is True
    assert thread.ident is None
    assert thread.native_id is None
    assert not thread.is_alive()
    thread.start()
    assert thread.join() is None
    assert not thread.is_alive()
    assert seen == [((1, 2), {"three": 3}, thread, thread.ident)]


def test_a_thread_may_override_run(mod):
    class Worker(mod.Thread):
        def __init__(self, number):
            super().__init__(name=f"worker {number}")
            self.number = number

        def run(self):
            self.result = self.number**2

    worker = Worker(7)
    worker.start()
    worker.join()
    assert (worker.name, worker.result) == ("worker 7", 49)


@pytest.mark.parametrize("abc_first", [False, True])
def test_a_thread_may_be_an_abstract_class(mod, abc_first):
    bases = (abc.ABC, mod.Thread) if abc_first else (mod.Thread, abc.ABC)

    class Worker(*bases):
        @abc.abstractmethod
        def run(self): ...

    class Concrete(Worker):
        def run(self):
            self.result = "ran"

    with pytest.raises(TypeError, match="abstract"):
        Worker()
    worker = Concrete()
    worker.start()
    worker.join()
    assert worker.result == "ran"
    assert isinstance(worker, (Worker, mod.Thread))
    assert issubclass(Concrete, Worker)
    assert not isinstance(mod.Thread(), Worker)


def test_wrong_use_of_threads(mod):
    thread = mod.Thread()
    with pytest.raises(RuntimeError, match="before it is started"):
        thread.join()
    thread.start()
    thread.join()
    with pytest.raises(RuntimeError, match="only be started once"):
        thread.start()
    with pytest.raises(RuntimeError, match="cannot join current thread"):
        mod.current_thread().join()
    with pytest.raises(RuntimeError, match="daemon status of active thread"):
        mod.current_thread().daemon = True


def test_join_with_a_timeout(mod, start):
    go = mod.Event()
    thread = start(go.wait)
    for timeout in (0, -1, 0.01):
        assert thread.join(timeout) is None
        assert thread.is_alive()
    go.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_the_threads_of_one_are_seen_by_the_other(mod, start):
    go = threading.Event()
    before = set(threading.enumerate())
    ours, theirs = start(go.wait), threading.Thread(target=go.wait)
    theirs.start()
    for module in (mod, threading):
        assert set(module.enumerate()) - before == {ours, theirs}
        assert module.active_count() == len(module.enumerate())
    go.set()
    theirs.join()
    ours.join()
    for module in (mod, threading):
        assert set(module.enumerate()) <= before


def test_current_and_main_thread(mod):
    assert mod.main_thread() is threading.main_thread()
    assert mod.current_thread() is threading.main_thread()
    assert mod.get_ident() == threading.get_ident()
    assert mod.get_native_id() == threading.main_thread().native_id
    thread = threading.Thread(target=lambda: seen.append(mod.current_thread()))
    seen = []
    thread.start()
    thread.join()
    assert seen == [thread]


def test_idents_of_threads_that_live_differ(mod, start):
    go, found = mod.Event(), []

    def run():
        found.append((mod.get_ident(), mod.get_native_id()))
        go.wait(PATIENCE)

    threads = [start(run) for _ in range(3)]
    while len(found) < 3:
        threads[0].join(0.001)
    go.set()
    assert sorted(found) == sorted((t.ident, t.native_id) for t in threads)
    assert len(set(found)) == 3


def test_stack_size(mod, start):
    before = mod.stack_size()
    try:
        assert mod.stack_size(512 * 1024) == before
        assert mod.stack_size() == 512 * 1024
        ran = []
        start(lambda: ran.append(1)).join()
        assert ran == [1]
        for size in (1, -1):
            with pytest.raises(ValueError):
                mod.stack_size(size)
    finally:
        mod.stack_size(before)


@pytest.mark.parametrize("kind", ["trace", "profile"])
def test_trace_and_profile_functions(mod, start, kind):
    setter = getattr(mod, f"set{kind}")
    getter = getattr(mod, f"get{kind}")
    before = getter()
    seen = []

    def hook(frame, event, _arg):
        if event == "call":
            seen.append(frame.f_code.co_name)

    def traced_function():
        pass

    setter(hook)
    try:
        assert getter() is hook
        assert getattr(threading, f"get{kind}")() is hook
        start(traced_function).join()
    finally:
        setter(before)
    assert "traced_function" in seen
    assert getter() is before


def test_the_excepthook_can_be_replaced(mod, start, monkeypatch):
    seen = []
    monkeypatch.setattr(mod, "excepthook", seen.append)

    def fail():
        raise KeyError("in a thread")

    thread = start(fail)
    thread.join()
    (args,) = seen
    assert args.exc_type is KeyError
    assert args.exc_value.args == ("in a thread",)
    assert isinstance(args.exc_traceback, types.TracebackType)
    assert args.thread is thread
    del args, seen[:]


@only_pyconc
@pytest.mark.parametrize("name", ["excepthook", "_time"])
def test_a_patch_is_undone(mod, monkeypatch, name):
    def before(*_):
        return 0

    def during(*_):
        return 1

    monkeypatch.setattr(threading, name, getattr(threading, name))
    for owner in (mod, threading):
        setattr(owner, name, before)
        for _ in range(2):
            with mock.patch.object(mod, name, during):
                assert getattr(mod, name) is getattr(threading, name) is during
            assert getattr(mod, name) is getattr(threading, name) is before


def test_the_excepthook_prints(mod, capsys):
    try:
        raise KeyError("printed")
    except KeyError:
        args = mod.ExceptHookArgs((*sys.exc_info(), mod.current_thread()))
    mod.__excepthook__(args)
    assert "MainThread" in (printed := capsys.readouterr().err)
    assert "KeyError: 'printed'" in printed


def test_local_values(mod):
    class Local(mod.local):
        made_in = ()

        def __init__(self, value):
            self.value = value
            self.made_in = (*self.made_in, mod.get_ident())

    local = Local("initial")
    local.value = "of the main thread"

    def run():
        before = local.value
        local.value = "of another"
        return before, local.value, len(local.made_in)

    assert Call(run).result() == ("initial", "of another", 1)
    assert local.value == "of the main thread"


def test_a_timer_calls_later(mod):
    seen = mod.Event()
    timer = mod.Timer(0.01, seen.set)
    timer.start()
    assert seen.wait(PATIENCE)
    timer.join()


def test_a_timer_gives_its_arguments_on(mod):
    seen = []
    timer = mod.Timer(
        interval=0,
        function=lambda *args, **kwds: seen.append((args, kwds)),
        args=[1, 2],
        kwargs={"three": 3},
    )
    timer.start()
    timer.join()
    assert seen == [((1, 2), {"three": 3})]
    assert isinstance(timer, mod.Thread)


def test_a_timer_can_be_cancelled(mod):
    seen = []
    timer = mod.Timer(PATIENCE * 10, seen.append, [1])
    timer.start()
    timer.cancel()
    timer.join(PATIENCE)
    assert not timer.is_alive()
    assert seen == []
