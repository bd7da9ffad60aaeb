"""Barrier: meeting, breaking, resetting, using it again and again."""

import sys
import threading
from contextlib import suppress

import pytest

from support.blocking import PATIENCE, Call, at_once, blocked_calls
from support.sync import NO_TIMEOUT, PAST, TOO_LONG


@pytest.fixture
def mod(sync):
    return sync.threading


@pytest.fixture
def barrier(mod):
    """A barrier for three."""
    return mod.Barrier(3)


def meet(barrier):
    """Let all parties wait and return their indexes in order."""
    return sorted(at_once(barrier.parties, lambda _: barrier.wait(PATIENCE)))


def all_broken(mod, calls):
    return [type(call.ended()) for call in calls] == (
        [mod.BrokenBarrierError] * len(calls)
    )


def test_the_state_of_a_new_barrier(mod):
    barrier = mod.Barrier(parties=2, action=None, timeout=None)
    assert barrier.parties == 2
    assert barrier.n_waiting == 0
    assert barrier.broken is False


@pytest.mark.parametrize("name", ["parties", "n_waiting", "broken"])
def test_the_state_cannot_be_written(barrier, name):
    with pytest.raises(AttributeError):
        setattr(barrier, name, 1)


@pytest.mark.parametrize("parties", [0, -1])
def test_a_barrier_for_nobody(mod, parties):
    """Before 3.13 the stdlib makes one on which everybody waits for ever."""
    if sys.version_info >= (3, 13) or mod is not threading:
        with pytest.raises(ValueError, match=r"^parties must be > 0$"):
            mod.Barrier(parties)
    else:
        assert mod.Barrier(parties).parties == parties


def test_the_error_is_a_runtime_error(mod):
    assert issubclass(mod.BrokenBarrierError, RuntimeError)
    assert mod.BrokenBarrierError is threading.BrokenBarrierError


@pytest.mark.parametrize("parties", [1, 2, 3, 8])
def test_each_party_gets_an_index_of_its_own(mod, parties):
    assert meet(mod.Barrier(parties)) == list(range(parties))


def test_nobody_goes_on_before_all_are_there(barrier):
    calls = []
    for count in range(2):
        assert barrier.n_waiting == count
        calls.append(Call(barrier.wait).blocked())
    assert barrier.n_waiting == 2
    barrier.wait()
    for call in calls:
        call.result()
    assert barrier.n_waiting == 0
    assert barrier.broken is False


def test_a_barrier_for_one_does_not_wait(mod):
    barrier = mod.Barrier(1)
    for timeout in [None, *PAST, *TOO_LONG, *NO_TIMEOUT]:
        assert barrier.wait(timeout) == 0


def test_the_action_runs_once_before_anybody_goes_on(mod):
    log = []
    barrier = mod.Barrier(4, action=lambda: log.append("action"))

    def run(_index):
        barrier.wait(PATIENCE)
        log.append("on")

    for _ in range(20):
        at_once(4, run)
        assert log == ["action", "on", "on", "on", "on"]
        log.clear()


def test_the_action_runs_in_one_of_the_threads(mod):
    ran_in = []
    barrier = mod.Barrier(3, action=lambda: ran_in.append(threading.get_ident()))

    def run(_index):
        barrier.wait(PATIENCE)
        return threading.get_ident()

    idents = at_once(3, run)
    assert len(ran_in) == 1
    assert ran_in[0] in idents


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt, SystemExit])
def test_an_action_that_raises_breaks_the_barrier(mod, error):
    actions = []

    def action():
        actions.append(1)
        if len(actions) == 1:
            raise error("action")

    barrier = mod.Barrier(3, action)
    waiters = blocked_calls(2, barrier.wait)
    with pytest.raises(error):
        barrier.wait()
    assert all_broken(mod, waiters)
    assert barrier.broken is True
    with pytest.raises(mod.BrokenBarrierError):
        barrier.wait()
    assert len(actions) == 1
    barrier.reset()
    assert meet(barrier) == [0, 1, 2]
    assert len(actions) == 2


@pytest.mark.parametrize("timeout", [*PAST, 0.01])
def test_a_timeout_breaks_everybody(mod, barrier, timeout):
    waiter = Call(barrier.wait).blocked()
    with pytest.raises(mod.BrokenBarrierError):
        barrier.wait(timeout=timeout)
    assert all_broken(mod, [waiter])
    assert barrier.broken is True
    assert barrier.n_waiting == 0
    with pytest.raises(mod.BrokenBarrierError):
        barrier.wait()


def test_the_timeout_of_the_constructor_is_the_default(mod):
    barrier = mod.Barrier(2, timeout=0.01)
    with pytest.raises(mod.BrokenBarrierError):
        barrier.wait()
    assert barrier.broken
    barrier.reset()
    waiter = Call(barrier.wait, PATIENCE).blocked()
    barrier.wait(None)
    waiter.result()
    assert not barrier.broken


@pytest.mark.parametrize(
    "error, timeouts", [(OverflowError, TOO_LONG), (TypeError, NO_TIMEOUT)]
)
def test_a_wrong_timeout_is_an_error_and_breaks_nothing(barrier, error, timeouts):
    waiter = Call(barrier.wait).blocked()
    for timeout in timeouts:
        with pytest.raises(error):
            barrier.wait(timeout)
        assert barrier.n_waiting == 1
        assert barrier.broken is False
    others = [Call(barrier.wait, PATIENCE) for _ in range(2)]
    assert sorted(call.result() for call in [waiter, *others]) == [0, 1, 2]


def test_the_longest_timeout_waits(mod, barrier):
    waiters = blocked_calls(2, barrier.wait, mod.TIMEOUT_MAX)
    barrier.wait()
    for waiter in waiters:
        waiter.result()


def test_abort_breaks_everybody(mod, barrier):
    waiters = blocked_calls(2, barrier.wait)
    assert barrier.abort() is None
    assert all_broken(mod, waiters)
    assert barrier.broken is True
    assert barrier.n_waiting == 0
    with pytest.raises(mod.BrokenBarrierError):
        barrier.wait()


def test_abort_of_an_idle_barrier(mod, barrier):
    barrier.abort()
    barrier.abort()
    with pytest.raises(mod.BrokenBarrierError):
        barrier.wait(0)
    assert barrier.broken is True
    barrier.reset()
    assert barrier.broken is False
    assert meet(barrier) == [0, 1, 2]


def test_reset_sends_away_who_waits(mod, barrier):
    waiters = blocked_calls(2, barrier.wait)
    assert barrier.reset() is None
    assert all_broken(mod, waiters)
    assert barrier.broken is False
    assert barrier.n_waiting == 0
    assert meet(barrier) == [0, 1, 2]


def test_reset_of_an_idle_barrier(barrier):
    barrier.reset()
    assert barrier.broken is False
    assert meet(barrier) == [0, 1, 2]


def test_a_reset_during_an_action_that_raises(mod):
    """It waits for the action or it does not; nothing is broken after it."""
    inside, go = threading.Event(), threading.Event()

    def action():
        if not go.is_set():
            inside.set()
            go.wait(PATIENCE)
            raise KeyError("action")

    barrier = mod.Barrier(2, action)
    calls = [Call(barrier.wait) for _ in range(2)]
    assert inside.wait(PATIENCE)
    resetter = Call(barrier.reset)
    with suppress(AssertionError):  # it may have ended
        resetter.blocked()
    go.set()
    resetter.result()
    errors = {type(call.ended()) for call in calls}
    assert errors == {KeyError, mod.BrokenBarrierError}
    assert barrier.broken is False
    assert barrier.n_waiting == 0
    assert meet(barrier) == [0, 1]


def test_who_comes_after_a_reset_belongs_to_the_next_round(mod, barrier):
    for _ in range(20):
        gone = blocked_calls(2, barrier.wait)
        barrier.reset()
        calls = [Call(barrier.wait, PATIENCE) for _ in range(3)]
        assert all_broken(mod, gone)
        assert sorted(call.result() for call in calls) == [0, 1, 2]


def test_a_barrier_is_used_again_and_again(mod):
    parties, rounds = 4, 200
    barrier = mod.Barrier(parties)
    indexes = [[] for _ in range(rounds)]

    def run(_index):
        for number in range(rounds):
            indexes[number].append(barrier.wait(PATIENCE))

    at_once(parties, run)
    assert [sorted(found) for found in indexes] == [[0, 1, 2, 3]] * rounds


def test_nobody_overtakes(mod):
    parties, rounds = 4, 100
    barrier = mod.Barrier(parties)
    progress = [0] * parties

    def run(index):
        for number in range(rounds):
            assert set(progress) <= {number, number + 1}
            progress[index] = number + 1
            barrier.wait(PATIENCE)
            assert set(progress) <= {number + 1, number + 2}

    at_once(parties, run)
    assert progress == [rounds] * parties


def test_more_threads_than_parties_go_in_groups(mod):
    rounds = []
    barrier = mod.Barrier(3, action=lambda: rounds.append(1))
    indexes = at_once(9, lambda _: barrier.wait(PATIENCE))
    assert sorted(indexes) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert len(rounds) == 3
