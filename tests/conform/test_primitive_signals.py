"""Signals while the main thread waits: handlers that raise, return, wake."""

import gc
import threading
import time

import pytest

from support.blocking import PATIENCE, Call, signal_main, when_main_sleeps
from support.polling import eventually
from support.waits import ONE_BY_ONE, TIMED, WAITS


class Interrupted(Exception):
    """Raised by the handler."""


def by_name(classes):
    return pytest.mark.parametrize("wait_cls", classes, ids=lambda cls: cls.__name__)


@pytest.fixture
def wait(sync, wait_cls):
    return wait_cls(sync)


def interrupt(_signal, _frame):
    raise Interrupted


def still_works(wait):
    helper = when_main_sleeps(wait.wake)
    assert wait.block()
    helper.result()


@by_name(WAITS)
def test_a_handler_that_raises_ends_the_wait(wait, handle):
    handle(interrupt)
    helper = when_main_sleeps(signal_main)
    with pytest.raises(Interrupted):
        wait.block()
    helper.result()
    still_works(wait)
    still_works(wait)


@by_name(TIMED)
def test_a_handler_that_raises_ends_a_wait_with_a_timeout(wait, handle):
    handle(interrupt)
    helper = when_main_sleeps(signal_main)
    with pytest.raises(Interrupted):
        wait.block(PATIENCE)
    helper.result()
    still_works(wait)


@by_name(WAITS)
def test_a_wait_may_be_ended_many_times(wait, handle):
    handle(interrupt)
    for _ in range(5):
        helper = when_main_sleeps(signal_main)
        with pytest.raises(Interrupted):
            wait.block()
        helper.result()
    still_works(wait)


@by_name(ONE_BY_ONE)
@pytest.mark.parametrize("main_is_first", [False, True])
def test_another_waiter_is_not_forgotten(wait, handle, main_is_first):
    handle(interrupt)
    others = []
    if not main_is_first:
        others.append(Call(wait.block).blocked())
    helper = when_main_sleeps(
        lambda: others or others.append(Call(wait.block).blocked()), signal_main
    )
    with pytest.raises(Interrupted):
        wait.block()
    helper.result()
    others[0].blocked()
    wait.wake()
    assert others[0].result()
    still_works(wait)


@by_name(WAITS)
def test_a_handler_that_returns_lets_the_wait_go_on(wait, handle):
    handled = []
    handle(lambda *_: handled.append(threading.get_ident()))
    helper = when_main_sleeps(
        signal_main, lambda: handled.append("asleep"), signal_main, wait.wake
    )
    assert wait.block()
    helper.result()
    main = threading.main_thread().ident
    assert handled == [main, "asleep", main]


@by_name(TIMED)
def test_signals_do_not_prolong_a_timeout(wait, handle):
    """A wait that began anew with every signal would never end."""
    handled, over = [], threading.Event()
    handle(lambda *_: handled.append(1))

    def disturb():
        for _ in range(1000):
            if over.wait(0.03):
                return "ended by itself"
            signal_main()
        return "went on with every signal"

    helper = Call(disturb)
    for timeout in (0.2, 1, 5):
        began = time.monotonic()
        assert wait.gives_up(timeout)
        assert time.monotonic() - began >= timeout - 0.01
        if handled:
            break  # the helper may come late
    over.set()
    assert helper.result() == "ended by itself"
    assert handled


@by_name([cls for cls in WAITS if cls.__name__ != "ThreadJoin"])
def test_the_handler_itself_may_wake_the_wait(wait, handle):
    """The main thread waits on the very object that its handler uses."""
    handle(lambda *_: wait.wake())
    for _ in range(3):
        helper = when_main_sleeps(signal_main)
        assert wait.block()
        helper.result()


@by_name(TIMED)
def test_a_handler_may_wait_for_the_same_object_in_vain(wait, handle):
    if wait.__class__.__name__ in ("BarrierWait", "EventWait"):
        pytest.skip("a second waiter changes what the first one waits for")
    outcome = []
    handle(lambda *_: outcome.append(wait.gives_up(0.01)))

    def wake():
        eventually(lambda: outcome)  # or the handler's wait would be woken
        wait.wake()

    helper = when_main_sleeps(signal_main, wake)
    assert wait.block()
    helper.result()
    assert outcome == [True]


@by_name([cls for cls in WAITS if cls.__name__ != "ThreadJoin"])
def test_a_finalizer_may_wake_the_wait(wait):
    class WakesWhenItGoes:
        def __del__(self):
            wait.wake()

    def run():
        mortal = WakesWhenItGoes()
        mortal.itself = mortal
        del mortal
        gc.collect()

    helper = when_main_sleeps(run)
    assert wait.block()
    helper.result()


def test_a_recursive_lock_that_another_thread_has(sync, handle):
    handle(interrupt)
    lock, go = sync.threading.RLock(), threading.Event()

    def hold():
        with lock:
            go.wait(PATIENCE)

    holder = Call(hold).blocked()
    helper = when_main_sleeps(signal_main)
    with pytest.raises(Interrupted):
        lock.acquire()
    helper.result()
    with pytest.raises(RuntimeError):
        lock.release()
    helper = when_main_sleeps(go.set)
    assert lock.acquire() is True
    helper.result()
    holder.result()
    lock.release()


def test_an_interrupted_wait_has_its_recursive_lock_again(sync, handle):
    handle(interrupt)
    cond = sync.threading.Condition()
    helper = when_main_sleeps(signal_main)
    with cond, cond:
        with pytest.raises(Interrupted):
            cond.wait()
        cond.notify_all()
        assert Call(cond.acquire, False).result() is False
    helper.result()
    with pytest.raises(RuntimeError):
        cond.release()
    assert Call(cond.acquire, False).result() is True


def test_who_leaves_a_barrier_by_an_error_is_not_counted(sync, handle):
    handle(interrupt)
    barrier = sync.threading.Barrier(3)
    waiter = Call(barrier.wait).blocked()
    helper = when_main_sleeps(signal_main)
    with pytest.raises(Interrupted):
        barrier.wait()
    helper.result()
    assert barrier.n_waiting == 1
    assert barrier.broken is False
    second = Call(barrier.wait).blocked()
    third = barrier.wait()
    assert sorted([waiter.result(), second.result(), third]) == [0, 1, 2]


def test_a_handler_may_abort_the_barrier_it_interrupts(sync, handle):
    barrier = sync.threading.Barrier(2)
    handle(lambda *_: barrier.abort())
    helper = when_main_sleeps(signal_main)
    with pytest.raises(sync.threading.BrokenBarrierError):
        barrier.wait()
    helper.result()
