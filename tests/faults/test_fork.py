"""The parent forks, or has threads, while its pools are busy."""

import gc
import os
import threading

import pytest

from support import tasks
from support.children import in_forked_child
from support.impls import METHODS, all_methods
from support.tasks import square


def test_forks_amid_a_busy_pool_disturb_nobody(pool):
    stop = threading.Event()
    errors = []

    def work():
        try:
            while not stop.is_set():
                assert pool.map(square, range(100), 1) == [
                    n * n for n in range(100)
                ]
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(50):
            assert in_forked_child(int) == ("0", 0)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert errors == []


def test_a_child_forked_amid_work_can_have_its_own_pool(ctx, pool):
    stop = threading.Event()

    def work():
        while not stop.is_set():
            pool.map(square, range(100), 1)

    thread = threading.Thread(target=work)
    thread.start()

    def own():
        with ctx.Pool(1) as mine:
            return mine.map(square, range(5))

    try:
        assert [in_forked_child(own) for _ in range(5)] == [
            ("[0, 1, 4, 9, 16]", 0)
        ] * 5
    finally:
        stop.set()
        thread.join()


def test_results_forked_along_stay_private(pool):
    """A child that changes a large result does not change the parent's."""
    value = pool.apply(bytearray, (500_000,))

    def change():
        value[:] = b"z" * len(value)
        return value == b"z" * 500_000

    assert in_forked_child(change) == ("True", 0)
    assert value == bytes(500_000)


def test_arrays_forked_along_stay_private(pool):
    numpy = pytest.importorskip("numpy")
    value = pool.apply(numpy.zeros, (100_000,))

    def change():
        value[:] = 1
        return int(value.sum())

    assert in_forked_child(change) == ("100000", 0)
    assert value.sum() == 0


def fork_in_task(_value):
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@all_methods
def test_a_task_may_fork(pool):
    assert pool.map(fork_in_task, range(10)) == [7] * 10


def test_a_task_that_forks_warns_of_no_threads(make_pool):
    # a worker has one thread only
    pool = make_pool(1)
    assert pool.apply(count_native_threads) == 1


def count_native_threads():
    return len(os.listdir("/proc/self/task"))


def return_in_child_too():
    """Let a forked child of the worker run into the worker's own loop."""
    pid = os.fork()
    if pid == 0:
        return "child"
    os.waitpid(pid, os.WNOHANG)
    return "parent"


def test_a_child_of_a_worker_does_not_answer_for_it(make_pool):
    pool = make_pool(1)
    assert pool.apply_async(return_in_child_too).get(30) in (
        "parent",
        "child",
    )
    for i in range(100):
        assert pool.apply_async(square, (i,)).get(30) == i * i


@all_methods
def test_a_pool_inside_a_worker_of_an_executor(impl, executor, ctx_method):
    package = impl.multiprocessing.__name__
    futures = [
        executor.submit(
            tasks.nested_pool, package, ctx_method, list(range(20))
        )
        for _ in range(3)
    ]
    for future in futures:
        assert future.result(40) == [n * n for n in range(20)]


def nested_executor(method, values):
    from pyconc import futures, multiprocessing

    ctx = multiprocessing.get_context(method)
    with futures.ProcessPoolExecutor(2, mp_context=ctx) as executor:
        return list(executor.map(square, values))


def test_an_executor_inside_a_worker_of_an_executor(executor):
    future = executor.submit(nested_executor, "fork", list(range(20)))
    assert future.result(40) == [n * n for n in range(20)]


@pytest.mark.parametrize("method", METHODS)
def test_a_pool_started_from_a_thread_outlives_the_thread(impl, method):
    pools = []
    thread = threading.Thread(
        target=lambda: pools.append(impl.context(method).Pool(2))
    )
    thread.start()
    thread.join()
    (pool,) = pools
    try:
        assert pool.map_async(square, range(50)).get(30) == [
            n * n for n in range(50)
        ]
    finally:
        pool.terminate()
        pool.join()


def test_an_executor_first_used_in_a_thread_outlives_it(executor):
    results = []
    thread = threading.Thread(
        target=lambda: results.append(executor.submit(square, 3).result(30))
    )
    thread.start()
    thread.join()
    assert results == [9]
    assert executor.submit(square, 4).result(30) == 16


class Finalized:
    """Part of a cycle; says which process collected it."""

    def __init__(self, directory):
        self.directory = directory
        self.cycle = self

    def __del__(self):
        (self.directory / str(os.getpid())).touch()


def collect_garbage():
    gc.collect()
    return os.getpid()


def test_what_was_garbage_before_the_fork_is_the_parents(make_pool, tmp_path):
    gc.disable()
    try:
        Finalized(tmp_path)
        worker = make_pool(1).apply(collect_garbage)
    finally:
        gc.enable()
    gc.collect()
    assert worker != os.getpid()
    assert [path.name for path in tmp_path.iterdir()] == [str(os.getpid())]
