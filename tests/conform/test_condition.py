"""Condition: over every kind of lock, who waits, who wakes, in what order."""

import contextlib
import threading

import pytest

from support.blocking import PATIENCE, Call, blocked_calls
from support.polling import eventually
from support.sync import NAN, NO_TIMEOUT, PAST, TOO_LONG


class PlainLock:
    """A lock that can be acquired and released and nothing else."""

    def __init__(self):
        self._inner = threading.Lock()

    def acquire(self, blocking=True):
        return self._inner.acquire(blocking)

    def release(self):
        self._inner.release()


class HookedLock:
    """A lock with the hooks a condition asks for; says what was called."""

    def __init__(self):
        self._inner = threading.Lock()
        self._owner = None
        self.calls = []

    def acquire(self, blocking=True):
        if taken := self._inner.acquire(blocking):
            self._owner = threading.get_ident()
        return taken

    def release(self):
        self._owner = None
        self._inner.release()

    def _is_owned(self):
        self.calls.append("is owned")
        return self._owner == threading.get_ident()

    def _release_save(self):
        self.calls.append("release")
        self.release()
        return "saved by the lock"

    def _acquire_restore(self, state):
        self.acquire()
        self.calls.append(("restore", state))


LOCKS = {
    "default": lambda mod: None,
    "Lock": lambda mod: mod.Lock(),
    "RLock": lambda mod: mod.RLock(),
    "plain": lambda mod: PlainLock(),
    "hooked": lambda mod: HookedLock(),
    "another Lock": lambda mod: threading.Lock(),
    "another RLock": lambda mod: threading.RLock(),
}
ENTERED = ["default", "Lock", "RLock", "another Lock", "another RLock"]
OWNED = ["default", "RLock", "hooked", "another RLock"]


@pytest.fixture
def mod(sync):
    return sync.threading


@pytest.fixture(params=LOCKS)
def any_cond(request, mod):
    return mod.Condition(LOCKS[request.param](mod))


@pytest.fixture
def cond(mod):
    return mod.Condition()


@contextlib.contextmanager
def held(cond):
    cond.acquire()
    try:
        yield
    finally:
        cond.release()


def wait(cond, *args, **kwds):
    with held(cond):
        return cond.wait(*args, **kwds)


def notify(cond, *args):
    with held(cond):
        cond.notify(*args)


def notify_all(cond):
    with held(cond):
        cond.notify_all()


def assert_owned(cond):
    """This thread has the lock, and others have not."""
    cond.notify(0)
    assert Call(cond.acquire, False).result() is False


def test_wait_returns_true_after_notify(any_cond):
    waiter = Call(wait, any_cond).blocked()
    notify(any_cond)
    assert waiter.result() is True


def test_wait_with_a_timeout_returns_true_after_notify(any_cond):
    waiter = Call(wait, any_cond, timeout=PATIENCE).blocked()
    notify(any_cond)
    assert waiter.result() is True


def test_wait_returns_false_after_its_timeout_and_owns_the_lock(any_cond):
    with held(any_cond):
        assert any_cond.wait(0.01) is False
        assert_owned(any_cond)


def test_wait_owns_the_lock_after_notify(any_cond):
    def run():
        with held(any_cond):
            any_cond.wait()
            assert_owned(any_cond)

    waiter = Call(run).blocked()
    notify(any_cond)
    waiter.result()


def test_a_notified_waiter_comes_back_when_the_lock_is_free(any_cond):
    waiter = Call(wait, any_cond).blocked()
    with held(any_cond):
        any_cond.notify()
        waiter.blocked()
    assert waiter.result() is True


@pytest.mark.parametrize("timeout", [*PAST, NAN])
def test_a_timeout_in_the_past_returns_at_once(any_cond, timeout):
    with held(any_cond):
        assert any_cond.wait(timeout) is False
        assert_owned(any_cond)


@pytest.mark.parametrize("timeout", TOO_LONG)
def test_a_timeout_out_of_range_overflows(any_cond, timeout):
    with held(any_cond):
        with pytest.raises(OverflowError):
            any_cond.wait(timeout)
        assert_owned(any_cond)


@pytest.mark.parametrize("timeout", NO_TIMEOUT)
def test_a_timeout_that_is_no_number_is_a_type_error(any_cond, timeout):
    with held(any_cond):
        with pytest.raises(TypeError):
            any_cond.wait(timeout)
        assert_owned(any_cond)


@pytest.mark.parametrize("timeout", [None, 30, 30.5, threading.TIMEOUT_MAX])
def test_timeouts_that_wait(cond, timeout):
    waiter = Call(wait, cond, timeout).blocked()
    notify(cond)
    assert waiter.result() is True


def test_a_wait_that_failed_or_timed_out_takes_no_notification(cond):
    with cond:
        for timeout in (0, 0.01, -1):
            cond.wait(timeout)
        for timeout in (1e300, "1"):
            with pytest.raises((OverflowError, TypeError)):
                cond.wait(timeout)
    waiter = Call(wait, cond).blocked()
    notify(cond, 1)
    assert waiter.result() is True


def test_calls_without_the_lock_are_errors(any_cond):
    with pytest.raises(RuntimeError, match=r"^cannot wait on un-acquired lock$"):
        any_cond.wait()
    with pytest.raises(RuntimeError, match=r"^cannot wait on un-acquired lock$"):
        any_cond.wait(0)
    with pytest.raises(RuntimeError, match=r"^cannot wait on un-acquired lock$"):
        any_cond.wait_for(bool)
    for call in (any_cond.notify, any_cond.notify_all):
        with pytest.raises(RuntimeError, match=r"^cannot notify on un-acquired lock$"):
            call()


@pytest.mark.parametrize("lock", OWNED)
def test_a_lock_that_knows_its_owner_refuses_others(mod, lock):
    cond = mod.Condition(LOCKS[lock](mod))
    with held(cond):
        for call in (cond.wait, cond.notify, cond.notify_all):
            assert type(Call(call).ended()) is RuntimeError


@pytest.mark.parametrize("lock", ["Lock", "plain", "another Lock"])
def test_a_lock_without_owner_only_has_to_be_locked(mod, lock):
    cond = mod.Condition(LOCKS[lock](mod))
    waiter = Call(wait, cond).blocked()
    with held(cond):
        Call(cond.notify).result()
    assert waiter.result() is True


def test_what_is_no_lock_is_refused(mod):
    with pytest.raises(AttributeError):
        mod.Condition(5)


def test_the_lock_may_be_given_by_name(mod):
    lock = mod.Lock()
    with mod.Condition(lock=lock):
        assert lock.locked()
    assert not lock.locked()


@pytest.mark.parametrize("lock", ENTERED)
def test_a_condition_is_a_context_manager(mod, lock):
    cond = mod.Condition(LOCKS[lock](mod))
    with pytest.raises(KeyError), cond as entered:
        assert entered is True
        assert_owned(cond)
        raise KeyError
    assert Call(cond.acquire, False).result() is True


def test_acquire_and_release_are_those_of_the_lock(mod):
    cond = mod.Condition(mod.Lock())
    assert cond.acquire() is True
    assert cond.acquire(False) is False
    assert cond.acquire(blocking=False) is False
    assert cond.acquire(timeout=0.01) is False
    assert cond.acquire(True, 0.01) is False
    cond.release()
    with pytest.raises(RuntimeError):
        cond.release()


def test_hooks_of_the_lock_are_used(mod):
    lock = HookedLock()
    cond = mod.Condition(lock)
    with held(cond):
        cond.wait(0.01)
    assert lock.calls == ["is owned", "release", ("restore", "saved by the lock")]


@pytest.mark.parametrize("lock", ["default", "RLock", "another RLock"])
@pytest.mark.parametrize("ending", ["notify", "timeout", "error"])
def test_a_recursive_lock_is_released_and_restored(mod, lock, ending):
    cond = mod.Condition(LOCKS[lock](mod))

    def run():
        for _ in range(3):
            cond.acquire()
        if ending == "error":
            with pytest.raises(OverflowError):
                cond.wait(1e300)
        else:
            assert cond.wait(0.01 if ending == "timeout" else None) is (
                ending == "notify"
            )
        for _ in range(3):
            assert_owned(cond)
            cond.release()
        with pytest.raises(RuntimeError):
            cond.release()

    waiter = Call(run)
    if ending == "notify":
        waiter.blocked()
        notify(cond)
    waiter.result()


def in_line(cond, count):
    """Start waiters one after another; return them and who came back."""
    came_back = []

    def run(number):
        with held(cond):
            assert cond.wait()
            came_back.append(number)

    return [Call(run, number).blocked() for number in range(count)], came_back


def test_waiters_are_woken_in_the_order_they_came(any_cond):
    waiters, came_back = in_line(any_cond, 5)
    for number in range(5):
        notify(any_cond)
        waiters[number].result()
        assert came_back == list(range(number + 1))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_notify_wakes_the_first_so_many(any_cond, count):
    waiters, came_back = in_line(any_cond, 4)
    notify(any_cond, count)
    for waiter in waiters[:count]:
        waiter.result()
    for waiter in waiters[count:]:
        waiter.blocked()
    assert sorted(came_back) == list(range(count))
    notify_all(any_cond)
    for waiter in waiters:
        waiter.result()


def test_notify_all_wakes_all(any_cond):
    waiters, came_back = in_line(any_cond, 5)
    notify_all(any_cond)
    for waiter in waiters:
        waiter.result()
    assert sorted(came_back) == list(range(5))


@pytest.mark.parametrize("count", [0, -1])
def test_notify_of_nobody(cond, count):
    waiter = Call(wait, cond).blocked()
    notify(cond, count)
    waiter.blocked()
    notify(cond)
    waiter.result()


def test_more_notifications_than_waiters_are_forgotten(cond):
    waiter = Call(wait, cond).blocked()
    notify(cond, 10)
    waiter.result()
    notify(cond)
    notify_all(cond)
    with cond:
        assert cond.wait(0.01) is False


def test_the_count_may_be_given_by_name(cond):
    waiters = blocked_calls(2, wait, cond)
    with cond:
        cond.notify(n=2)
    for waiter in waiters:
        waiter.result()


def test_the_old_name_of_notify_all_warns(cond):
    waiters = blocked_calls(2, wait, cond)
    with cond, pytest.warns(DeprecationWarning, match="notify_all") as caught:
        cond.notifyAll()
    assert caught[0].filename == __file__
    for waiter in waiters:
        assert waiter.result() is True


def test_conditions_may_share_a_lock(mod):
    lock = mod.Lock()
    left, right = mod.Condition(lock), mod.Condition(lock)
    waits_left = Call(wait, left).blocked()
    waits_right = Call(wait, right).blocked()
    notify_all(right)
    waits_right.result()
    waits_left.blocked()
    notify(left)
    waits_left.result()


def test_the_lock_is_free_while_somebody_waits(any_cond):
    def take_it():
        taken = any_cond.acquire(False)
        any_cond.release()
        return taken

    waiter = Call(wait, any_cond).blocked()
    assert Call(take_it).result() is True
    waiter.blocked()
    notify(any_cond)
    waiter.result()


def test_wait_for_returns_the_value_of_the_predicate(cond):
    values = [0, None, [], "the answer"]

    def run():
        with cond:
            return cond.wait_for(lambda: values.pop(0))

    waiter = Call(run)
    while waiter.is_alive():
        notify(cond)
    assert waiter.result() == "the answer"
    assert values == []


def test_wait_for_a_true_predicate_does_not_wait(cond):
    true = object()
    assert cond.wait_for(lambda: true) is true
    assert cond.wait_for(lambda: true, timeout=0) is true
    assert cond.wait_for(predicate=lambda: true, timeout="never used") is true


def test_wait_for_returns_the_false_value_after_its_timeout(cond):
    false = []
    with cond:
        for timeout in (0, -1, -0.5, 0.02):
            assert cond.wait_for(lambda: false, timeout) is false
            assert_owned(cond)


def test_wait_for_calls_the_predicate_with_the_lock(cond):
    asked = []

    def predicate():
        assert_owned(cond)
        asked.append(1)
        return len(asked) == 3

    def run():
        with cond:
            return cond.wait_for(predicate, PATIENCE)

    waiter = Call(run)
    while waiter.is_alive():
        notify(cond)
    assert waiter.result() is True


def test_wait_for_has_one_timeout_for_all_its_waits(cond):
    def run():
        with cond:
            return cond.wait_for(lambda: "", 0.1)

    waiter = Call(run)

    def woken_in_vain():
        notify(cond)
        return not waiter.is_alive()

    eventually(woken_in_vain, PATIENCE)
    assert waiter.result() == ""


def test_wait_for_passes_the_error_of_its_predicate_on(cond):
    def fail():
        raise KeyError("asked")

    with cond:
        with pytest.raises(KeyError, match="asked"):
            cond.wait_for(fail, 1)
        assert_owned(cond)


@pytest.mark.parametrize(
    "error, timeouts", [(OverflowError, TOO_LONG), (TypeError, NO_TIMEOUT)]
)
def test_wait_for_checks_its_timeout_when_it_has_to_wait(cond, error, timeouts):
    with cond:
        for timeout in timeouts:
            with pytest.raises(error):
                cond.wait_for(bool, timeout)
            assert_owned(cond)
