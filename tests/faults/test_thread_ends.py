"""Thread pools are shut down, terminated and dropped."""

import contextlib
import gc
import sys
import threading
import weakref

import pytest

from pyconc.errors import PoolTerminatedError
from pyconc.futures import CancelledError, ThreadPoolExecutor, wait
from pyconc.multiprocessing.pool import ThreadPool
from support.errors import catch
from support.polling import eventually
from support.procs import native_threads
from support.scripts import run_source
from support.threads import Hold, hold, make_executor, make_pool, start

__all__ = ["hold", "make_executor", "make_pool"]  # fixtures


def test_what_is_cancelled_never_runs(make_executor, hold):
    executor, ran = make_executor(2), []
    held = [executor.submit(hold) for _ in range(2)]
    hold.wait_running(2)
    futures = [executor.submit(ran.append, n) for n in range(100)]
    assert not any(future.cancel() for future in held)
    assert all(future.cancel() for future in futures[::2])
    hold.let_go.set()
    assert wait(futures, 30).not_done == set()
    assert sorted(ran) == list(range(1, 100, 2))
    assert all(future.cancelled() for future in futures[::2])
    assert not any(future.cancel() for future in futures[1::2])


def test_cancel_is_exact_in_a_race(make_executor):
    executor = make_executor(2)
    for _ in range(50):
        ran = []
        futures = [executor.submit(ran.append, n) for n in range(100)]
        cancelled = {n for n in range(99, -1, -1) if futures[n].cancel()}
        assert wait(futures, 30).not_done == set()
        assert sorted(ran) == sorted(set(range(100)) - cancelled)
        assert cancelled == {n for n in range(100) if futures[n].cancelled()}


def test_shutdown_may_cancel_what_is_queued(make_executor, hold):
    executor, ran = make_executor(1), []
    held = executor.submit(hold, "held")
    hold.wait_running()
    futures = [executor.submit(ran.append, n) for n in range(50)]
    executor.shutdown(wait=False, cancel_futures=True)
    assert all(future.cancelled() for future in futures)
    with pytest.raises(CancelledError):
        futures[0].result()
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(abs, 1)
    hold.let_go.set()
    assert held.result(30) == "held"
    executor.shutdown()
    assert ran == []


def test_shutdown_without_wait_goes_on(make_executor, hold):
    executor = make_executor(1)
    futures = [executor.submit(hold, n) for n in range(10)]
    hold.wait_running()
    executor.shutdown(wait=False)
    assert not futures[0].done()
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(abs, 1)
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.map(abs, [1])
    hold.let_go.set()
    assert [future.result(30) for future in futures] == list(range(10))


@pytest.mark.parametrize("cancel", [False, True])
def test_a_task_shuts_its_own_executor_down(make_executor, cancel):
    executor = make_executor(1)

    def task():
        futures = [executor.submit(abs, -n) for n in range(5)]
        executor.shutdown(wait=False, cancel_futures=cancel)
        refused = type(catch(lambda: executor.submit(abs, 1)))
        # there is no thread but this one to run them
        wait(futures)
        return refused, futures

    refused, futures = executor.submit(task).result(30)
    assert refused is RuntimeError
    assert {future.cancelled() for future in futures} == {cancel}


def test_a_task_that_waits_for_its_own_end_is_told(make_executor):
    executor = make_executor(1)
    with pytest.raises(RuntimeError, match="join current thread"):
        executor.submit(executor.shutdown).result(30)


def test_terminate_fails_every_pending_get(make_pool, hold):
    pool, ran, errors = make_pool(2), [], []

    def note():
        ran.append(1)
        return hold()

    running = [pool.apply_async(note) for _ in range(2)]
    hold.wait_running(2)
    queued = [pool.apply_async(ran.append, (2,)) for _ in range(10)]
    waits = [
        *(result.get for result in running + queued),
        pool.map_async(ran.append, range(9)).get,
        pool.imap(ran.append, range(9)).next,
        pool.imap_unordered(ran.append, range(9)).next,
    ]
    threads = [
        threading.Thread(target=lambda call=call: errors.append(catch(call)))
        for call in waits
    ]
    for thread in threads:
        thread.start()
    pool.terminate()
    for thread in threads:
        thread.join()
    assert {type(error) for error in errors} == {PoolTerminatedError}
    assert len(errors) == len(waits)
    with pytest.raises(ValueError, match="not running"):
        pool.apply_async(abs, (1,))
    hold.let_go.set()
    pool.join()
    assert ran == [1, 1]
    with pytest.raises(PoolTerminatedError):
        running[0].get(0)


def test_a_task_terminates_its_own_pool(make_pool):
    pool, seen = make_pool(1), []

    def task():
        queued = pool.apply_async(abs, (1,))
        pool.terminate()
        seen.append(type(catch(queued.get)))

    with pytest.raises(PoolTerminatedError):
        pool.apply_async(task).get(30)
    pool.join()
    assert seen == [PoolTerminatedError]


def test_a_shutdown_waits_for_a_thread_that_has_just_been_started():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(300):
            executor, futures = ThreadPoolExecutor(2, "just started"), []

            def use(executor=executor, futures=futures):
                with contextlib.suppress(RuntimeError):
                    for _ in range(5):
                        futures.append(executor.submit(sum, range(3000)))

            user = threading.Thread(target=use)
            user.start()
            while not futures and user.is_alive():
                pass
            executor.shutdown()
            assert all(future.done() for future in futures.copy())
            names = [thread.name for thread in threading.enumerate()]
            assert not any(name.startswith("just started") for name in names)
            user.join()
    finally:
        sys.setswitchinterval(interval)


def test_join_waits_for_the_callbacks_of_accepted_calls():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(300):
            pool, seen, accepted = ThreadPool(1), [], []

            def use(pool=pool, seen=seen, accepted=accepted):
                with contextlib.suppress(ValueError):
                    while True:
                        pool.apply_async(abs, (1,), callback=seen.append)
                        accepted.append(1)

            user = threading.Thread(target=use)
            user.start()
            pool.close()
            pool.join()
            called_back = len(seen)
            user.join()
            assert called_back == len(accepted)
    finally:
        sys.setswitchinterval(interval)


CALLS_WITH_CALLBACK = {
    "apply_async": "pool.apply_async(abs, (1,), callback=id)",
    "map_async": "pool.map_async(abs, [1], callback=id)",
    "starmap_async": "pool.starmap_async(abs, [(1,)], callback=id)",
}


@pytest.mark.parametrize("end", ["close", "terminate"])
@pytest.mark.parametrize("call", CALLS_WITH_CALLBACK)
def test_join_ends_if_calls_come_while_a_pool_closes(tmp_path, call, end):
    source = f"""
import sys
import threading

from pyconc.multiprocessing.pool import ThreadPool
from support.polling import eventually


def use(pool):
    try:
        while True:
            {CALLS_WITH_CALLBACK[call]}
    except ValueError:
        pass


sys.setswitchinterval(1e-6)
for _ in range(500):
    pool = ThreadPool(1)
    user = threading.Thread(target=use, args=(pool,), daemon=True)
    user.start()
    pool.{end}()
    pool.join()
    user.join()
eventually(lambda: threading.active_count() == 1)
"""
    outcome = run_source(tmp_path, source, timeout=40)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stderr == ""


# what nobody refers to


@pytest.fixture
def threads_before():
    gc.collect()
    return native_threads()


def drop_executor():
    return ThreadPoolExecutor(2)


def drop_pool():
    return ThreadPool(2)


@pytest.mark.parametrize("make", [drop_executor, drop_pool])
@pytest.mark.parametrize("cyclic", [False, True])
@pytest.mark.parametrize("used", [False, True])
def test_what_is_dropped_is_collected(threads_before, make, cyclic, used):
    pool = make()
    if used:
        assert sum(pool.map(abs, range(-5, 0))) == 15
    if cyclic:
        pool.itself = pool
    ref = weakref.ref(pool)
    del pool
    gc.collect()
    assert ref() is None
    eventually(lambda: native_threads() <= threads_before)


def test_queued_work_of_a_dropped_executor_is_done(threads_before):
    hold = Hold()
    executor = ThreadPoolExecutor(2)
    futures = [executor.submit(hold, n) for n in range(50)]
    ref = weakref.ref(executor)
    del executor
    gc.collect()
    assert ref() is None
    hold.let_go.set()
    assert [future.result(30) for future in futures] == list(range(50))
    eventually(lambda: native_threads() <= threads_before)


@pytest.mark.parametrize("make", [drop_executor, drop_pool])
def test_a_task_drops_its_own_pool(threads_before, make):
    box = [make()]
    start(box[0], box.clear)(30)
    eventually(lambda: (gc.collect(), native_threads())[1] <= threads_before)


# finalizers that run amid a call


class Finalizer:
    """Garbage that calls something as it is collected."""

    def __init__(self, call):
        self.itself, self.call = self, call

    def __del__(self):
        self.call()


@contextlib.contextmanager
def collected_soon(call):
    """Have call() made by the next allocation that may collect garbage.

    From Python 3.12 on that is soon after the allocation.
    """
    thresholds = gc.get_threshold()
    gc.collect()
    try:
        gc.set_threshold(100_000)
        Finalizer(call)
        newer = [{}, {}, {}]  # more than the threshold to come
        gc.set_threshold(1)
        yield newer
    finally:
        gc.set_threshold(*thresholds)


def test_a_finalizer_shuts_down_amid_a_submit(make_executor):
    executor = make_executor(1)
    assert executor.submit(abs, 1).result(30) == 1
    with collected_soon(lambda: executor.shutdown(wait=False)):
        try:
            executor.submit(abs, 1)
        except Exception as error:
            caught = error
        else:
            caught = catch(lambda: executor.submit(abs, 1))
    assert type(caught) is RuntimeError
    assert str(caught) == "cannot schedule new futures after shutdown"


def test_a_cancel_drops_an_argument_that_looks_at_the_future(
    make_executor, hold, monkeypatch
):
    unraisable, looked = [], []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)

    class Argument:
        def __del__(self):
            looked.append(box[0]._condition)

    executor, box, seen = make_executor(1), [], []
    executor.submit(hold)
    hold.wait_running()
    box.append(executor.submit(id, Argument()))
    box[0].add_done_callback(seen.append)
    assert box[0].cancel()
    assert len(looked) == 1
    assert unraisable == []
    assert seen == box
    assert wait(box, 30).done == set(box)
