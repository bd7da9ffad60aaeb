"""Tasks, callbacks and initializers of thread pools fail."""

import asyncio
import logging
import threading

import pytest

import pyconc.multiprocessing.dummy as dummy
from pyconc.futures import CancelledError, ThreadPoolExecutor
from pyconc.futures.thread import BrokenThreadPool
from pyconc.multiprocessing.pool import ThreadPool
from support.errors import catch
from support.polling import eventually
from support.scripts import run_source
from support.tasks import NeedsTwo, initializer_raises, reraise, square
from support.threads import hold, make_executor, make_pool, start

__all__ = ["hold", "make_executor", "make_pool"]  # fixtures


@pytest.fixture(params=["executor", "pool", "dummy"])
def make(request, make_executor, make_pool):
    if request.param == "executor":
        return make_executor
    cls = {"pool": ThreadPool, "dummy": dummy.Pool}[request.param]
    return lambda *args: make_pool(*args, cls=cls)


def test_the_dummy_module_is_ours_whoever_else_is_imported(tmp_path):
    outcome = run_source(
        tmp_path,
        """
import multiprocessing.dummy
import multiprocessing.pool

from pyconc.multiprocessing import dummy, pool

print(dummy.__name__, pool.__name__)
""",
    )
    assert outcome.stdout == (
        "pyconc.multiprocessing.dummy pyconc.multiprocessing.pool\n"
    )


class Odd(BaseException):
    def __str__(self):
        raise RuntimeError("no str")


ERRORS = [
    SystemExit(3),
    KeyboardInterrupt("k"),
    GeneratorExit(),
    MemoryError(),
    StopIteration(4),
    RecursionError(),
    TimeoutError(),
    CancelledError(),
    asyncio.CancelledError(),
    NeedsTwo("salt", "pepper"),
    Odd(),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__qualname__)
def test_whatever_a_task_raises_is_its_error(make, error):
    pool = make(1)
    thread = start(pool, threading.get_ident)(30)
    assert catch(lambda: start(pool, reraise, error)(30)) is error

    def parent():
        return catch(start(pool, reraise, error)) is error

    assert start(pool, parent)(30)
    assert start(pool, threading.get_ident)(30) == thread


def test_an_exception_that_cannot_be_made_is_another(make):
    def task():
        raise NeedsTwo

    assert type(catch(lambda: start(make(1), task)(30))) is TypeError


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_a_done_callback_that_raises_is_logged(
    make_executor, hold, caplog, error
):
    def bad(_future):
        raise error("callback failed on purpose")

    executor = make_executor(1)
    held = executor.submit(hold)
    future = executor.submit(square, 2)
    seen = []
    future.add_done_callback(bad)
    future.add_done_callback(seen.append)
    with caplog.at_level(logging.ERROR, "concurrent.futures"):
        hold.let_go.set()
        assert future.result(30) == 4
        assert executor.submit(square, 3).result(30) == 9
    assert held.result(30) is None
    assert seen == [future]
    (record,) = caplog.records
    assert record.name == "concurrent.futures"
    assert record.exc_info[0] is error


def test_a_done_callback_may_use_its_executor(make_executor, hold):
    executor, seen = make_executor(1), []

    def submit_more(_future):
        executor.submit(seen.append, 1).add_done_callback(
            lambda _: executor.submit(seen.append, 2)
        )

    executor.submit(hold).add_done_callback(submit_more)
    hold.let_go.set()
    eventually(lambda: seen == [1, 2])


@pytest.mark.parametrize("initializer", [initializer_raises, exit])
def test_a_failing_initializer_breaks_an_executor(
    make_executor, caplog, initializer
):
    let_go = threading.Event()

    def fail():
        assert let_go.wait(20)
        initializer()

    executor = make_executor(1, initializer=fail)
    pending = [executor.submit(abs, 1) for _ in range(20)]
    let_go.set()
    for future in pending:
        assert type(future.exception(30)) is BrokenThreadPool
    with pytest.raises(BrokenThreadPool):
        executor.submit(abs, 1)


def test_a_failing_initializer_ends_a_pool(make_pool):
    let_go = threading.Event()

    def fail():
        assert let_go.wait(20)
        initializer_raises()

    pool = make_pool(2, fail)
    pending = [pool.apply_async(abs, (1,)), pool.map_async(abs, [1] * 9)]
    let_go.set()
    for result in pending:
        with pytest.raises(ZeroDivisionError):
            result.get(30)
    with pytest.raises(ZeroDivisionError):
        pool.apply(abs, (1,))
    with pytest.raises(ZeroDivisionError):
        pool.map(abs, [1])


@pytest.mark.parametrize("fails_at", [1, 2])
def test_a_thread_that_cannot_be_started(make, monkeypatch, fails_at):
    """No memory for another stack, or the user's limit is reached."""
    original, starts = threading.Thread.start, []

    def fail(thread):
        starts.append(thread)
        if len(starts) >= fails_at:
            raise RuntimeError("can't start new thread")
        original(thread)

    let_go = threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError, match="start new thread"):
            pool = make(2)
            for _ in range(fails_at):
                start(pool, let_go.wait, 20)
    let_go.set()
    other = make(2)
    assert start(other, abs, -1)(30) == 1
    if isinstance(other, ThreadPoolExecutor):
        assert pool.submit(abs, -1).result(30) == 1
