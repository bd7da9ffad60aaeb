"""Pools come and go; nothing of them stays."""

import gc
import os
import threading

import pytest

from support import procs
from support.gate import worker_pids
from support.impls import METHODS
from support.polling import eventually
from support.procs import any_alive
from support.tasks import square


def state():
    gc.collect()
    return (
        len(procs.descriptors()),
        procs.native_threads(),
        len(procs.children()),
        procs.shared_names(),
    )


def assert_back_to(before):
    eventually(
        lambda: all(now <= then for now, then in zip(state(), before)),
        what=f"{before}, not {state()}",
    )


def use_pool(ctx):
    with ctx.Pool(2) as pool:
        assert pool.map(square, range(5)) == [0, 1, 4, 9, 16]
    pool.join()


def drop_pool(ctx):
    pool = ctx.Pool(2)
    assert pool.apply(square, (3,)) == 9


def drop_unused_pool(ctx):
    ctx.Pool(2)


def leave_results(ctx):
    pool = ctx.Pool(2)
    results = [pool.apply_async(square, (i,)) for i in range(10)]
    pool.imap(square, range(10))
    pool.terminate()
    pool.join()
    del results


def in_a_cycle(ctx):
    pool = ctx.Pool(2)
    pool.myself = pool
    pool.terminate()
    pool.join()


USES = [use_pool, drop_pool, drop_unused_pool, leave_results, in_a_cycle]


@pytest.mark.filterwarnings("ignore:unclosed running:ResourceWarning")
@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
def test_twenty_pools_leave_nothing(ctx, use):
    children = procs.children()
    use(ctx)
    eventually(lambda: procs.children() <= children)
    before, mappings = state(), procs.mappings()
    for _ in range(20):
        use(ctx)
    assert_back_to(before)
    assert procs.mappings() <= mappings + 10


@pytest.mark.watchdog(240)
@pytest.mark.filterwarnings("ignore:unclosed running:ResourceWarning")
def test_a_hundred_pools_leave_nothing(ctx):
    use_pool(ctx)
    before = state()
    for i in range(100):
        USES[i % 3](ctx)
    assert_back_to(before)


@pytest.mark.parametrize("method", METHODS)
def test_executors_leave_nothing(impl, method):
    ctx = impl.context(method)

    def use():
        with impl.futures.ProcessPoolExecutor(1, mp_context=ctx) as executor:
            assert executor.submit(square, 3).result() == 9

    use()
    before = state()
    for _ in range(5 if method != "fork" else 20):
        use()
    assert_back_to(before)


@pytest.mark.filterwarnings("ignore:unclosed running:ResourceWarning")
@pytest.mark.parametrize("method", METHODS)
def test_a_collected_pool_ends_its_workers(impl, tmp_path, method):
    pool = impl.context(method).Pool(2)
    pids = worker_pids(pool, 2, tmp_path)
    del pool
    gc.collect()
    eventually(lambda: not any_alive(pids))


@pytest.mark.filterwarnings("ignore:unclosed running:ResourceWarning")
def test_a_dropped_pool_lives_until_its_tasks_are_done(ctx, gate):
    # as in the stdlib, whose pending results hold their pool
    result = ctx.Pool(1).apply_async(gate.enter)
    gate.wait_arrived(1)
    pids = gate.arrived_pids()
    gc.collect()
    gate.open()
    result.get(30)
    eventually(lambda: not any_alive(pids))


def test_eight_threads_share_a_pool(pool):
    errors = []

    def work(number):
        try:
            for i in range(20):
                assert pool.apply(square, (i,)) == i * i
                assert pool.map(square, range(30)) == [
                    n * n for n in range(30)
                ]
                assert list(pool.imap(square, range(10), 3)) == [
                    n * n for n in range(10)
                ]
                results = [
                    pool.apply_async(square, (number,)) for _ in range(10)
                ]
                assert [r.get(30) for r in results] == [number**2] * 10
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_threads_may_make_pools_at_once(ctx):
    before = state()
    errors = []

    def work():
        try:
            for _ in range(5):
                use_pool(ctx)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    eventually(lambda: state()[1:] == before[1:])


def test_an_idle_pool_burns_no_cpu(pool, tmp_path):
    pids = [*worker_pids(pool, 2, tmp_path), os.getpid()]

    def ticks():
        total = 0
        for pid in pids:
            with open(f"/proc/{pid}/stat") as stream:
                fields = stream.read().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total

    def quiet():
        before = ticks()
        threading.Event().wait(0.5)
        # one tick may be this test's own
        return ticks() - before <= 1

    eventually(quiet)


def test_memory_goes_back_after_many_tasks(make_pool):
    pool = make_pool(2)

    def resident():
        gc.collect()
        with open("/proc/self/statm") as stream:
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def burst():
        results = [pool.apply_async(square, (i,)) for i in range(100_000)]
        assert results[-1].get(30) == 99_999**2

    pool.map(square, range(1000))
    before = resident()
    burst()
    burst()
    eventually(
        lambda: resident() < before + (20 << 20),
        what="return of the memory",
    )
