"""Signals reach the main thread while it waits for threads of pools."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from pyconc.futures import as_completed, wait
from support.polling import eventually
from support.threads import hold, make_executor, make_pool

__all__ = ["hold", "make_executor", "make_pool"]  # fixtures


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
