"""Lock and RLock: arguments, ownership, what Condition asks of them."""

import gc
import pickle
import sys
import threading
import warnings
import weakref

import pytest

from support.blocking import (
    PATIENCE,
    Call,
    signal_main,
    when_main_sleeps,
)
from support.sync import load_sync, only_pyconc

KINDS = ["Lock", "RLock"]


class Indexed:
    def __init__(self, value):
        self.value = value

    def __index__(self):
        return self.value

    def __repr__(self):
        return f"Indexed({self.value})"


class Truth:
    def __bool__(self):
        raise ZeroDivisionError

    def __repr__(self):
        return "Truth()"


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def lock(sync, kind):
    return getattr(sync.threading, kind)()


def outcome(call, *args, **kwds):
    """What a call returns or raises, comparable."""
    try:
        return call(*args, **kwds)
    except Exception as error:
        return type(error), str(error)


ARGUMENTS = [
    (),
    (True,),
    (False,),
    (0,),
    (1,),
    (2,),
    (2.5,),
    ("x",),
    ("",),
    ((),),
    ((1, 2),),
    (None,),
    ([],),
    (2**100,),
    (Indexed(0),),
    (Truth(),),
    (True, -1),
    (True, -1.0),
    (True, -2),
    (True, -0.5),
    (True, 0),
    (True, 0.001),
    (True, True),
    (True, None),
    (True, "1"),
    (True, (1,)),
    (True, float("nan")),
    (True, float("inf")),
    (True, -float("inf")),
    (True, threading.TIMEOUT_MAX),
    (True, threading.TIMEOUT_MAX * 2),
    (True, 10**30),
    (True, Indexed(1)),
    (False, -1),
    (False, 0),
    (False, 1),
    (False, -2),
    (False, "1"),
]


@pytest.mark.parametrize("args", ARGUMENTS, ids=repr)
def test_arguments_are_judged_as_usual(kind, args):
    expected = outcome(getattr(threading, kind)().acquire, *args)
    lock = getattr(load_sync("pyconc").threading, kind)()
    assert outcome(lock.acquire, *args) == expected
    if expected is True:
        lock.release()
    with pytest.raises(RuntimeError):
        lock.release()


@pytest.mark.parametrize("args", ARGUMENTS, ids=repr)
def test_arguments_of_enter(kind, args):
    expected = outcome(getattr(threading, kind)().__enter__, *args)
    lock = getattr(load_sync("pyconc").threading, kind)()
    assert outcome(lock.__enter__, *args) == expected


def test_keyword_arguments(lock):
    assert lock.acquire(blocking=True, timeout=1) is True
    other = Call(lock.acquire, timeout=0.001, blocking=True)
    assert other.result() is False
    assert Call(lock.acquire, blocking=False).result() is False
    for kwds in ({"block": True}, {"blocking": True, "wait": 1}):
        with pytest.raises(TypeError):
            lock.acquire(**kwds)
    with pytest.raises(TypeError):
        lock.acquire(True, blocking=True)
    with pytest.raises(TypeError):
        lock.acquire(True, 1, 2)
    with pytest.raises(TypeError):
        lock.release(1)
    assert lock.__exit__() is None
    lock.acquire()
    assert lock.__exit__(None, None, None) is None


def test_arguments_of_the_constructors(sync):
    for args, kwds in (((1,), {}), ((), {"x": 1})):
        with pytest.raises(TypeError):
            sync.threading.Lock(*args, **kwds)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert sync.threading.RLock(1, x=2).acquire() is True
        assert sync.threading.RLock().acquire() is True
    assert [entry.category for entry in caught] == (
        [DeprecationWarning] if sys.version_info >= (3, 13) else []
    )


def test_a_plain_lock_cannot_be_derived_from(sync):
    kind = type(sync.threading.Lock())
    with pytest.raises(TypeError):
        type("Mine", (kind,), {})
    if sys.version_info < (3, 13):
        name = f"{kind.__module__}.{kind.__qualname__}"
        with pytest.raises(TypeError, match=f"cannot create '{name}' instances"):
            kind()
    else:
        assert sync.threading.Lock is kind


def test_other_names_of_the_methods(sync):
    lock = sync.threading.Lock()
    assert lock.acquire_lock(False) is True
    assert lock.locked_lock() is True
    assert lock.release_lock() is None
    assert lock.locked() is False


def test_cannot_be_pickled(lock):
    with pytest.raises(TypeError, match=r"cannot pickle '.*[lL]ock' object"):
        pickle.dumps(lock)


def test_can_be_referred_to_weakly(lock):
    gone = []
    reference = weakref.ref(lock, gone.append)
    assert reference() is lock
    del lock
    # The fixture holds another one.
    assert reference() is not None
    assert gone == []


def test_a_dropped_lock_clears_its_weak_references(sync, kind):
    lock = getattr(sync.threading, kind)()
    lock.acquire()
    gone = []
    reference = weakref.ref(lock, gone.append)
    del lock
    assert reference() is None
    assert gone == [reference]


def test_reprs_of_a_recursive_lock(sync):
    lock = sync.threading.RLock()
    assert "unlocked" in repr(lock) and "owner=0 count=0" in repr(lock)
    with lock, lock:
        assert f"owner={threading.get_ident()} count=2" in repr(lock)
        assert repr(lock).startswith("<locked ")
    assert "owner=0 count=0" in repr(lock)


# --- ownership ----------------------------------------------------------------


def test_ownership(sync):
    lock = sync.threading.RLock()
    assert lock._is_owned() is False
    assert lock._recursion_count() == 0
    with lock, lock:
        assert lock._is_owned() is True
        assert lock._recursion_count() == 2
        assert Call(lock._is_owned).result() is False
        assert Call(lock._recursion_count).result() == 0
    assert lock._is_owned() is False


def test_letting_go_completely_and_taking_back(sync):
    lock = sync.threading.RLock()
    with pytest.raises(RuntimeError, match="cannot release un-acquired lock"):
        lock._release_save()
    with lock, lock:
        saved = lock._release_save()
        assert saved == (2, threading.get_ident())
        assert not lock._is_owned()
        taken = Call(lock.acquire, False)
        assert taken.result() is True
        # It is a dead thread's now, and may be taken by nobody.
        assert lock.acquire(timeout=0.001) is False
        lock._at_fork_reinit()
        lock._acquire_restore(saved)
        assert lock._recursion_count() == 2
    assert lock.acquire(False) is True


@pytest.mark.parametrize("saved", [3, None, (1,), (1, 2, 3), ("a", 1)], ids=repr)
def test_what_cannot_be_taken_back(sync, saved):
    lock = sync.threading.RLock()
    with pytest.raises(TypeError):
        lock._acquire_restore(saved)
    assert lock.acquire(False) is True


def test_too_many_levels(sync):
    lock = sync.threading.RLock()
    most = 2 * sys.maxsize + 1
    lock._acquire_restore((most, threading.get_ident()))
    with pytest.raises(OverflowError, match="Internal lock count overflowed"):
        lock.acquire()
    assert lock._recursion_count() == most


@only_pyconc
def test_a_recursive_lock_tells_whether_it_is_held(sync):
    """As Python 3.14's does."""
    lock = sync.threading.RLock()
    assert lock.locked() is False
    with lock:
        assert lock.locked() is True
        assert Call(lock.locked).result() is True
    assert lock.locked() is False


def test_made_anew(lock):
    lock.acquire()
    lock._at_fork_reinit()
    assert Call(lock.acquire, False).result() is True
    lock._at_fork_reinit()
    lock._at_fork_reinit()
    assert lock.acquire(False) is True


@only_pyconc
def test_made_anew_while_another_thread_waits(lock):
    lock.acquire()
    waiter = Call(lock.acquire).blocked()
    lock._at_fork_reinit()
    assert waiter.result() is True


# --- waiting ------------------------------------------------------------------


def test_each_who_waits_gets_it(lock):
    order = []

    def take(name):
        lock.acquire()
        order.append(name)
        lock.release()

    lock.acquire()
    waiters = [Call(take, name).blocked() for name in range(4)]
    lock.release()
    for waiter in waiters:
        waiter.result()
    assert sorted(order) == [0, 1, 2, 3]


@only_pyconc
def test_nobody_is_kept_waiting_by_one_that_never_pauses(sync, kind):
    lock, stop = getattr(sync.threading, kind)(), threading.Event()

    def hog():
        while not stop.is_set():
            lock.acquire()
            sum(range(200))
            lock.release()

    hogs = [Call(hog) for _ in range(3)]
    try:
        for _ in range(20):
            assert lock.acquire(timeout=PATIENCE)
            lock.release()
    finally:
        stop.set()
    for one in hogs:
        one.result()


def test_a_handler_that_raises_leaves_the_lock_to_others(handle, lock):
    def handler(*_):
        raise ZeroDivisionError

    handle(handler)
    go = threading.Event()

    def hold():
        with lock:
            go.wait(PATIENCE)

    holder = Call(hold).blocked()
    helper = when_main_sleeps(signal_main)
    with pytest.raises(ZeroDivisionError):
        lock.acquire()
    helper.result()
    go.set()
    holder.result()
    assert lock.acquire(timeout=PATIENCE) is True
    lock.release()


def test_a_handler_that_releases_what_is_waited_for(sync, handle):
    lock = sync.threading.Lock()
    lock.acquire()
    handle(lambda *_: lock.release())
    helper = when_main_sleeps(signal_main)
    assert lock.acquire() is True
    helper.result()


def test_a_finalizer_that_releases(sync):
    lock = sync.threading.Lock()

    class Guard:
        def __del__(self):
            lock.release()

    lock.acquire()
    guard = Guard()
    waiter = Call(lock.acquire).blocked()
    del guard
    assert waiter.result() is True


def test_dropped_while_another_thread_waits(sync, kind):
    lock = getattr(sync.threading, kind)()
    release = lock.release
    lock.acquire()
    waiter = Call(lock.acquire).blocked()
    del lock, waiter.call
    gc.collect()
    release()
    del release
    assert waiter.result() is True


# --- subclasses ---------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_subclasses(sync):
    class Named(type(sync.threading.RLock())):
        def __init__(self, name):
            self.name = name

        def acquire(self, *args):
            self.acquired = True
            return super().acquire(*args)

    lock = Named("mine")
    assert lock.name == "mine"
    assert lock.acquire() is True
    assert lock.acquired
    assert "Named" in repr(lock)
    lock.release()
    lock.itself = lock
    reference = weakref.ref(lock)
    del lock
    gc.collect()
    assert reference() is None


@only_pyconc
def test_a_condition_goes_through_a_subclass_of_its_lock(sync):
    calls = []

    class Loud(sync.threading.RLock):
        def _release_save(self):
            calls.append("let go")
            return super()._release_save()

        def _acquire_restore(self, saved):
            calls.append("taken back")
            return super()._acquire_restore(saved)

    condition = sync.threading.Condition(Loud())
    with condition:
        assert condition.wait(0.001) is False
        condition.notify()
    assert calls == ["let go", "taken back"]


# --- Condition over them ------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 3])
def test_a_condition_lets_go_at_any_depth(sync, depth):
    lock = sync.threading.RLock()
    condition = sync.threading.Condition(lock)
    for _ in range(depth):
        lock.acquire()
    notified = []

    def notify():
        with condition:
            notified.append(lock._recursion_count())
            condition.notify()

    helper = when_main_sleeps(notify)
    assert condition.wait(PATIENCE) is True
    helper.result()
    assert notified == [1]
    assert lock._recursion_count() == depth


def test_a_condition_that_another_thread_holds(sync):
    condition = sync.threading.Condition()
    Call(condition.acquire).result()
    for call in (condition.notify, condition.notify_all, condition.wait):
        with pytest.raises(RuntimeError, match="un-acquired lock"):
            call()
    with pytest.raises(RuntimeError, match="cannot release un-acquired lock"):
        condition.release()
    with pytest.raises(RuntimeError, match="cannot release un-acquired lock"):
        condition.__exit__(None, None, None)


@only_pyconc
def test_an_interrupted_wait_has_the_recursive_lock(sync, handle):
    """The handler raises while the lock is waited for, not the notification."""
    condition = sync.threading.Condition()
    notified, go = threading.Event(), threading.Event()

    def handler(*_):
        raise ZeroDivisionError

    handle(handler)

    def notify_and_stay():
        with condition:
            condition.notify()
            notified.set()
            go.wait(PATIENCE)

    def let_notify():
        Call(notify_and_stay)
        assert notified.wait(PATIENCE)

    with condition:
        helper = when_main_sleeps(let_notify, signal_main, go.set)
        with pytest.raises(ZeroDivisionError):
            condition.wait()
        assert condition._is_owned()
        helper.result()
    assert Call(condition.acquire, False).result() is True
