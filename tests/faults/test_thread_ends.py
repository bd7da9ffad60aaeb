"""Thread pools are shut down, terminated, interrupted and dropped."""

import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref

import pytest

from pyconc.errors import PoolTerminatedError
from pyconc.futures import CancelledError, ThreadPoolExecutor, as_completed, wait
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
            executor, futures = ThreadPoolExecutor(2), []

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
            assert not any(name.startswith("ThreadPool") for name in names)
            user.join()
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
assert threading.active_count() == 1
"""
    outcome = run_source(tmp_path, source, timeout=15)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stderr == ""


# signals


def join(pool, hold):
    pool.apply_async(hold)
    pool.close()
    pool.join()


def shut_down(executor, hold):
    executor.submit(hold)
    executor.shutdown()


def leave(executor, hold):
    with executor:
        executor.submit(hold)


EXECUTOR_WAITS = {
    "result": lambda ex, hold: ex.submit(hold).result(),
    "result, timeout": lambda ex, hold: ex.submit(hold).result(600),
    "exception": lambda ex, hold: ex.submit(hold).exception(),
    "wait": lambda ex, hold: wait([ex.submit(hold) for _ in range(5)]),
    "as_completed": lambda ex, hold: list(as_completed([ex.submit(hold)])),
    "map": lambda ex, hold: list(ex.map(hold, range(5))),
    "map, buffered": lambda ex, hold: list(
        ex.map(hold, range(5), buffersize=2)
    ),
    "shutdown": shut_down,
    "with": leave,
}
POOL_WAITS = {
    "get": lambda pool, hold: pool.apply_async(hold).get(),
    "get, timeout": lambda pool, hold: pool.apply_async(hold).get(600),
    "pool wait": lambda pool, hold: pool.apply_async(hold).wait(),
    "apply": lambda pool, hold: pool.apply(hold),
    "pool map": lambda pool, hold: pool.map(hold, range(5)),
    "imap": lambda pool, hold: next(pool.imap(hold, range(5))),
    "imap_unordered": lambda pool, hold: next(
        pool.imap_unordered(hold, range(5))
    ),
    "join": join,
}
WAITS = {**EXECUTOR_WAITS, **POOL_WAITS}


@pytest.fixture
def waiting(make_executor, make_pool, hold):
    """Wait in the main thread, in the way that is named."""

    def wait_by(name):
        make = make_pool if name in POOL_WAITS else make_executor
        return WAITS[name](make(2), hold)

    return wait_by


@contextlib.contextmanager
def handler(number, function):
    previous = signal.signal(number, function)
    try:
        yield
    finally:
        signal.signal(number, previous)


@pytest.mark.parametrize("way", ["thread", "process"])
@pytest.mark.parametrize("name", WAITS)
def test_an_interrupt_ends_the_wait(waiting, hold, name, way):
    def interrupt():
        hold.wait_running()
        # the main thread waits by now, or will not notice the difference
        time.sleep(0.05)
        if way == "thread":
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        else:
            script = f"import os; os.kill({os.getpid()}, {signal.SIGINT})"
            subprocess.run([sys.executable, "-c", script], check=True)

    helper = threading.Thread(target=interrupt)
    with handler(signal.SIGINT, signal.default_int_handler):
        helper.start()
        with pytest.raises(KeyboardInterrupt):
            waiting(name)
            helper.join()
        helper.join()
    assert not hold.let_go.is_set()


@pytest.mark.parametrize("name", WAITS)
def test_a_handler_runs_if_a_pool_thread_gets_the_signal(
    waiting, make_executor, hold, name
):
    """Nothing interrupts the main thread's wait; it looks by itself."""
    other = make_executor(1)
    ident = other.submit(threading.get_ident).result(30)

    def send():
        hold.wait_running()
        time.sleep(0.05)
        signal.pthread_kill(ident, signal.SIGUSR1)

    helper = threading.Thread(target=send)
    with handler(signal.SIGUSR1, lambda *_: hold.let_go.set()):
        helper.start()
        waiting(name)
        helper.join()
    assert not hold.gave_up


def test_a_handler_may_use_the_pools_that_are_waited_for(
    make_executor, make_pool, hold
):
    executor, pool, seen = make_executor(2), make_pool(2), []

    def use(*_):
        seen.append(executor.submit(abs, -4).result())
        seen.append(sum(executor.map(abs, range(3))))
        seen.append(pool.apply(abs, (-3,)))

    def send():
        hold.wait_running()
        for count in range(1, 51):
            os.kill(os.getpid(), signal.SIGUSR1)
            eventually(lambda count=count: len(seen) >= 3 * count)
        hold.let_go.set()

    helper = threading.Thread(target=send)
    with handler(signal.SIGUSR1, use):
        helper.start()
        executor.submit(hold).result()
        helper.join()
    assert seen == [4, 3, 3] * 50


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
    eventually(lambda: native_threads() == threads_before)


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
    eventually(lambda: native_threads() == threads_before)


@pytest.mark.parametrize("make", [drop_executor, drop_pool])
def test_a_task_drops_its_own_pool(threads_before, make):
    box = [make()]
    start(box[0], box.clear)(30)
    eventually(lambda: (gc.collect(), native_threads())[1] == threads_before)
