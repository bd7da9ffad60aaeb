"""Fixtures of the tests of thread pools, in place of those of fixtures.py."""

import threading

import pytest

from pyconc.futures import ThreadPoolExecutor
from pyconc.multiprocessing.pool import ThreadPool


class Hold:
    """A task that says when it runs and lasts until it is let go."""

    def __init__(self):
        self.running = threading.Semaphore(0)
        self.let_go = threading.Event()
        self.gave_up = False

    def __call__(self, value=None):
        self.running.release()
        if not self.let_go.wait(20):
            self.gave_up = True
            raise TimeoutError("not let go")
        return value

    def wait_running(self, count=1):
        for _ in range(count):
            assert self.running.acquire(timeout=20)


@pytest.fixture
def make_executor():
    """Make executors that are shut down at the end of the test."""
    executors = []

    def make(*args, **kwds):
        executors.append(ThreadPoolExecutor(*args, **kwds))
        return executors[-1]

    yield make
    for executor in executors:
        executor.shutdown(cancel_futures=True)


@pytest.fixture
def make_pool():
    """Make pools that are terminated at the end of the test."""
    pools = []

    def make(*args, cls=ThreadPool):
        pools.append(cls(*args))
        return pools[-1]

    yield make
    for pool in pools:
        pool.terminate()
        pool.join()


@pytest.fixture
def hold(make_executor, make_pool):
    """A Hold that lets go before the pools are joined."""
    hold = Hold()
    yield hold
    hold.let_go.set()


def start(pool, function, *args):
    """Start a call in a pool or an executor; return how to wait for it."""
    if isinstance(pool, ThreadPoolExecutor):
        return pool.submit(function, *args).result
    return pool.apply_async(function, args).get
