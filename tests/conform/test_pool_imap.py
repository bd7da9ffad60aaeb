"""Pool.imap and imap_unordered."""

import itertools
import threading

import pytest

from support import tasks
from support.impls import all_methods, only_pyconc
from support.tasks import SayWhenError, raise_if, say_when, square

both = pytest.mark.parametrize("name", ["imap", "imap_unordered"])
chunks = pytest.mark.parametrize("chunksize", [1, 2, 7, 100])


@all_methods
@chunks
def test_imap_keeps_the_order(pool, chunksize):
    results = pool.imap(square, range(50), chunksize)
    assert list(results) == [n * n for n in range(50)]


@all_methods
@chunks
def test_imap_unordered_delivers_each_item_once(pool, chunksize):
    results = pool.imap_unordered(square, range(50), chunksize)
    assert sorted(results) == [n * n for n in range(50)]


@both
def test_an_iterator_of_iterators_own_kind(impl, pool, name):
    results = getattr(pool, name)(square, range(3))
    assert isinstance(results, impl.pool.IMapIterator)
    assert iter(results) is results
    assert sorted([next(results), results.next(), next(results)]) == [0, 1, 4]
    with pytest.raises(StopIteration):
        next(results)
    with pytest.raises(StopIteration):
        results.next(timeout=1)


def test_unordered_has_a_class_of_its_own(impl, pool):
    results = pool.imap_unordered(square, range(3))
    assert isinstance(results, impl.pool.IMapUnorderedIterator)


@both
@chunks
def test_nothing_yields_nothing(pool, name, chunksize):
    assert list(getattr(pool, name)(square, [], chunksize)) == []
    assert list(getattr(pool, name)(square, iter(()), chunksize)) == []


@both
@pytest.mark.parametrize("chunksize", [0, -1])
def test_a_chunk_has_at_least_one_item(pool, name, chunksize):
    with pytest.raises(ValueError, match=r"Chunksize must be 1\+, not"):
        getattr(pool, name)(square, range(3), chunksize)


@both
def test_any_iterable_will_do(pool, name):
    method = getattr(pool, name)
    assert sorted(method(square, {2: 0, 3: 0})) == [4, 9]
    assert sorted(method(square, (i for i in range(3)))) == [0, 1, 4]
    assert sorted(method(square, itertools.islice(itertools.count(), 3))) == [
        0,
        1,
        4,
    ]


@both
def test_next_with_timeout(impl, pool, gate, name):
    results = getattr(pool, name)(gate.enter, ["only"])
    for timeout in (0, 0.01):
        with pytest.raises(impl.multiprocessing.TimeoutError):
            results.next(timeout=timeout)
    with pytest.raises(impl.multiprocessing.TimeoutError):
        results.next(0.01)
    gate.open()
    assert results.next(timeout=30) == "only"
    with pytest.raises(StopIteration):
        results.next(timeout=30)


def test_imap_waits_for_the_next_in_order(impl, pool, gate):
    steps = [(tasks.enter_gate, gate, "slow"), (square, 2), (square, 3)]
    results = pool.imap(tasks.run_step, steps)
    with pytest.raises(impl.multiprocessing.TimeoutError):
        results.next(timeout=0.05)
    gate.open()
    assert list(results) == ["slow", 4, 9]


def test_imap_unordered_does_not_wait_for_the_slow(pool, gate):
    steps = [(tasks.enter_gate, gate, "slow"), (square, 2), (square, 3)]
    results = pool.imap_unordered(tasks.run_step, steps)
    assert {results.next(30), results.next(30)} == {4, 9}
    gate.open()
    assert results.next(30) == "slow"
    with pytest.raises(StopIteration):
        next(results)


def test_imap_goes_on_after_a_tasks_error(pool):
    results = pool.imap(tasks.reciprocal, [1, 0, 2, 0, 4])
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError) as caught:
        next(results)
    assert "in reciprocal" in str(caught.value.__cause__)
    assert next(results) == 0.5
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(results) == [0.25]


def test_imap_unordered_goes_on_after_a_tasks_error(pool):
    results = pool.imap_unordered(tasks.reciprocal, [1, 0, 2, 0, 4])
    values, errors = [], 0
    while True:
        try:
            values.append(next(results))
        except ZeroDivisionError:
            errors += 1
        except StopIteration:
            break
    assert sorted(values) == [0.25, 0.5, 1]
    assert errors == 2


def test_an_error_stands_for_its_chunk(pool):
    results = pool.imap(tasks.reciprocal, [1, 2, 4, 0, 8, 16], chunksize=3)
    assert [next(results) for _ in range(3)] == [1, 0.5, 0.25]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_imap_delivers_what_precedes_an_error_of_its_input(pool):
    results = pool.imap(square, say_when(10, 3))
    assert [next(results) for _ in range(3)] == [0, 1, 4]
    with pytest.raises(SayWhenError):
        next(results)
    assert pool.apply(square, (3,)) == 9


def test_imap_delivers_the_whole_chunks_before_an_error_of_its_input(pool):
    results = pool.imap(square, say_when(20, 7), 2)
    assert [next(results) for _ in range(6)] == [n * n for n in range(6)]
    with pytest.raises(SayWhenError):
        next(results)


@pytest.mark.parametrize("chunksize", [1, 2])
def test_imap_unordered_delivers_both(pool, chunksize):
    results = pool.imap_unordered(square, say_when(10, 4), chunksize)
    values, error = [], None
    for _ in range(5):
        try:
            values.append(next(results))
        except SayWhenError as caught:
            error = caught
            if chunksize > 1:
                break
    assert error is not None
    assert set(values) <= {0, 1, 4, 9}
    if chunksize == 1:
        assert sorted(values) == [0, 1, 4, 9]


@both
def test_an_input_that_raises_at_once(pool, name):
    results = getattr(pool, name)(square, say_when(1, -1))
    with pytest.raises(SayWhenError):
        next(results)
    assert pool.apply(square, (3,)) == 9


@both
def test_an_input_that_is_not_iterable(pool, name):
    with pytest.raises(TypeError):
        list(getattr(pool, name)(square, 5))
    assert pool.apply(square, (3,)) == 9


@both
def test_an_unpicklable_item_fails_alone(pool, name):
    items = [1, threading.Lock(), 3]
    results = getattr(pool, name)(tasks.identity, items)
    values, errors = [], 0
    for _ in range(3):
        try:
            values.append(next(results))
        except TypeError:
            errors += 1
    assert (sorted(values), errors) == ([1, 3], 1)


@both
def test_the_input_may_wait_for_the_outside(pool, name):
    # the input is read beside the caller, not inside of the call
    let_go = threading.Event()

    def source():
        yield 1
        let_go.wait(30)
        yield 2

    results = getattr(pool, name)(square, source())
    assert results.next(30) == 1
    let_go.set()
    assert results.next(30) == 4


@both
def test_several_iterations_beside_each_other(pool, name):
    method = getattr(pool, name)
    several = [method(square, range(20)) for _ in range(4)]
    rows = [sorted(values) for values in zip(*several)]
    assert len(rows) == 20
    assert sum(sum(row) for row in rows) == 4 * sum(n * n for n in range(20))


@both
def test_an_abandoned_iteration_is_no_trouble(pool, name):
    results = getattr(pool, name)(square, range(1000))
    next(results)
    del results
    assert pool.map(square, range(5)) == [0, 1, 4, 9, 16]
    pool.close()
    pool.join()


@both
def test_results_can_be_taken_after_close_and_join(pool, name):
    results = getattr(pool, name)(square, range(100))
    pool.close()
    pool.join()
    assert sorted(results) == [n * n for n in range(100)]


@only_pyconc  # the stdlib wakes only one of the threads at the end
def test_threads_may_share_one_iterator(pool):
    results = pool.imap(square, range(500))
    parts = [[] for _ in range(4)]

    def take(part):
        for value in results:
            part.append(value)

    threads = [threading.Thread(target=take, args=(p,)) for p in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(itertools.chain(*parts)) == [n * n for n in range(500)]


@both
def test_callable_objects_are_fresh_for_every_chunk(pool, name):
    method = getattr(pool, name)
    assert list(method(tasks.Calls(), range(4))) == [1, 1, 1, 1]
    assert sorted(method(tasks.Calls(), range(4), 2)) == [1, 1, 2, 2]


def test_a_task_that_raises_stop_iteration(pool):
    result = pool.apply_async(tasks.reraise, (StopIteration("x"),))
    with pytest.raises(StopIteration):
        result.get()


def test_errors_by_argument(pool):
    results = pool.imap(tasks.run_step, [(raise_if, i, 2) for i in range(4)])
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="bad value 2"):
        next(results)
    assert next(results) == 3


@only_pyconc
@both
@chunks
def test_buffersize_bounds_what_is_read_ahead(pool, name, chunksize):
    taken = []
    source = (taken.append(i) or i for i in itertools.count())
    method = getattr(pool, name)
    results = method(square, source, chunksize, buffersize=10)
    for count in range(1, 50):
        next(results)
        # a whole chunk is read at a time
        assert len(taken) <= count + 10 + 2 * chunksize


@only_pyconc
@both
def test_buffersize_delivers_everything(pool, name):
    results = getattr(pool, name)(square, range(100), buffersize=3)
    assert sorted(results) == [n * n for n in range(100)]


@only_pyconc
@both
def test_buffersize_is_checked(pool, name):
    method = getattr(pool, name)
    with pytest.raises(
        TypeError, match="buffersize must be an integer or None"
    ):
        method(square, range(3), buffersize="2")
    for size in (0, -1):
        with pytest.raises(ValueError, match="buffersize must be None or > 0"):
            method(square, range(3), buffersize=size)


@only_pyconc
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_input_read_by_next_interrupts_it_at_once(pool, gate, error):
    def source():
        yield tasks.identity, 0
        yield tasks.enter_gate, gate
        raise error("on purpose")

    results = pool.imap(tasks.run_step, source(), buffersize=2)
    with pytest.raises(error, match="on purpose"):
        # the second task lasts
        results.next(30)
        results.next(0)


@only_pyconc
@both
def test_an_input_read_by_the_call_interrupts_it(pool, name):
    with pytest.raises(KeyboardInterrupt):
        getattr(pool, name)(square, interrupting(), buffersize=5)
    assert pool.apply(square, (3,)) == 9


def interrupting():
    yield 1
    raise KeyboardInterrupt
