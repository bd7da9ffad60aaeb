"""Tasks, callbacks and initializers of thread pools fail."""

import asyncio
import itertools
import logging
import threading

import pytest

import pyconc.multiprocessing.dummy as dummy
from pyconc.futures import CancelledError, ThreadPoolExecutor, wait
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


@pytest.mark.parametrize("cls", [ThreadPool, dummy.Pool])
@pytest.mark.parametrize("fails_at", [1, 2, 4])
def test_an_initializer_fails_while_the_pool_is_made(make_pool, cls, fails_at):
    """The thread is not replaced, for ever: it was tried once."""
    numbers = itertools.count(1)

    def fail():
        number = next(numbers)
        # or else nobody would ever hear of it
        if fails_at <= number < 100:
            raise ZeroDivisionError("on purpose")

    pool = make_pool(4, fail, cls=cls)
    with pytest.raises(ZeroDivisionError, match="on purpose"):
        pool.map(lambda _: eventually(lambda: pool._engine.broken), range(9), 1)
    with pytest.raises(ZeroDivisionError):
        pool.apply(abs, (1,))
    pool.close()
    pool.join()
    assert next(numbers) <= 5


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


SET_BY_USER = {
    "result": lambda future: future.set_result("user's"),
    "exception": lambda future: future.set_exception(LookupError("user's")),
}


@pytest.mark.parametrize("kind", SET_BY_USER)
def test_what_the_user_sets_is_not_overwritten(make_executor, hold, kind):
    """As in the standard library, the task is then not run."""
    executor, ran, seen = make_executor(1), [], []
    held = executor.submit(hold)
    future = executor.submit(ran.append, 1)
    future.add_done_callback(seen.append)
    SET_BY_USER[kind](future)
    hold.let_go.set()
    assert executor.submit(abs, -2).result(30) == 2
    assert held.result(30) is None
    executor.shutdown()
    assert outcome_of(future) == "user's"
    assert ran == []
    assert seen == [future]


@pytest.mark.parametrize("kind", SET_BY_USER)
def test_nor_is_it_by_a_task_that_waits(make_executor, kind):
    executor, ran = make_executor(1), []

    def task():
        futures = [executor.submit(ran.append, n) for n in range(3)]
        SET_BY_USER[kind](futures[1])
        assert len(wait(futures).done) == 3
        return outcome_of(futures[1])

    assert executor.submit(task).result(30) == "user's"
    executor.shutdown()
    assert sorted(ran) == [0, 2]


def outcome_of(future):
    error = future.exception(0)
    return future.result(0) if error is None else str(error)
