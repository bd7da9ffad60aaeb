"""terminate, shutdown and __exit__ end whatever the workers do."""

import os
import signal
import threading
import time

import pytest

from support import deaths
from support.errors import catch
from support.gate import worker_pids
from support.impls import all_methods
from support.polling import eventually
from support.procs import alive, any_alive
from support.tasks import square

# terminate sends SIGTERM, waits 1 s, then SIGKILL; the rest is slack for
# a busy machine
BOUND = 20


def assert_ends_with_an_error(impl, result):
    error = catch(lambda: result.get(BOUND))
    assert not isinstance(error, impl.multiprocessing.TimeoutError)


@pytest.fixture
def stop(request):
    """Stop a process until the end of the test."""
    stopped = []

    def stop(pid):
        os.kill(pid, signal.SIGSTOP)
        stopped.append(pid)

    yield stop
    for pid in stopped:
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass


def end(pool, how):
    start = time.monotonic()
    if how == "with":
        with pool:
            pass
    else:
        pool.terminate()
    pool.join()
    assert time.monotonic() - start < BOUND


both_ends = pytest.mark.parametrize("how", ["terminate", "with"])


@all_methods
@both_ends
def test_a_task_that_ignores_sigterm(impl, make_pool, gate, how):
    pool = make_pool(2)
    held = pool.apply_async(deaths.ignore_sigterm_and_enter, (gate,))
    queued = [pool.apply_async(gate.enter) for _ in range(5)]
    gate.wait_arrived(2)
    pids = gate.arrived_pids()
    end(pool, how)
    assert not any_alive(pids)
    for result in [held, *queued]:
        assert_ends_with_an_error(impl, result)


@both_ends
@pytest.mark.parametrize("state", ["running", "idle"])
def test_a_stopped_worker(impl, make_pool, gate, stop, how, state):
    pool = make_pool(2)
    if state == "running":
        held = [pool.apply_async(gate.enter) for _ in range(2)]
        gate.wait_arrived(2)
        pids = gate.arrived_pids()
    else:
        pids = worker_pids(pool, 2, gate.directory)
        held = []
    stop(pids[0] if state == "running" else min(pids))
    held.append(pool.apply_async(gate.enter))
    end(pool, how)
    assert not any_alive(pids)
    for result in held:
        assert_ends_with_an_error(impl, result)


@both_ends
def test_a_worker_with_a_child_of_its_own(impl, make_pool, gate, how):
    pool = make_pool(2)
    held = pool.apply_async(deaths.fork_and_enter, (gate,))
    grandchild = int(gate.read("grandchild"))
    try:
        gate.wait_arrived(1)
        (worker,) = gate.arrived_pids()
        end(pool, how)
        assert not alive(worker)
        assert_ends_with_an_error(impl, held)
    finally:
        os.kill(grandchild, signal.SIGKILL)


def test_close_and_join_with_a_grandchild_that_lives_on(make_pool, gate):
    pool = make_pool(1)
    done = pool.apply_async(deaths.fork_and_enter, (gate,))
    grandchild = int(gate.read("grandchild"))
    gate.open()
    try:
        done.get(30)
        pool.close()
        pool.join()
    finally:
        os.kill(grandchild, signal.SIGKILL)


def test_shutdown_with_a_grandchild_that_lives_on(make_executor, gate):
    executor = make_executor(1)
    future = executor.submit(deaths.fork_and_enter, gate)
    grandchild = int(gate.read("grandchild"))
    gate.open()
    try:
        future.result(30)
        executor.shutdown()
    finally:
        os.kill(grandchild, signal.SIGKILL)


def test_a_waiting_get_is_woken_by_terminate(impl, pool, gate):
    held = pool.apply_async(gate.enter)
    errors = []
    waiters = [
        threading.Thread(target=lambda: errors.append(catch(held.get)))
        for _ in range(3)
    ]
    for waiter in waiters:
        waiter.start()
    gate.wait_arrived(1)
    pool.terminate()
    for waiter in waiters:
        waiter.join(BOUND)
    assert len(errors) == 3


def test_a_waiting_iteration_is_woken_by_terminate(pool, gate):
    results = pool.imap(gate.enter, [1, 2, 3])
    errors = []
    waiter = threading.Thread(
        target=lambda: errors.append(catch(lambda: list(results)))
    )
    waiter.start()
    gate.wait_arrived(1)
    pool.terminate()
    waiter.join(BOUND)
    assert len(errors) == 1


def test_a_waiting_join_is_woken_by_terminate(make_pool, gate):
    pool = make_pool(1)
    pool.apply_async(gate.enter)
    gate.wait_arrived(1)
    pool.close()
    joined = threading.Thread(target=pool.join)
    joined.start()
    pool.terminate()
    joined.join(BOUND)
    assert not joined.is_alive()


@pytest.mark.parametrize("end_name", ["terminate_workers", "kill_workers"])
def test_ending_the_workers_of_an_executor(
    impl, make_executor, gate, stop, end_name
):
    executor = make_executor(2)
    held = [executor.submit(gate.enter) for _ in range(2)]
    gate.wait_arrived(2)
    pids = gate.arrived_pids()
    if end_name == "kill_workers":
        stop(pids[0])
    getattr(executor, end_name)()
    for future in held:
        with pytest.raises(impl.process.BrokenProcessPool):
            future.result(BOUND)
    eventually(lambda: not any_alive(pids))


def test_shutdown_of_an_executor_with_stopped_idle_worker(
    make_executor, make_gate, stop
):
    executor = make_executor(2)
    gate = make_gate()
    futures = [executor.submit(gate.meet, 2) for _ in range(2)]
    pids = [future.result(30) for future in futures]
    stop(pids[0])
    start = time.monotonic()
    executor.kill_workers()
    executor.shutdown(wait=True)
    assert time.monotonic() - start < BOUND
    assert not any_alive(pids)


def test_a_stopped_worker_holds_up_its_own_task_only(pool, gate, stop):
    held = pool.apply_async(gate.enter, ("held",))
    gate.wait_arrived(1)
    (pid,) = gate.arrived_pids()
    stop(pid)
    assert pool.map_async(square, range(50), 1).get(30) == [
        n * n for n in range(50)
    ]
    assert not held.ready()
    os.kill(pid, signal.SIGCONT)
    gate.open()
    assert held.get(30) == "held"


def test_terminate_while_many_threads_submit(pool):
    def submit():
        try:
            while True:
                pool.apply_async(square, (1,))
        except ValueError:
            pass

    threads = [threading.Thread(target=submit) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert pool.apply(square, (3,)) == 9
    pool.terminate()
    for thread in threads:
        thread.join(BOUND)
        assert not thread.is_alive()
    pool.join()


def test_terminate_from_many_threads(pool, gate):
    pool.apply_async(gate.enter)
    gate.wait_arrived(1)
    threads = [threading.Thread(target=pool.terminate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND)
        assert not thread.is_alive()
    pool.join()


def test_terminate_inside_a_callback(pool, gate):
    ended = threading.Event()

    def callback(_value):
        pool.terminate()
        ended.set()

    pool.apply_async(square, (2,), callback=callback)
    assert ended.wait(BOUND)
    pool.join()
