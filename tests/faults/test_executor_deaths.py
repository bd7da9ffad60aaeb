"""A worker of a ProcessPoolExecutor dies."""

import asyncio
import contextlib
import os
import signal
import threading

import pytest

from support import deaths, tasks
from support.deaths import DEATHS, refills
from support.errors import catch
from support.impls import all_methods
from support.polling import eventually
from support.procs import any_alive
from support.tasks import pid, square

every_death = pytest.mark.parametrize("how", DEATHS)


@pytest.fixture
def broken(impl):
    return impl.process.BrokenProcessPool


@pytest.fixture
def lost():
    import pyconc

    return pyconc.WorkerLostError


@all_methods
@every_death
def test_every_pending_future_is_broken(executor, gate, broken, how):
    held = executor.submit(gate.enter)
    gate.wait_arrived(1)
    dying = executor.submit(deaths.die, how)
    queued = []
    with contextlib.suppress(broken):  # it may come as early as this
        queued.extend(executor.submit(square, i) for i in range(20))
    with pytest.raises(broken):
        dying.result(30)
    with pytest.raises(broken):
        held.result(30)
    # those that ended before the death keep their results
    for i, future in enumerate(queued):
        error = future.exception(30)
        assert isinstance(error, broken) or future.result() == i * i


@every_death
def test_later_submits_raise(executor, broken, how):
    with pytest.raises(broken):
        executor.submit(deaths.die, how).result(30)
    with pytest.raises(broken):
        executor.submit(square, 1)
    with pytest.raises(broken):
        executor.map(square, range(3))


@every_death
def test_the_error_names_worker_and_cause(executor, gate, broken, how):
    future = executor.submit(deaths.die_known, gate, how)
    with pytest.raises(broken, match=DEATHS[how].says) as caught:
        future.result(30)
    (dead,) = gate.arrived_pids()
    assert str(dead) in str(caught.value)


@every_death
def test_death_while_taking_the_argument(executor, broken, how):
    future = executor.submit(deaths.take, deaths.DiesWhenDecoded(how))
    with pytest.raises(broken):
        future.result(30)
    with pytest.raises(broken):
        executor.submit(square, 1)


@every_death
def test_death_while_answering(executor, broken, how):
    with pytest.raises(broken):
        executor.submit(deaths.return_deadly, how).result(30)
    with pytest.raises(broken):
        executor.submit(square, 1)


@all_methods
def test_death_while_idle(executor, broken):
    os.kill(executor.submit(pid).result(30), signal.SIGKILL)

    def refused():
        try:
            executor.submit(square, 1).exception(30)
        except broken:
            return True
        return False

    eventually(refused)


def test_the_other_workers_end_with_it(executor, make_gate, broken):
    gate = make_gate()
    futures = [executor.submit(gate.meet, 2) for _ in range(2)]
    pids = {future.result(30) for future in futures}
    with pytest.raises(broken):
        executor.submit(deaths.die).result(30)
    eventually(lambda: not any_alive(pids))


def test_shutdown_of_a_broken_executor(executor, broken):
    with pytest.raises(broken):
        executor.submit(deaths.die).result(30)
    executor.shutdown(wait=True)
    with pytest.raises(RuntimeError):
        executor.submit(square, 1)


def test_the_context_manager_of_a_broken_executor(impl, ctx, broken):
    with pytest.raises(broken):
        with impl.futures.ProcessPoolExecutor(2, mp_context=ctx) as executor:
            executor.submit(deaths.die).result(30)


def test_map_raises(executor, broken):
    steps = [(deaths.die_if, i, {5}) for i in range(20)]
    results = executor.map(tasks.run_step, steps)
    with pytest.raises(broken):
        list(results)


def test_wait_and_as_completed_wake(impl, executor, gate, broken):
    futures = [executor.submit(gate.enter) for _ in range(4)]
    gate.wait_arrived(1)
    killer = threading.Thread(target=deaths.kill_when_arrived, args=(gate,))
    killer.start()
    done, not_done = impl.futures.wait(futures, 30)
    killer.join()
    assert not not_done
    seen = set(impl.futures.as_completed(futures, 30))
    assert seen == set(futures)
    assert all(isinstance(f.exception(), broken) for f in futures)


def test_callbacks_hear_of_it(executor, broken):
    called = threading.Event()
    seen = []

    def callback(future):
        seen.append(type(future.exception()))
        called.set()

    executor.submit(deaths.die).add_done_callback(callback)
    assert called.wait(30)
    assert issubclass(seen[0], broken)


def test_awaiting_wakes(executor, broken):
    async def main():
        with pytest.raises(broken):
            await executor.submit(deaths.die)

    asyncio.run(main())


def test_a_cancelled_future_stays_cancelled(make_executor, gate):
    executor = make_executor(1)
    executor.submit(gate.enter)
    queued = [executor.submit(square, i) for i in range(6)]
    assert queued[-1].cancel()
    deaths.kill_when_arrived(gate)
    queued[0].exception(30)
    assert queued[-1].cancelled()


class TestReplace:
    """on_worker_lost="replace" does as Pool does."""

    @pytest.fixture
    def executor(self, make_executor):
        return make_executor(2, on_worker_lost="replace")

    @all_methods
    @every_death
    def test_only_the_running_task_is_lost(self, impl, executor, lost, how):
        before = [executor.submit(square, i) for i in range(20)]
        dying = executor.submit(deaths.die, how)
        after = [executor.submit(square, i) for i in range(20)]
        with pytest.raises(lost, match=DEATHS[how].says):
            dying.result(30)
        assert [f.result(30) for f in before + after] == [
            n * n for n in range(20)
        ] * 2
        assert executor.submit(square, 3).result(30) == 9

    @every_death
    @pytest.mark.parametrize("state", ["taking", "answering"])
    def test_in_other_states(self, executor, lost, how, state):
        if state == "taking":
            dying = executor.submit(deaths.take, deaths.DiesWhenDecoded(how))
        else:
            dying = executor.submit(deaths.return_deadly, how)
        with pytest.raises(lost):
            dying.result(30)
        assert executor.submit(square, 3).result(30) == 9

    def test_idle(self, executor):
        for _ in range(3):
            os.kill(executor.submit(pid).result(30), signal.SIGKILL)
            assert executor.submit(square, 3).result(30) == 9

    def test_the_workers_are_replaced(self, impl, executor, make_gate, lost):
        first = make_gate()
        futures = [executor.submit(first.meet, 2) for _ in range(2)]
        for future in futures:
            future.result(30)
        with pytest.raises(lost):
            executor.submit(deaths.die).result(30)
        second = make_gate()
        futures = [executor.submit(second.meet, 2) for _ in range(2)]
        assert len({future.result(30) for future in futures}) == 2
        refills(impl, 2)

    def test_map_raises_by_position(self, executor, lost):
        steps = [(deaths.die_if, i, {5}) for i in range(20)]
        results = executor.map(tasks.run_step, steps)
        assert [next(results) for _ in range(5)] == list(range(5))
        with pytest.raises(lost):
            next(results)
        assert executor.submit(square, 3).result(30) == 9

    def test_deaths_in_a_row_break_it(self, executor, broken):
        errors = [
            catch(lambda: executor.submit(deaths.die).result(30))
            for _ in range(10)
        ]
        assert all(isinstance(error, broken) for error in errors)

        # A task that another worker finished would make up for them.
        eventually(lambda: executor._engine.broken)
        with pytest.raises(broken, match="SIGKILL"):
            executor.submit(square, 1)


def test_on_worker_lost_is_checked(impl):
    with pytest.raises(ValueError, match="on_worker_lost"):
        impl.futures.ProcessPoolExecutor(1, on_worker_lost="ignore")
