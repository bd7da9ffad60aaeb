"""Initializers that raise or die."""

import os

import pytest

from support import deaths, tasks
from support.errors import catch, full_text
from support.impls import all_methods
from support.polling import eventually
from support.tasks import square


def count_then_die(gate):
    gate.arrive()
    os._exit(7)


def enter_then_die(gate):
    gate.enter()
    os._exit(7)


def pending(pool, gate):
    """Results of tasks that were there before the initializers failed."""
    results = [
        pool.apply_async(square, (1,)),
        pool.map_async(square, range(10)),
    ]
    gate.open()
    return results


@all_methods
def test_pending_tasks_get_the_initializers_error(make_pool, gate):
    pool = make_pool(2, initializer=tasks.enter_then_raise, initargs=(gate,))
    for result in pending(pool, gate):
        error = catch(lambda result=result: result.get(30))
        text = full_text(error)
        assert "ZeroDivisionError" in text
        assert "initializer failed on purpose" in text
        assert "in initializer_raises" in text


def test_every_way_of_asking_ends(impl, make_pool):
    pool = make_pool(2, initializer=tasks.initializer_raises)
    for ask in (
        lambda: pool.apply(square, (1,)),
        lambda: pool.map(square, range(5)),
        lambda: pool.starmap(pow, [(1, 2)]),
        lambda: list(pool.imap(square, range(5))),
        lambda: list(pool.imap_unordered(square, range(5))),
    ):
        assert "initializer failed on purpose" in full_text(catch(ask))


def test_no_endless_respawn(make_pool, gate):
    pool = make_pool(
        2, initializer=tasks.enter_then_raise, initargs=(gate,)
    )
    for result in pending(pool, gate):
        catch(lambda result=result: result.get(30))
    catch(lambda: pool.apply(square, (1,)))
    pool.close()
    pool.join()
    assert len(gate.marks("in-")) <= 12


@pytest.mark.parametrize("end", ["close", "terminate"])
def test_such_a_pool_can_be_ended(make_pool, end):
    pool = make_pool(2, initializer=tasks.initializer_raises)
    getattr(pool, end)()
    pool.join()


@all_methods
def test_an_initializer_that_dies_breaks_the_pool(impl, make_pool, gate):
    pool = make_pool(2, initializer=enter_then_die, initargs=(gate,))
    for result in pending(pool, gate):
        with pytest.raises(
            impl.process.BrokenProcessPool, match=r"(?i)exit.*\b7\b"
        ):
            result.get(80)
    pool.close()
    pool.join()
    assert len(gate.marks("in-")) <= 14


def test_an_initializer_that_exits(make_pool):
    pool = make_pool(1, initializer=tasks.reraise, initargs=(SystemExit(4),))
    error = catch(lambda: pool.apply_async(square, (1,)).get(30))
    assert "4" in full_text(error)


def raise_if_second(gate):
    """Start well the first time, fail when a replacement starts."""
    gate.arrive()
    if len(gate.marks("in-")) > 1:
        raise LookupError("no second start")


def test_an_initializer_that_fails_in_a_replacement(make_pool, gate):
    pool = make_pool(1, initializer=raise_if_second, initargs=(gate,))
    assert pool.apply(square, (2,)) == 4
    catch(lambda: pool.apply(deaths.die))
    error = catch(lambda: pool.apply_async(square, (1,)).get(30))
    assert "no second start" in full_text(error)


def test_initargs_that_do_not_pickle(impl):
    import threading

    ctx = impl.context("spawn")
    before = len(impl.multiprocessing.active_children())
    error = catch(
        lambda: ctx.Pool(
            1, initializer=tasks.inherit, initargs=(threading.Lock(),)
        ).apply(square, (1,))
    )
    assert "_thread.lock" in full_text(error)
    eventually(lambda: len(impl.multiprocessing.active_children()) <= before)


@all_methods
@pytest.mark.parametrize("mode", ["default", "replace"])
@pytest.mark.parametrize("how", ["raises", "dies"])
def test_an_executor_breaks(impl, make_executor, gate, mode, how):
    kwds = {} if mode == "default" else {"on_worker_lost": "replace"}
    if how == "raises":
        executor = make_executor(
            2,
            initializer=tasks.count_start_then_raise,
            initargs=(gate,),
            **kwds,
        )
    else:
        executor = make_executor(
            2, initializer=count_then_die, initargs=(gate,), **kwds
        )
    future = executor.submit(square, 1)
    with pytest.raises(impl.process.BrokenProcessPool):
        future.result(80)
    with pytest.raises(impl.process.BrokenProcessPool):
        executor.submit(square, 1).result(30)
    executor.shutdown()
    assert len(gate.marks("in-")) <= 14


def test_the_executors_error_tells_why(make_executor):
    executor = make_executor(1, initializer=tasks.initializer_raises)
    error = catch(lambda: executor.submit(square, 1).result(30))
    assert "initializer failed on purpose" in full_text(error)
