"""A worker of a Pool dies: its task fails, everything else goes on."""

import os
import signal
import threading

import pytest

from support import deaths, tasks
from support.deaths import DEATHS, die_if, refills
from support.errors import catch
from support.gate import worker_pids
from support.impls import all_methods
from support.polling import eventually
from support.procs import alive, children
from support.tasks import square

every_death = pytest.mark.parametrize("how", DEATHS)


@pytest.fixture
def lost():
    import pyconc

    return pyconc.WorkerLostError


def assert_works(impl, pool, tmp_path, workers=2):
    """The pool does its work with all of its workers."""
    assert pool.map(square, range(50)) == [n * n for n in range(50)]
    directory = tmp_path / "works"
    directory.mkdir()
    assert len(worker_pids(pool, workers, directory)) == workers
    eventually(lambda: all(map(alive, children())), what="no zombies")
    refills(impl, workers)


@all_methods
@every_death
def test_the_running_task_is_lost_and_no_other(
    impl, pool, gate, tmp_path, lost, how
):
    before = [pool.apply_async(square, (i,)) for i in range(50)]
    dying = pool.apply_async(deaths.die_known, (gate, how))
    after = [pool.apply_async(square, (i,)) for i in range(50)]
    error = catch(lambda: dying.get(30))
    assert type(error) is lost
    assert isinstance(error, impl.process.BrokenProcessPool)
    assert [r.get(30) for r in before] == [n * n for n in range(50)]
    assert [r.get(30) for r in after] == [n * n for n in range(50)]
    assert_works(impl, pool, tmp_path)


@every_death
def test_the_error_names_worker_cause_and_function(pool, gate, lost, how):
    with pytest.raises(lost, match=DEATHS[how].says) as caught:
        pool.apply(deaths.die_known, (gate, how))
    (pid,) = gate.arrived_pids()
    assert str(pid) in str(caught.value)
    assert "die_known" in str(caught.value)


def test_the_error_of_sigkill_speaks_of_memory(pool, lost):
    with pytest.raises(lost, match="out of memory"):
        pool.apply(deaths.die)
    with pytest.raises(lost) as caught:
        pool.apply(deaths.die, ("exit",))
    assert "out of memory" not in str(caught.value)


def test_the_error_pickles(pool, lost):
    import pickle

    error = catch(lambda: pool.apply(deaths.die))
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is lost
    assert str(copy) == str(error)


@all_methods
@every_death
def test_death_while_taking_the_argument(impl, pool, tmp_path, lost, how):
    deadly = deaths.DiesWhenDecoded(how)
    dying = pool.apply_async(deaths.take, (deadly,))
    after = pool.map_async(square, range(50), chunksize=1)
    with pytest.raises(lost, match="take"):
        dying.get(30)
    assert after.get(30) == [n * n for n in range(50)]
    assert_works(impl, pool, tmp_path)


@all_methods
@every_death
@pytest.mark.parametrize("answer", ["return_deadly", "raise_deadly"])
def test_death_while_answering(impl, pool, tmp_path, lost, how, answer):
    dying = pool.apply_async(getattr(deaths, answer), (how,))
    after = pool.map_async(square, range(50), chunksize=1)
    with pytest.raises(lost, match=answer):
        dying.get(30)
    assert after.get(30) == [n * n for n in range(50)]
    assert_works(impl, pool, tmp_path)


@all_methods
def test_death_while_idle_costs_no_task(impl, pool, make_gate, tmp_path):
    for round_ in range(3):
        for pid in worker_pids(pool, 2, make_gate().directory):
            os.kill(pid, signal.SIGKILL)
        assert pool.apply(square, (round_,)) == round_**2
    assert_works(impl, pool, tmp_path)


def test_death_while_idle_is_repaired_without_a_call(impl, pool, make_gate):
    first = worker_pids(pool, 2, make_gate().directory)
    for pid in first:
        os.kill(pid, signal.SIGKILL)
    eventually(
        lambda: (
            len(
                {c.pid for c in impl.multiprocessing.active_children()} - first
            )
            == 2
        )
    )
    assert not worker_pids(pool, 2, make_gate().directory) & first


def test_the_test_kills_a_running_worker(impl, pool, gate, tmp_path, lost):
    held = [pool.apply_async(gate.enter) for _ in range(2)]
    queued = [pool.apply_async(square, (i,)) for i in range(50)]
    deaths.kill_when_arrived(gate, 2)
    for result in held:
        with pytest.raises(lost, match="SIGKILL"):
            result.get(30)
    assert [r.get(30) for r in queued] == [n * n for n in range(50)]
    assert_works(impl, pool, tmp_path)


def test_a_get_that_waits_already_is_woken(pool, gate, lost):
    held = pool.apply_async(gate.enter)
    errors = []
    waiters = [
        threading.Thread(target=lambda: errors.append(type(catch(held.get))))
        for _ in range(4)
    ]
    for waiter in waiters:
        waiter.start()
    deaths.kill_when_arrived(gate)
    for waiter in waiters:
        waiter.join()
    assert errors == [lost] * 4


def test_an_exec_counts_as_a_death(impl, pool, tmp_path, lost):
    with pytest.raises(lost):
        pool.apply_async(deaths.die_by_exec).get(30)
    assert_works(impl, pool, tmp_path)


def test_a_dead_worker_whose_child_lives_on(impl, pool, gate, lost):
    dying = pool.apply_async(deaths.fork_and_die, (gate,))
    grandchild = int(gate.read("grandchild"))
    try:
        with pytest.raises(lost):
            dying.get(30)
        assert pool.map(square, range(20)) == [n * n for n in range(20)]
        refills(impl, 2)
    finally:
        os.kill(grandchild, signal.SIGKILL)


def test_exactly_the_deadly_ones_of_many_are_lost(pool, lost, rng):
    # never so many in a row that the pool would give up
    bad = set(rng.sample(range(1000), 25))
    results = [
        pool.apply_async(die_if, (i, bad, rng.choice(list(DEATHS))))
        for i in range(1000)
    ]
    for i, result in enumerate(results):
        if i in bad:
            with pytest.raises(lost):
                result.get(30)
        else:
            assert result.get(30) == i


def test_imap_goes_on_after_a_lost_item(pool, lost):
    results = pool.imap(
        tasks.run_step, [(die_if, i, {3, 7}) for i in range(10)]
    )
    seen = []
    for _ in range(10):
        try:
            seen.append(results.next(30))
        except lost:
            seen.append("lost")
    assert seen == [0, 1, 2, "lost", 4, 5, 6, "lost", 8, 9]
    with pytest.raises(StopIteration):
        results.next(30)


def test_imap_unordered_goes_on_after_a_lost_item(pool, lost):
    results = pool.imap_unordered(
        tasks.run_step, [(die_if, i, {3, 7}) for i in range(10)]
    )
    seen, errors = [], 0
    for _ in range(10):
        try:
            seen.append(results.next(30))
        except lost:
            errors += 1
    assert (sorted(seen), errors) == ([0, 1, 2, 4, 5, 6, 8, 9], 2)


@all_methods
@pytest.mark.parametrize("chunksize", [1, 4, None])
def test_map_raises_and_runs_the_other_chunks(pool, gate, lost, chunksize):
    steps = [(tasks.mark, gate, f"ran{i}") for i in range(40)]
    steps[10] = (deaths.die,)
    with pytest.raises(lost):
        pool.map_async(tasks.run_step, steps, chunksize).get(40)
    size = chunksize or 40
    if chunksize:
        start = 10 // size * size
        expected = {i for i in range(40) if i < 10 or i >= start + size}
        assert {int(n[3:]) for n in gate.marks("ran")} == expected
    assert pool.apply(square, (3,)) == 9


def test_the_error_callback_hears_of_a_lost_worker(pool, lost):
    seen = []
    result = pool.apply_async(deaths.die, error_callback=seen.append)
    with pytest.raises(lost):
        result.get(30)
    assert [type(error) for error in seen] == [lost]


def test_a_lost_worker_does_not_break_close_and_join(pool, lost):
    dying = [pool.apply_async(deaths.die) for _ in range(3)]
    after = [pool.apply_async(square, (i,)) for i in range(20)]
    pool.close()
    pool.join()
    for result in dying:
        with pytest.raises(lost):
            result.get(0)
    assert [r.get(0) for r in after] == [n * n for n in range(20)]


def test_death_with_large_payloads_under_way(impl, pool, tmp_path, lost):
    block = bytes(3_000_000)
    results = [pool.apply_async(tasks.identity, (block,)) for _ in range(10)]
    dying = [
        pool.apply_async(deaths.take, (deaths.DiesWhenDecoded("sigkill"),)),
        pool.apply_async(die_if, (block, {block})),
        pool.apply_async(deaths.return_deadly, ("sigkill",)),
    ]
    results += [pool.apply_async(tasks.identity, (block,)) for _ in range(10)]
    for result in dying:
        with pytest.raises(lost):
            result.get(30)
    assert all(r.get(30) == block for r in results)
    assert_works(impl, pool, tmp_path)


def test_the_memory_of_the_dead_is_used_again(make_pool, lost):
    from support.procs import descriptors, mappings

    pool = make_pool(1)
    block = bytes(2_000_000)

    def lose_one():
        with pytest.raises(lost):
            pool.apply(die_if, (block, {block}))
        assert pool.apply(tasks.size_of, (block,)) == len(block)

    for _ in range(5):
        lose_one()
    open_files, mapped = len(descriptors()), mappings()
    for _ in range(30):
        lose_one()
    eventually(lambda: len(descriptors()) <= open_files + 2)
    assert mappings() <= mapped + 20


def test_random_kills_from_outside_cost_only_running_tasks(
    impl, make_pool, tmp_path, lost, rng
):
    pool = make_pool(3)
    stop = threading.Event()

    def kill_now_and_then():
        finished = 0
        while not stop.wait(rng.uniform(0.02, 0.1)):
            if pool._engine.finished == finished:
                continue  # deaths in a row would break the pool
            finished = pool._engine.finished
            workers = impl.multiprocessing.active_children()
            if workers:
                try:
                    os.kill(rng.choice(workers).pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass

    killer = threading.Thread(target=kill_now_and_then)
    killer.start()
    try:
        results = [
            pool.apply_async(tasks.busy_square, (i,)) for i in range(2000)
        ]
        outcomes = []
        for i, result in enumerate(results):
            try:
                assert result.get(40) == i * i
                outcomes.append(True)
            except lost:
                outcomes.append(False)
    finally:
        stop.set()
        killer.join()
    # killed between the pool's last look and its next: at most one each
    assert outcomes.count(True) > 1500
    assert_works(impl, pool, tmp_path, 3)


def test_maxtasksperchild_is_no_death(make_pool):
    pool = make_pool(2, maxtasksperchild=1)
    assert pool.map(square, range(60), chunksize=1) == [
        n * n for n in range(60)
    ]


@pytest.mark.parametrize("how", ["sigkill", "exit"])
def test_deaths_in_a_row_break_the_pool(impl, pool, lost, how):
    # max(10, 2 * workers) of them
    errors = [
        catch(lambda: pool.apply_async(deaths.die, (how,)).get(30))
        for _ in range(10)
    ]
    assert all(isinstance(e, impl.process.BrokenProcessPool) for e in errors)
    assert type(errors[0]) is lost

    # A task that another worker finished first would make up for them.
    eventually(lambda: pool._engine.broken)
    for use in (
        lambda: pool.apply(square, (2,)),
        lambda: pool.map(square, range(3)),
        lambda: list(pool.imap(square, range(3))),
    ):
        with pytest.raises(
            impl.process.BrokenProcessPool, match=DEATHS[how].says
        ):
            use()
    pool.terminate()
    pool.join()


def test_deaths_in_a_row_end_what_is_pending(impl, make_pool):
    pool = make_pool(2)
    results = [pool.apply_async(deaths.die) for _ in range(200)]
    for result in results:
        with pytest.raises(impl.process.BrokenProcessPool):
            result.get(30)
    pool.close()
    pool.join()


def test_a_finished_task_makes_up_for_deaths(pool, lost):
    for round_ in range(3):
        for _ in range(8):
            with pytest.raises(lost):
                pool.apply(deaths.die)
        assert pool.apply(square, (round_,)) == round_**2


def test_more_workers_are_granted_more_deaths(make_pool, lost):
    pool = make_pool(8)
    for _ in range(14):
        with pytest.raises(lost):
            pool.apply(deaths.die)
    assert pool.apply(square, (2,)) == 4


class ReadSlowly:
    """A large result whose reader is held up until it is let go on."""

    reading = threading.Event()
    go_on = threading.Event()

    def __init__(self):
        self.data = os.urandom(300_000)

    def __setstate__(self, state):
        self.reading.set()
        assert self.go_on.wait(30)
        self.__dict__ = state


def test_a_result_being_read_outlives_its_worker(impl, pool, tmp_path):
    ReadSlowly.reading.clear()
    ReadSlowly.go_on.clear()
    result = pool.apply_async(ReadSlowly)
    values = []
    reader = threading.Thread(target=lambda: values.append(result.get(30)))
    reader.start()
    try:
        assert ReadSlowly.reading.wait(30)
        before = set(children())
        for process in pool._pool:
            process.kill()
        eventually(lambda: not all(map(alive, before)), what="a death")
    finally:
        ReadSlowly.go_on.set()
        reader.join()
    assert len(values[0].data) == 300_000
    assert_works(impl, pool, tmp_path)
