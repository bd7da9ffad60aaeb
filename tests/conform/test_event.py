"""Event: set, clear, wait."""

import pytest

from support.blocking import PATIENCE, Call, at_once, blocked_calls
from support.sync import NAN, NO_TIMEOUT, PAST, TOO_LONG


@pytest.fixture
def mod(sync):
    return sync.threading


@pytest.fixture
def event(mod):
    return mod.Event()


def test_an_event_is_unset_until_it_is_set(event):
    assert event.is_set() is False
    assert event.set() is None
    assert event.is_set() is True
    event.set()
    assert event.is_set() is True
    assert event.clear() is None
    assert event.is_set() is False
    event.clear()
    assert event.is_set() is False


def test_the_old_name_of_is_set_warns(event):
    with pytest.warns(DeprecationWarning, match="is_set") as caught:
        assert event.isSet() is False
    assert caught[0].filename == __file__
    event.set()
    with pytest.warns(DeprecationWarning):
        assert event.isSet() is True


def test_wait_for_a_set_event_returns_true_at_once(event):
    event.set()
    assert event.wait() is True
    assert event.wait(timeout=None) is True
    for timeout in [*PAST, *TOO_LONG, *NO_TIMEOUT, NAN]:
        assert event.wait(timeout) is True


def test_wait_returns_false_after_its_timeout(event):
    assert event.wait(0.01) is False
    assert event.wait(timeout=0.01) is False


@pytest.mark.parametrize("timeout", [*PAST, NAN])
def test_a_timeout_in_the_past_returns_at_once(event, timeout):
    assert event.wait(timeout) is False


@pytest.mark.parametrize("timeout", TOO_LONG)
def test_a_timeout_out_of_range_overflows(event, timeout):
    with pytest.raises(OverflowError):
        event.wait(timeout)
    event.set()
    assert event.wait() is True


@pytest.mark.parametrize("timeout", NO_TIMEOUT)
def test_a_timeout_that_is_no_number_is_a_type_error(event, timeout):
    with pytest.raises(TypeError):
        event.wait(timeout)
    event.set()
    assert event.wait() is True


def test_set_wakes_everybody(mod, event):
    waiters = blocked_calls(3, event.wait)
    waiters += blocked_calls(3, event.wait, PATIENCE)
    waiters += blocked_calls(1, event.wait, mod.TIMEOUT_MAX)
    event.set()
    assert [waiter.result() for waiter in waiters] == [True] * 7


def test_who_was_woken_returns_true_although_the_event_is_cleared(event):
    for _ in range(10):
        waiters = blocked_calls(2, event.wait)
        event.set()
        event.clear()
        assert [waiter.result() for waiter in waiters] == [True, True]


def test_clear_wakes_nobody(event):
    waiter = Call(event.wait).blocked()
    event.clear()
    waiter.blocked()
    event.set()
    assert waiter.result() is True


def test_a_cleared_event_is_waited_for_again(event):
    event.set()
    event.clear()
    assert event.wait(0.01) is False
    waiter = Call(event.wait).blocked()
    event.set()
    assert waiter.result() is True


def test_one_waiter_may_give_up_while_others_wait(event):
    stays = Call(event.wait).blocked()
    assert event.wait(0.01) is False
    stays.blocked()
    event.set()
    assert stays.result() is True


def test_two_threads_take_turns(mod):
    ping, pong = mod.Event(), mod.Event()
    log = []

    def answer():
        for _ in range(500):
            assert ping.wait(PATIENCE)
            ping.clear()
            log.append("pong")
            pong.set()

    other = Call(answer)
    for _ in range(500):
        log.append("ping")
        ping.set()
        assert pong.wait(PATIENCE)
        pong.clear()
    other.result()
    assert log == ["ping", "pong"] * 500


def test_what_was_written_before_set_is_seen_after_wait(mod):
    for _ in range(100):
        event, box = mod.Event(), []

        def run(index, event=event, box=box):
            if index == 0:
                box.append("written")
                event.set()
                return "written"
            assert event.wait(PATIENCE)
            return box[0]

        assert at_once(3, run) == ["written"] * 3
