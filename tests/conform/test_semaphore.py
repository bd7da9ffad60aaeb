"""Semaphore and BoundedSemaphore: the counter, who waits, errors."""

import threading

import pytest

from support.blocking import PATIENCE, Call, at_once, blocked_calls
from support.sync import NAN, NO_TIMEOUT, PAST, TOO_LONG


@pytest.fixture
def mod(sync):
    return sync.threading


@pytest.fixture(params=["Semaphore", "BoundedSemaphore"])
def cls(request, mod):
    return getattr(mod, request.param)


@pytest.fixture
def taken(cls):
    """A semaphore whose counter is at zero."""
    semaphore = cls(1)
    assert semaphore.acquire() is True
    return semaphore


def left(semaphore):
    """Take all there is without waiting and say how much it was."""
    count = 0
    while semaphore.acquire(False):
        count += 1
    return count


def test_a_semaphore_begins_with_one(cls):
    assert left(cls()) == 1


@pytest.mark.parametrize("value", [0, 1, 2, 7])
def test_a_semaphore_can_be_acquired_as_often_as_its_value_says(cls, value):
    assert left(cls(value)) == value
    assert left(cls(value=value)) == value


def test_large_values(cls):
    semaphore = cls(2**40)
    assert semaphore.acquire(False) is True
    semaphore.release()


@pytest.mark.parametrize("value", [-1, -0.5, -(2**40)])
def test_a_negative_value_is_an_error(cls, value):
    with pytest.raises(ValueError, match=r"^semaphore initial value must be >= 0$"):
        cls(value)


@pytest.mark.parametrize("value", [None, "1", []])
def test_a_value_that_is_no_number_is_a_type_error(cls, value):
    with pytest.raises(TypeError):
        cls(value)


def test_acquire_says_whether_it_was_acquired(cls):
    semaphore = cls(4)
    assert semaphore.acquire() is True
    assert semaphore.acquire(False) is True
    assert semaphore.acquire(blocking=True, timeout=1) is True
    assert semaphore.acquire(True, None) is True
    assert semaphore.acquire(False) is False
    assert semaphore.acquire(blocking=0) is False
    assert semaphore.acquire(False, None) is False
    assert semaphore.acquire(timeout=0.01) is False
    assert semaphore.acquire(True, 0.01) is False


@pytest.mark.parametrize("timeout", [*PAST, 1, NAN, "1"])
def test_no_timeout_without_blocking(cls, taken, timeout):
    for semaphore in (taken, cls(1)):
        with pytest.raises(
            ValueError,
            match=r"^can't specify timeout for non-blocking acquire$",
        ):
            semaphore.acquire(False, timeout)
    assert left(semaphore) == 1


@pytest.mark.parametrize("timeout", PAST)
def test_a_timeout_in_the_past_returns_at_once(taken, timeout):
    assert taken.acquire(True, timeout) is False
    taken.release()
    assert left(taken) == 1


@pytest.mark.parametrize("timeout", TOO_LONG)
def test_a_timeout_out_of_range_overflows(taken, timeout):
    with pytest.raises(OverflowError):
        taken.acquire(timeout=timeout)
    taken.release()
    assert left(taken) == 1


@pytest.mark.parametrize("timeout", NO_TIMEOUT)
def test_a_timeout_that_is_no_number_is_a_type_error(taken, timeout):
    with pytest.raises(TypeError):
        taken.acquire(timeout=timeout)
    taken.release()
    assert left(taken) == 1


@pytest.mark.parametrize("timeout", [*PAST, *TOO_LONG, *NO_TIMEOUT, NAN])
def test_a_timeout_without_need_is_not_looked_at(cls, timeout):
    assert cls(1).acquire(True, timeout) is True


@pytest.mark.parametrize("timeout", [None, 30, 30.5, threading.TIMEOUT_MAX])
def test_release_wakes_who_waits(taken, timeout):
    waiter = Call(taken.acquire, True, timeout).blocked()
    assert taken.release() is None
    assert waiter.result() is True
    assert left(taken) == 0


@pytest.mark.parametrize("count", [1, 2, 3])
def test_release_wakes_as_many_as_it_says(cls, count):
    semaphore = cls(4)
    left(semaphore)
    waiters = blocked_calls(4, semaphore.acquire)
    semaphore.release(count)

    def running():
        return [waiter for waiter in waiters if waiter.is_alive()]

    while len(running()) > 4 - count:
        running()[0].join(0.01)
    for waiter in running():
        waiter.blocked()
    assert len(running()) == 4 - count
    semaphore.release(n=4 - count)
    assert [waiter.result() for waiter in waiters] == [True] * 4


def test_release_beyond_the_waiters_is_kept(cls):
    semaphore = cls(5)
    left(semaphore)
    waiters = blocked_calls(2, semaphore.acquire)
    semaphore.release(5)
    for waiter in waiters:
        waiter.result()
    assert left(semaphore) == 3


@pytest.mark.parametrize("count", [0, -1])
def test_release_of_less_than_one_is_an_error(taken, count):
    with pytest.raises(ValueError, match=r"^n must be one or more$"):
        taken.release(count)
    assert left(taken) == 0


@pytest.mark.parametrize("count", [None, "1", []])
def test_release_of_no_number_is_a_type_error(taken, count):
    with pytest.raises(TypeError):
        taken.release(count)


def test_a_semaphore_has_no_upper_bound(mod):
    semaphore = mod.Semaphore(0)
    semaphore.release()
    semaphore.release(9)
    assert left(semaphore) == 10


def test_a_bounded_semaphore_is_not_released_beyond_its_value(mod):
    semaphore = mod.BoundedSemaphore(2)
    message = "^Semaphore released too many times$"
    with pytest.raises(ValueError, match=message):
        semaphore.release()
    semaphore.acquire()
    with pytest.raises(ValueError, match=message):
        semaphore.release(2)
    assert left(semaphore) == 1
    semaphore.release(2)
    with pytest.raises(ValueError, match=message):
        semaphore.release(1)
    assert left(semaphore) == 2


def test_a_bounded_semaphore_of_none(mod):
    semaphore = mod.BoundedSemaphore(0)
    assert semaphore.acquire(False) is False
    with pytest.raises(ValueError):
        semaphore.release()


def test_a_bounded_semaphore_is_a_semaphore(mod):
    assert issubclass(mod.BoundedSemaphore, mod.Semaphore)


def test_a_semaphore_is_a_context_manager(cls):
    semaphore = cls(1)
    with semaphore as entered:
        assert entered is True
        assert semaphore.acquire(False) is False
    assert left(semaphore) == 1


def test_an_error_in_the_with_block_releases(cls):
    semaphore = cls(1)
    with pytest.raises(KeyError), semaphore:
        raise KeyError
    assert left(semaphore) == 1


def test_entering_waits(taken):
    def enter():
        with taken:
            return "inside"

    waiter = Call(enter).blocked()
    taken.release()
    assert waiter.result() == "inside"
    assert left(taken) == 1


def test_any_thread_may_release(taken):
    Call(taken.release).result()
    assert left(taken) == 1


def test_who_gave_up_takes_nothing(cls):
    semaphore = cls(3)
    left(semaphore)
    waiters = blocked_calls(3, semaphore.acquire)
    for timeout in (0, 0.01):
        assert semaphore.acquire(timeout=timeout) is False
    semaphore.release()
    semaphore.release(2)
    for waiter in waiters:
        waiter.result()
    assert left(semaphore) == 0


def test_a_waiter_does_not_take_what_is_there_for_others(cls):
    semaphore = cls(3)
    left(semaphore)
    waiter = Call(semaphore.acquire).blocked()
    semaphore.release(3)
    assert semaphore.acquire(timeout=PATIENCE) is True
    assert semaphore.acquire(timeout=PATIENCE) is True
    assert waiter.result() is True
    assert left(semaphore) == 0


@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_threads_inside_than_the_value_says(cls, limit):
    semaphore = cls(limit)
    inside, most = set(), []

    def run(index):
        for _ in range(100):
            with semaphore:
                inside.add(index)
                most.append(len(inside))
                inside.remove(index)

    at_once(8, run)
    assert max(most) <= limit
    assert len(most) == 800
    assert left(semaphore) == limit


def test_acquires_with_timeouts_lose_nothing(cls):
    semaphore = cls(2)

    def run(index):
        got = 0
        for _ in range(100):
            if semaphore.acquire(timeout=0.0005 * (index % 3)):
                got += 1
                semaphore.release()
        return got

    at_once(8, run)
    assert left(semaphore) == 2
