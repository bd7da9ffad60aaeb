"""Fixtures of the conform and the faults folder."""

import signal
import sys

import pytest

from support.gate import Gate


@pytest.fixture(scope="session", autouse=True)
def hidden_main():
    """Keep spawned workers from importing the test runner as __main__."""
    main = sys.modules["__main__"]
    patch = pytest.MonkeyPatch()
    patch.setattr(main, "__spec__", None)
    patch.delattr(main, "__file__", raising=False)
    yield
    patch.undo()


@pytest.fixture
def handle():
    """Set the handler of SIGUSR1 until the end of the test."""
    before = signal.getsignal(signal.SIGUSR1)
    yield lambda handler: signal.signal(signal.SIGUSR1, handler)
    signal.signal(signal.SIGUSR1, before)


@pytest.fixture
def ctx_method(request):
    """The start method: fork, unless the test is run with all of them."""
    return getattr(request, "param", "fork")


@pytest.fixture
def ctx(impl, ctx_method):
    return impl.context(ctx_method)


@pytest.fixture
def make_pool(ctx):
    """Make pools that are terminated at the end of the test."""
    pools = []

    def make(processes=2, *args, **kwds):
        pool = ctx.Pool(processes, *args, **kwds)
        pools.append(pool)
        return pool

    yield make
    for pool in pools:
        pool.terminate()
        pool.join()


@pytest.fixture
def pool(make_pool):
    return make_pool(2)


@pytest.fixture
def make_executor(impl, ctx):
    """Make executors that are shut down at the end of the test."""
    executors = []

    def make(max_workers=2, **kwds):
        kwds.setdefault("mp_context", ctx)
        executor = impl.futures.ProcessPoolExecutor(max_workers, **kwds)
        executors.append(executor)
        return executor

    yield make
    for executor in executors:
        executor.shutdown(wait=True, cancel_futures=True)


@pytest.fixture
def executor(make_executor):
    return make_executor(2)


@pytest.fixture
def make_gate(tmp_path):
    """Make gates that are opened at the end of the test.

    Ask for it after the pool: the tasks must be let go before the pool
    is joined.
    """
    gates = []

    def make():
        directory = tmp_path / f"gate{len(gates)}"
        directory.mkdir()
        gates.append(Gate(directory))
        return gates[-1]

    yield make
    for gate in gates:
        gate.open()


@pytest.fixture
def gate(make_gate):
    return make_gate()
