"""ThreadPoolExecutor does what executors do."""

import threading

import pytest

from conform.test_as_completed import *  # noqa: F403
from conform.test_asyncio import *  # noqa: F403
from conform.test_executor import *  # noqa: F403
from conform.test_executor_map import *  # noqa: F403
from conform.test_executor_shutdown import *  # noqa: F403
from conform.test_future_callbacks import *  # noqa: F403
from conform.test_wait import *  # noqa: F403

# What is about processes, or about arguments that travel.
for name in """
    test_a_chunk_has_at_least_one_item
    test_a_failing_initializer_breaks_the_executor
    test_an_error_comes_with_the_workers_traceback
    test_an_error_in_a_chunk_stands_for_the_chunk
    test_an_exception_comes_with_the_workers_traceback
    test_an_unpicklable_argument_fails_its_future_only
    test_an_unpicklable_result_fails_its_future_only
    test_ending_the_workers_ends_the_tasks
    test_ending_the_workers_of_an_unused_executor
    test_items_share_nothing_across_chunks
    test_max_tasks_per_child_renews_the_workers
    test_run_in_executor_raises_the_tasks_error
    test_shutdown_ends_the_workers
    test_tasks_run_in_other_processes
    test_the_class_is_the_stdlibs_executor
    test_the_processes_can_be_seen
    test_the_start_method_is_the_contexts
""".split():
    del globals()[name]


@pytest.fixture
def make_executor(impl, ctx_method):
    executors = []

    def make(max_workers=2, **kwds):
        executor = impl.futures.ThreadPoolExecutor(max_workers, **kwds)
        executors.append(executor)
        return executor

    yield make
    for executor in executors:
        executor.shutdown(wait=True, cancel_futures=True)



@pytest.mark.parametrize(
    ("workers", "threads"), [(0.5, 1), (2.0, 2), (2.5, 3)]
)
def test_a_number_of_workers_is_rounded_up(make_executor, workers, threads):
    executor = make_executor(workers)
    line, let_go = threading.Barrier(threads), threading.Event()
    held = [executor.submit(line.wait, 30) for _ in range(threads)]
    assert sorted(future.result(30) for future in held) == list(range(threads))
    held = [executor.submit(let_go.wait, 30) for _ in range(threads + 3)]
    assert len(executor._threads) == threads
    let_go.set()
    assert all(future.result(30) for future in held)
    assert executor._max_workers == workers


@pytest.mark.parametrize("workers", [float("inf"), 10**30, 2**63, 2**31])
def test_any_number_of_workers_will_do(make_executor, workers):
    executor = make_executor(workers)
    assert list(executor.map(abs, range(-9, 0))) == list(range(9, 0, -1))
    assert executor._max_workers == workers


@pytest.mark.parametrize("workers", [-0.5, 0.0, float("-inf"), -(10**30)])
def test_but_for_none_at_all(impl, workers):
    with pytest.raises(ValueError, match="max_workers must be greater than 0"):
        impl.futures.ThreadPoolExecutor(workers)
