"""ProcessPoolExecutor: shutdown, context manager, being dropped."""

import gc
import os
import threading
import weakref

import pytest

from support.impls import all_methods, only_pyconc
from support.polling import eventually
from support.tasks import pid, square

AFTER_SHUTDOWN = "cannot schedule new futures after shutdown"


def gone(process_id):
    return not os.path.exists(f"/proc/{process_id}")


@all_methods
def test_shutdown_waits_for_every_task(executor):
    futures = [executor.submit(square, i) for i in range(50)]
    executor.shutdown()
    assert all(future.done() for future in futures)
    assert [f.result(0) for f in futures] == [n * n for n in range(50)]


@all_methods
def test_shutdown_ends_the_workers(executor, gate):
    futures = [executor.submit(gate.meet, 2) for _ in range(2)]
    pids = [future.result() for future in futures]
    executor.shutdown()
    assert all(gone(p) for p in pids)


def test_submit_after_shutdown_is_refused(executor):
    executor.shutdown()
    with pytest.raises(RuntimeError, match=AFTER_SHUTDOWN):
        executor.submit(pow, 2, 5)


def test_shutdown_may_be_repeated(executor):
    executor.submit(square, 1)
    executor.shutdown()
    executor.shutdown()
    executor.shutdown(wait=False, cancel_futures=True)


def test_shutdown_of_an_unused_executor(executor):
    executor.shutdown()


def test_shutdown_takes_keywords_only_for_cancel(executor):
    with pytest.raises(TypeError):
        executor.shutdown(True, True)


def test_shutdown_without_wait_lets_the_tasks_finish(executor, gate):
    futures = [executor.submit(gate.enter, i) for i in range(6)]
    executor.shutdown(wait=False)
    with pytest.raises(RuntimeError, match=AFTER_SHUTDOWN):
        executor.submit(square, 1)
    assert not futures[-1].done()
    gate.open()
    assert [f.result() for f in futures] == list(range(6))


def test_shutdown_with_cancel_futures(make_executor, gate):
    executor = make_executor(2)
    futures = [executor.submit(gate.enter, i) for i in range(20)]
    gate.wait_arrived(2)
    executor.shutdown(wait=False, cancel_futures=True)
    eventually(lambda: sum(f.cancelled() for f in futures) >= 10)
    gate.open()
    eventually(lambda: all(future.done() for future in futures))
    finished = [f for f in futures if not f.cancelled()]
    assert 2 <= len(finished) <= 5
    assert [f.result(0) for f in finished] == list(range(len(finished)))


def test_shutdown_waits_for_callbacks(executor):
    seen = []
    for i in range(20):
        executor.submit(square, i).add_done_callback(seen.append)
    executor.shutdown()
    assert len(seen) == 20


@all_methods
def test_the_context_manager_waits(impl, ctx):
    with impl.futures.ProcessPoolExecutor(2, mp_context=ctx) as executor:
        futures = [executor.submit(square, i) for i in range(20)]
    assert [f.result(0) for f in futures] == [n * n for n in range(20)]
    with pytest.raises(RuntimeError, match=AFTER_SHUTDOWN):
        executor.submit(square, 1)


def test_the_context_manager_lets_an_exception_pass(impl, ctx):
    with pytest.raises(ZeroDivisionError):
        with impl.futures.ProcessPoolExecutor(2, mp_context=ctx) as executor:
            future = executor.submit(square, 3)
            raise ZeroDivisionError
    assert future.result(0) == 9


def test_a_dropped_executor_finishes_its_tasks(impl, ctx, gate):
    executor = impl.futures.ProcessPoolExecutor(2, mp_context=ctx)
    futures = [executor.submit(gate.enter, i) for i in range(6)]
    gate.wait_arrived(2)
    reference = weakref.ref(executor)
    del executor
    gc.collect()
    assert reference() is None
    gate.open()
    assert [f.result() for f in futures] == list(range(6))


def test_a_dropped_executor_ends_its_workers(impl, ctx):
    executor = impl.futures.ProcessPoolExecutor(2, mp_context=ctx)
    worker = executor.submit(pid).result()
    del executor
    gc.collect()
    eventually(lambda: gone(worker))


@only_pyconc  # the stdlib closes a descriptor twice
def test_shutdown_from_several_threads(executor):
    futures = [executor.submit(square, i) for i in range(10)]
    threads = [threading.Thread(target=executor.shutdown) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [f.result(0) for f in futures] == [n * n for n in range(10)]


def test_shutdown_against_submit(make_executor):
    for _ in range(5):
        executor = make_executor(1)
        futures = []
        started = threading.Event()

        def submit(executor=executor, futures=futures, started=started):
            try:
                for i in range(10_000):
                    futures.append(executor.submit(square, i))
                    started.set()
            except RuntimeError as error:
                assert AFTER_SHUTDOWN in str(error)

        thread = threading.Thread(target=submit)
        thread.start()
        assert started.wait(30)
        executor.shutdown(wait=True, cancel_futures=True)
        thread.join()
        for i, future in enumerate(futures):
            assert future.cancelled() or future.result(30) == i * i


def test_the_next_executor_does_not_mind_the_last(impl, ctx):
    for _ in range(5):
        with impl.futures.ProcessPoolExecutor(1, mp_context=ctx) as executor:
            assert executor.submit(square, 5).result() == 25
