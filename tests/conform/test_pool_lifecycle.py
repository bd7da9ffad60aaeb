"""Pool: construction, workers, close, terminate, join, being dropped."""

import gc
import os
import pickle
import re
import threading
import warnings

import pytest

from support import tasks
from support.gate import worker_pids
from support.impls import all_methods, only_pyconc
from support.polling import eventually
from support.tasks import pid, square


def gone(process_id):
    return not os.path.exists(f"/proc/{process_id}")


@pytest.mark.parametrize("processes", [0, -1])
def test_processes_must_be_positive(impl, processes):
    with pytest.raises(
        ValueError, match="Number of processes must be at least 1"
    ):
        impl.multiprocessing.Pool(processes)


def test_the_initializer_must_be_callable(impl):
    with pytest.raises(TypeError, match="initializer must be a callable"):
        impl.multiprocessing.Pool(1, initializer="no")


@pytest.mark.parametrize("count", [0, -1, 1.5, "1"])
def test_maxtasksperchild_must_be_a_positive_integer(impl, count):
    with pytest.raises(
        ValueError, match="maxtasksperchild must be a positive int or None"
    ):
        impl.multiprocessing.Pool(1, maxtasksperchild=count)


def test_a_refused_pool_leaves_nothing(impl):
    before = len(impl.multiprocessing.active_children())
    for bad in ({"processes": 0}, {"initializer": 5}):
        with pytest.raises((ValueError, TypeError)):
            impl.multiprocessing.Pool(**bad)
    assert len(impl.multiprocessing.active_children()) <= before


def test_the_default_worker_count_is_the_stdlibs(impl):
    import multiprocessing

    sizes = []
    for package in (multiprocessing, impl.multiprocessing):
        with package.Pool() as pool:
            sizes.append(re.search(r"pool_size=(\d+)", repr(pool))[1])
    assert sizes[0] == sizes[1]


def test_arguments_by_position(impl, gate):
    pool = impl.multiprocessing.Pool(1, gate.mark, ("started",), 1)
    try:
        assert pool.apply(pid) != pool.apply(pid)
        assert gate.has("started")
    finally:
        pool.terminate()
        pool.join()


def test_every_way_to_a_pool(impl, ctx):
    for make in (
        impl.multiprocessing.Pool,
        impl.pool.Pool,
        ctx.Pool,
        lambda n: impl.pool.Pool(n, context=ctx),
    ):
        with make(1) as pool:
            assert isinstance(pool, impl.pool.Pool)
            assert pool.apply(square, (2,)) == 4


def test_repr_names_state_and_size(pool):
    assert re.search(r"Pool state=RUN pool_size=2>$", repr(pool))
    pool.close()
    assert "state=CLOSE" in repr(pool)
    pool.terminate()
    pool.join()
    assert "state=TERMINATE" in repr(pool)


@all_methods
def test_there_are_as_many_workers_as_asked_for(make_pool, tmp_path):
    assert len(worker_pids(make_pool(3), 3, tmp_path)) == 3


def test_the_workers_are_children(impl, pool, tmp_path):
    pids = worker_pids(pool, 2, tmp_path)
    children = impl.multiprocessing.active_children()
    assert pids <= {child.pid for child in children}


@all_methods
def test_workers_are_daemons_with_a_name(pool, ctx_method):
    name, daemon, its_pid, real_pid = pool.apply(tasks.process_facts)
    assert its_pid == real_pid
    assert daemon is True
    kind = {
        "fork": "Fork",
        "spawn": "Spawn",
        "forkserver": "ForkServer",
    }[ctx_method]
    assert re.fullmatch(kind + r"PoolWorker-\d+(:\d+)?", name)


@all_methods
def test_the_initializer_runs_once_in_every_worker(make_pool, gate, tmp_path):
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    pool = make_pool(2, initializer=gate.arrive)
    pids = worker_pids(pool, 2, meeting)
    assert sorted(gate.arrived_pids()) == sorted(pids)


@all_methods
def test_initargs_reach_the_initializer(make_pool):
    pool = make_pool(1, tasks.inherit, ("a", [1]))
    assert pool.apply(tasks.get_inherited) == ("a", [1])


@all_methods
def test_locks_and_values_reach_the_workers(make_pool, ctx):
    lock, value = ctx.Lock(), ctx.Value("i", 0, lock=False)
    pool = make_pool(2, initializer=tasks.inherit, initargs=(lock, value))
    pool.map(tasks.add_under_lock, [200] * 10, chunksize=1)
    assert value.value == 2000


@all_methods
def test_queues_reach_the_workers(make_pool, ctx):
    queue = ctx.Queue()
    pool = make_pool(2, initializer=tasks.inherit, initargs=(queue,))
    pool.map(tasks.put_inherited, range(20))
    assert sorted(queue.get(timeout=30) for _ in range(20)) == list(range(20))


@pytest.mark.parametrize("make", ["Lock", "Queue"])
def test_locks_and_queues_do_not_travel_as_arguments(pool, ctx, make):
    with pytest.raises(RuntimeError, match="through inheritance"):
        pool.apply(tasks.identity, (getattr(ctx, make)(),))


@all_methods
def test_maxtasksperchild_renews_the_workers(make_pool):
    pool = make_pool(1, maxtasksperchild=2)
    pids = [pool.apply(pid) for _ in range(6)]
    assert pids[0] == pids[1] and pids[2] == pids[3] and pids[4] == pids[5]
    assert len(set(pids)) == 3


def test_maxtasksperchild_counts_chunks(make_pool):
    pool = make_pool(1, maxtasksperchild=2)
    facts = pool.map(tasks.count_calls, range(12), chunksize=3)
    pids = [process_id for process_id, _ in facts]
    assert len(set(pids)) == 2
    assert set(pids[:6]) == {pids[0]} and set(pids[6:]) == {pids[6]}


def test_maxtasksperchild_and_many_tasks(make_pool):
    pool = make_pool(2, maxtasksperchild=3)
    results = [pool.apply_async(square, (i,)) for i in range(60)]
    pool.close()
    pool.join()
    assert [r.get(0) for r in results] == [n * n for n in range(60)]


def test_without_a_limit_a_worker_stays(make_pool):
    pool = make_pool(1)
    assert len({pool.apply(pid) for _ in range(50)}) == 1


@all_methods
def test_close_and_join_finish_what_was_given(pool):
    results = [pool.apply_async(square, (i,)) for i in range(100)]
    mapped = pool.map_async(square, range(100))
    lazy = pool.imap(square, range(100))
    pool.close()
    pool.join()
    assert [r.get(0) for r in results] == [n * n for n in range(100)]
    assert mapped.get(0) == [n * n for n in range(100)]
    assert list(lazy) == [n * n for n in range(100)]


@all_methods
def test_join_ends_the_workers(pool, tmp_path):
    pids = worker_pids(pool, 2, tmp_path)
    pool.close()
    pool.join()
    assert all(gone(p) for p in pids)


USES = {
    "apply": lambda pool: pool.apply(square, (1,)),
    "apply_async": lambda pool: pool.apply_async(square, (1,)),
    "map": lambda pool: pool.map(square, [1]),
    "map_async": lambda pool: pool.map_async(square, [1]),
    "imap": lambda pool: pool.imap(square, [1]),
    "imap_unordered": lambda pool: pool.imap_unordered(square, [1]),
    "starmap": lambda pool: pool.starmap(pow, [(1, 2)]),
    "starmap_async": lambda pool: pool.starmap_async(pow, [(1, 2)]),
    "with": lambda pool: pool.__enter__(),
}


@pytest.mark.parametrize("end", ["close", "terminate"])
@pytest.mark.parametrize("use", USES)
def test_no_use_after_the_end(pool, end, use):
    getattr(pool, end)()
    with pytest.raises(ValueError, match="Pool not running"):
        USES[use](pool)


def test_join_before_close_is_refused(pool):
    with pytest.raises(ValueError, match="Pool is still running"):
        pool.join()
    assert pool.apply(square, (2,)) == 4


def test_close_terminate_and_join_may_be_repeated(pool):
    pool.close()
    pool.close()
    pool.join()
    pool.join()
    pool.terminate()
    pool.terminate()
    pool.join()


@all_methods
def test_terminate_does_not_wait_for_tasks(pool, gate):
    for _ in range(2):
        pool.apply_async(gate.enter)
    for i in range(100):
        pool.apply_async(gate.mark, (f"ran{i}",))
    gate.wait_arrived(2)
    pids = gate.arrived_pids()
    pool.terminate()
    pool.join()
    assert all(gone(p) for p in pids)
    assert gate.marks("ran") == []


def test_terminate_of_an_idle_pool(pool):
    assert pool.apply(square, (2,)) == 4
    pool.terminate()
    pool.join()


def test_terminate_at_once(make_pool):
    for _ in range(5):
        pool = make_pool(2)
        pool.terminate()
        pool.join()


def test_terminate_during_a_long_input(pool):
    never = threading.Event()

    def source():
        for i in range(10_000_000):
            if never.is_set():
                return
            yield i

    results = pool.imap(square, source())
    assert next(results) == 0
    never.set()
    pool.terminate()
    pool.join()


@all_methods
def test_the_context_manager_terminates(impl, ctx, gate):
    with ctx.Pool(2) as pool:
        assert pool.apply(square, (2,)) == 4
        held = pool.apply_async(gate.enter)
        gate.wait_arrived(1)
    (worker,) = gate.arrived_pids()
    pool.join()
    assert gone(worker)
    with pytest.raises(ValueError, match="Pool not running"):
        pool.apply(square, (1,))
    del held


def test_the_context_manager_gives_the_pool(make_pool):
    pool = make_pool(1)
    with pool as same:
        assert same is pool


def test_the_context_manager_lets_an_exception_pass(ctx):
    with pytest.raises(ZeroDivisionError):
        with ctx.Pool(1):
            raise ZeroDivisionError


@only_pyconc
@pytest.mark.parametrize("end", ["terminate", "with"])
def test_terminate_ends_every_pending_get(impl, make_pool, gate, end):
    pool = make_pool(1)
    pending = [
        pool.apply_async(gate.enter),
        pool.apply_async(square, (2,)),
        pool.map_async(square, range(10)),
    ]
    lazy = pool.imap(square, range(10))
    gate.wait_arrived(1)
    if end == "terminate":
        pool.terminate()
    else:
        with pool:
            pass
    for result in pending:
        with pytest.raises(Exception) as caught:
            result.get(30)
        assert not isinstance(caught.value, impl.multiprocessing.TimeoutError)
    with pytest.raises(Exception) as caught:
        lazy.next(30)
    assert not isinstance(
        caught.value, (impl.multiprocessing.TimeoutError, StopIteration)
    )


def test_a_pool_does_not_pickle(pool):
    with pytest.raises(
        NotImplementedError,
        match="pool objects cannot be passed between processes or pickled",
    ):
        pickle.dumps(pool)
    with pytest.raises(NotImplementedError):
        pool.apply(tasks.identity, (pool,))


def test_a_pool_dropped_while_running_warns(ctx):
    pool = ctx.Pool(2)
    with pytest.warns(
        ResourceWarning, match="unclosed running multiprocessing pool"
    ):
        del pool
        gc.collect()


def test_a_pool_dropped_after_its_end_does_not_warn(ctx):
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        with ctx.Pool(2) as pool:
            pool.apply(square, (1,))
        pool.join()
        del pool
        gc.collect()


@pytest.mark.filterwarnings("ignore:unclosed running:ResourceWarning")
def test_a_dropped_pool_ends_its_workers(ctx, tmp_path):
    pool = ctx.Pool(2)
    pids = worker_pids(pool, 2, tmp_path)
    del pool
    gc.collect()
    eventually(lambda: all(gone(p) for p in pids))


def test_a_subclass_may_override_process(impl, ctx):
    made = []

    class Tagged(impl.pool.Pool):
        @staticmethod
        def Process(ctx, *args, **kwds):
            process = ctx.Process(*args, **kwds)
            made.append(process)
            return process

    with Tagged(2, context=ctx) as pool:
        assert pool.apply(square, (3,)) == 9
        assert len(made) == 2
        assert pool.apply(pid) in {process.pid for process in made}


def test_workers_that_are_no_daemons_may_have_children(impl, ctx):
    # the recipe that everybody copies
    class NoDaemonProcess(type(ctx.Process())):
        @property
        def daemon(self):
            return False

        @daemon.setter
        def daemon(self, value):
            pass

    class NoDaemonPool(impl.pool.Pool):
        @staticmethod
        def Process(ctx, *args, **kwds):
            return NoDaemonProcess(*args, **kwds)

    package = impl.multiprocessing.__name__
    pool = NoDaemonPool(1, context=ctx)
    try:
        assert pool.apply(tasks.nested_pool, (package, "fork", [1, 2, 3])) == [
            1,
            4,
            9,
        ]
        pool.close()
        pool.join()
    finally:
        pool.terminate()


def test_a_subclass_may_extend_the_methods(impl, ctx):
    class Doubling(impl.pool.Pool):
        def apply(self, func, args=(), kwds={}):  # noqa: B006
            return 2 * super().apply(func, args, kwds)

    with Doubling(1, context=ctx) as pool:
        assert pool.apply(square, (3,)) == 18
        assert pool.map(square, [3]) == [9]


def test_several_pools_beside_each_other(make_pool):
    pools = [make_pool(1) for _ in range(4)]
    results = [pool.apply_async(square, (i,)) for i, pool in enumerate(pools)]
    assert [r.get() for r in results] == [0, 1, 4, 9]
    assert len({pool.apply(pid) for pool in pools}) == 4


def test_a_pool_may_be_used_inside_of_an_ordinary_process(impl, ctx, gate):
    process = ctx.Process(
        target=_map_in_child,
        args=(impl.multiprocessing.__name__, gate),
        daemon=False,
    )
    process.start()
    process.join()
    assert process.exitcode == 0
    assert gate.read("result") == "[0, 1, 4, 9]"


def _map_in_child(package, gate):
    gate.mark("result", str(tasks.nested_pool(package, "fork", range(4))))
