"""ProcessPoolExecutor.map: order, chunks, errors, timeouts, buffersize."""

import functools
import itertools
import threading

import pytest

from support import tasks
from support.impls import all_methods, only_pyconc
from support.polling import eventually
from support.tasks import raise_if, square


@all_methods
def test_results_come_in_the_order_of_the_input(executor):
    assert list(executor.map(square, range(50))) == [n * n for n in range(50)]


def test_several_iterables_end_with_the_shortest(executor):
    assert list(executor.map(pow, [2, 3, 4], itertools.count(1))) == [
        2,
        9,
        64,
    ]


def test_map_without_items_or_iterables_is_empty(executor):
    assert list(executor.map(square, [])) == []
    assert list(executor.map(square)) == []
    assert list(executor.map(square, [], chunksize=5)) == []


@pytest.mark.parametrize("chunksize", [1, 2, 7, 10, 11, 1000])
def test_the_chunk_size_does_not_show(executor, chunksize):
    results = executor.map(square, range(10), chunksize=chunksize)
    assert list(results) == [n * n for n in range(10)]


@pytest.mark.parametrize("chunksize", [0, -1])
def test_a_chunk_has_at_least_one_item(executor, chunksize):
    with pytest.raises(ValueError, match="chunksize must be >= 1"):
        executor.map(square, range(3), chunksize=chunksize)


def test_map_returns_an_iterator(executor):
    results = executor.map(square, range(3))
    assert iter(results) is results
    assert next(results) == 0
    assert next(results) == 1
    assert next(results) == 4
    with pytest.raises(StopIteration):
        next(results)


def test_tasks_are_submitted_by_the_call(executor, gate):
    results = executor.map(gate.mark, ["a", "b", "c"])
    eventually(lambda: gate.marks() == ["a", "b", "c"])
    assert list(results) == [None, None, None]


def test_the_input_is_read_by_the_call(executor):
    taken = []
    results = executor.map(square, (taken.append(i) or i for i in range(9)))
    assert taken == list(range(9))
    assert list(results) == [n * n for n in range(9)]


def test_an_error_of_the_input_is_raised_by_the_call(executor):
    with pytest.raises(tasks.SayWhenError):
        executor.map(square, tasks.say_when(10, 3))
    assert executor.submit(square, 3).result() == 9


def test_the_first_error_by_position_is_raised(executor, gate):
    steps = [
        (tasks.identity, 0),
        (tasks.wait_then_raise, gate, "late", KeyError("earlier")),
        (tasks.mark_then_raise, gate, "late", ValueError("later")),
    ]
    results = executor.map(tasks.run_step, steps)
    assert next(results) == 0
    with pytest.raises(KeyError, match="earlier"):
        next(results)
    with pytest.raises(StopIteration):
        next(results)


def test_an_error_comes_with_the_workers_traceback(executor):
    results = executor.map(tasks.reciprocal, [1, 0])
    assert next(results) == 1.0
    with pytest.raises(ZeroDivisionError) as caught:
        next(results)
    assert "in reciprocal" in str(caught.value.__cause__)


def test_an_error_in_a_chunk_stands_for_the_chunk(executor):
    results = executor.map(
        raise_if, range(6), [1] * 3 + [None] * 3, chunksize=3
    )
    with pytest.raises(ValueError, match="bad value 1"):
        next(results)
    with pytest.raises(StopIteration):
        next(results)


def test_the_executor_survives_errors_of_map(executor):
    with pytest.raises(ValueError):
        list(executor.map(tasks.fail, ["x"] * 20))
    assert list(executor.map(square, range(5))) == [0, 1, 4, 9, 16]


def test_timeout_counts_from_the_call(impl, executor, gate):
    results = executor.map(
        tasks.run_step,
        [(tasks.identity, 1), (tasks.enter_gate, gate)],
        timeout=1,
    )
    # It comes back after the first result, which a slow machine may have
    # only when the second is over.
    assert executor.submit(square, 2).result() == 4
    assert next(results) == 1
    with pytest.raises(impl.futures.TimeoutError):
        next(results)


def test_zero_timeout(impl, executor, gate):
    with pytest.raises(TimeoutError):
        list(executor.map(gate.enter, [1], timeout=0))


def test_leaving_the_iterator_cancels_what_has_not_started(
    make_executor, gate
):
    executor = make_executor(1)
    steps = [(tasks.identity, 0), (tasks.enter_gate, gate)]
    steps += [(tasks.mark, gate, f"ran{i}") for i in range(20)]
    results = executor.map(tasks.run_step, steps)
    assert next(results) == 0
    gate.wait_arrived(1)
    results.close()
    gate.open()
    assert executor.submit(square, 2).result() == 4
    executor.shutdown()
    # those that had been handed to the workers' queue may have run
    assert len(gate.marks("ran")) <= 3


def test_items_share_nothing_across_chunks(executor):
    results = executor.map(tasks.Calls(), range(4), chunksize=1)
    assert list(results) == [1, 1, 1, 1]
    results = executor.map(tasks.Calls(10), range(4), chunksize=2)
    assert list(results) == [11, 12, 11, 12]


def test_many_threads_may_map(executor):
    outcome = {}

    def work(number):
        outcome[number] = list(executor.map(square, range(30), chunksize=3))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcome == {i: [n * n for n in range(30)] for i in range(6)}


def test_map_after_shutdown_is_refused(executor):
    executor.shutdown()
    with pytest.raises(
        RuntimeError, match="cannot schedule new futures after shutdown"
    ):
        executor.map(square, range(3))


@only_pyconc
def test_chunksize_none_adapts(executor):
    results = executor.map(square, range(1000), chunksize=None)
    assert list(results) == [n * n for n in range(1000)]


@only_pyconc
@pytest.mark.parametrize("chunksize", [1, 3, None])
def test_buffersize_bounds_what_is_read_ahead(executor, chunksize):
    taken = []
    source = (taken.append(i) or i for i in itertools.count())
    results = executor.map(square, source, buffersize=6, chunksize=chunksize)
    for i in range(40):
        assert next(results) == i * i
        assert len(taken) <= i + 1 + 7 * (chunksize or 1)
    results.close()


@only_pyconc
def test_buffersize_one_still_delivers_everything(executor):
    results = executor.map(square, range(20), buffersize=1)
    assert list(results) == [n * n for n in range(20)]


@only_pyconc
def test_buffersize_with_an_input_that_raises(executor):
    results = executor.map(square, tasks.say_when(10, 5), buffersize=2)
    seen = []
    with pytest.raises(tasks.SayWhenError):
        for value in results:
            seen.append(value)
    assert seen == [0, 1, 4, 9, 16][: len(seen)]


@only_pyconc
@pytest.mark.parametrize("size", ["2", 1.5])
def test_buffersize_must_be_an_integer(executor, size):
    with pytest.raises(
        TypeError, match="buffersize must be an integer or None"
    ):
        executor.map(square, range(3), buffersize=size)


@only_pyconc
@pytest.mark.parametrize("size", [0, -1])
def test_buffersize_must_be_positive(executor, size):
    with pytest.raises(ValueError, match="buffersize must be None or > 0"):
        executor.map(square, range(3), buffersize=size)


# a submit of the user's own


def counted(submit, calls):
    def counting(fn, /, *args, **kwds):
        future = submit(fn, *args, **kwds)
        calls.append(future)
        return future

    return counting


@pytest.fixture(params=["subclass", "instance"])
def own(request, make_executor):
    """An executor with a submit of its own, and what that returned."""
    executor, calls = make_executor(2), []
    if request.param == "instance":
        executor.submit = counted(executor.submit, calls)
        return executor, calls

    class Counting(type(executor)):
        def submit(self, fn, /, *args, **kwds):
            return counted(super().submit, calls)(fn, *args, **kwds)

    executor.__class__ = Counting
    return executor, calls


def test_map_submits_by_the_executors_own_submit(own):
    executor, calls = own
    results = executor.map(square, range(10))
    assert len(calls) == 10
    assert list(results) == [n * n for n in range(10)]


@only_pyconc
@pytest.mark.parametrize("size", [1, 4, 10, 50])
def test_so_it_does_with_buffersize(own, size):
    executor, calls = own
    results = executor.map(square, range(10), buffersize=size)
    assert len(calls) == min(size, 10)
    assert list(results) == [n * n for n in range(10)]
    assert len(calls) == 10


def test_so_it_does_with_several_iterables(own):
    executor, calls = own
    assert list(executor.map(pow, [2, 3, 4], [5, 6])) == [32, 729]
    assert len(calls) == 2


def arrive_and_call(gate, function, *args):
    gate.arrive()
    return function(*args)


def test_an_own_submit_may_wrap_the_task(executor, gate):
    submit = executor.submit
    executor.submit = functools.partial(submit, arrive_and_call, gate)
    assert list(executor.map(square, [1, 2, 3])) == [1, 4, 9]
    assert len(gate.arrived_pids()) == 3


def test_an_own_submit_that_refuses_is_heard(make_executor):
    executor = make_executor(2)

    def refuse(*_args):
        raise LookupError("on purpose")

    executor.submit = refuse
    with pytest.raises(LookupError, match="on purpose"):
        executor.map(square, [1, 2])
