"""Pool: apply, map, starmap and their asynchronous forms."""

import itertools
import os
import threading

import pytest

from support import tasks
from support.impls import all_methods, only_pyconc
from support.polling import eventually
from support.tasks import collect, fail, identity, power, raise_if, square


@all_methods
def test_apply_returns_the_result(pool):
    assert pool.apply(power, (3,)) == 9
    assert pool.apply(power, (2, 8)) == 256
    assert pool.apply(power, (2,), {"exponent": 5}) == 32
    assert pool.apply(power, kwds={"base": 3}) == 9


def test_apply_passes_every_argument(pool):
    assert pool.apply(collect) == ((), {})
    assert pool.apply(collect, [1, 2]) == ((1, 2), {})
    kwds = {"func": 1, "args": 2, "kwds": 3, "self": 4, "callback": 5}
    assert pool.apply(collect, (0,), kwds) == ((0,), kwds)


@all_methods
def test_apply_async_returns_a_handle(impl, pool):
    result = pool.apply_async(power, (7,), {"exponent": 1})
    assert isinstance(result, impl.pool.AsyncResult)
    assert result.get() == 7
    assert result.ready()
    assert result.successful()


def test_tasks_run_in_other_processes(pool, gate):
    results = [pool.apply_async(gate.meet, (2,)) for _ in range(2)]
    pids = {result.get() for result in results}
    assert len(pids) == 2
    assert os.getpid() not in pids


@all_methods
def test_an_exception_comes_with_the_workers_traceback(pool):
    with pytest.raises(ValueError, match="some message") as caught:
        pool.apply(fail, ("some message",))
    cause = caught.value.__cause__
    assert type(cause).__name__ == "RemoteTraceback"
    assert "Traceback (most recent call last)" in str(cause)
    assert "in fail" in str(cause)
    assert "ValueError: some message" in str(cause)


def test_many_tasks_at_once(pool):
    results = [pool.apply_async(square, (i,)) for i in range(2000)]
    assert [r.get() for r in results] == [n * n for n in range(2000)]


@all_methods
@pytest.mark.parametrize("chunksize", [None, 1, 3, 20, 1000])
def test_map_keeps_the_order(pool, chunksize):
    assert pool.map(square, range(100), chunksize) == [
        n * n for n in range(100)
    ]


def test_map_passes_its_chunk_size_by_keyword(pool):
    assert pool.map(square, iterable=[1, 2], chunksize=1) == [1, 4]


def test_map_returns_a_list_of_a_kind_of_its_own(impl, pool):
    result = pool.map_async(square, range(3))
    assert isinstance(result, impl.pool.MapResult)
    assert isinstance(result, impl.pool.AsyncResult)
    assert result.get() == [0, 1, 4]


@pytest.mark.parametrize("chunksize", [None, 1, 7])
def test_map_of_nothing(pool, chunksize):
    assert pool.map(square, [], chunksize) == []
    assert pool.map(square, iter(()), chunksize) == []
    assert pool.starmap(power, [], chunksize) == []


def test_map_async_of_nothing_is_ready_at_once(pool):
    result = pool.map_async(square, [])
    assert result.ready()
    assert result.successful()
    assert result.get(0) == []


def test_map_takes_any_iterable(pool):
    assert pool.map(square, {2: "x", 3: "y"}) == [4, 9]
    assert pool.map(square, (i for i in (1, 2, 3))) == [1, 4, 9]
    assert pool.map(identity, "abc") == ["a", "b", "c"]
    assert pool.map(square, itertools.islice(itertools.count(), 4)) == [
        0,
        1,
        4,
        9,
    ]


def test_map_refuses_what_is_not_iterable(pool):
    with pytest.raises(TypeError):
        pool.map(square, 5)
    with pytest.raises(TypeError):
        pool.map_async(square, None)
    assert pool.apply(square, (2,)) == 4


def test_map_async_reads_the_input_in_the_call(pool):
    taken = []
    result = pool.map_async(identity, (taken.append(i) or i for i in "abc"))
    assert taken == ["a", "b", "c"]
    assert result.get() == ["a", "b", "c"]


@pytest.mark.parametrize("when", [-1, 4])
@pytest.mark.parametrize("chunksize", [None, 1, 2])
def test_map_raises_the_error_of_a_lazy_input(pool, when, chunksize):
    with pytest.raises(tasks.SayWhenError):
        pool.map(square, tasks.say_when(10, when), chunksize)
    assert pool.map(square, range(3)) == [0, 1, 4]


def test_map_raises_the_error_of_an_input_with_a_length(pool):
    with pytest.raises(tasks.SayWhenError):
        pool.map(square, tasks.SaysWhenSized(1, -1), 1)
    assert pool.map(square, range(3)) == [0, 1, 4]


@only_pyconc  # the stdlib waits for ever for the chunks that are missing
@pytest.mark.parametrize("when", [-1, 4])
@pytest.mark.parametrize("chunksize", [None, 1, 2])
def test_map_raises_an_error_amid_an_input_with_a_length(
    pool, when, chunksize
):
    with pytest.raises(tasks.SayWhenError):
        pool.map(square, tasks.SaysWhenSized(10, when), chunksize)
    assert pool.map(square, range(3)) == [0, 1, 4]


def test_starmap_spreads_the_arguments(pool):
    pairs = list(zip(range(20), range(20, 0, -1)))
    expected = [a**b for a, b in pairs]
    assert pool.starmap(pow, pairs) == expected
    assert pool.starmap(pow, iter(pairs), chunksize=3) == expected
    assert pool.starmap(collect, [(), (1,), "ab"]) == [
        ((), {}),
        ((1,), {}),
        (("a", "b"), {}),
    ]


@all_methods
def test_starmap_async(pool):
    pairs = [(2, 3), (3, 2)]
    assert pool.starmap_async(pow, pairs).get() == [8, 9]
    assert pool.starmap_async(pow, pairs, 1).get() == [8, 9]


def test_starmap_raises_the_tasks_error(pool):
    with pytest.raises(ZeroDivisionError):
        pool.starmap(divmod, [(1, 1), (1, 0)])
    with pytest.raises(TypeError):
        pool.starmap(divmod, [(1, 1, 1)])


def test_map_raises_the_first_error_by_completion(pool, gate):
    steps = [
        (tasks.wait_then_raise, gate, "after", KeyError("first by place")),
        (tasks.reraise, ValueError("first by time")),
        (tasks.mark, gate, "after"),
    ]
    with pytest.raises(ValueError, match="first by time"):
        pool.map(tasks.run_step, steps, chunksize=1)


def test_an_error_stops_its_chunk_and_no_other(pool, gate):
    steps = [(tasks.mark, gate, f"ran{i}") for i in range(12)]
    steps[2] = (tasks.fail, "in the middle")
    with pytest.raises(ValueError, match="in the middle"):
        pool.map(tasks.run_step, steps, chunksize=4)
    ran = {int(name[3:]) for name in gate.marks("ran")}
    assert ran == {0, 1, 4, 5, 6, 7, 8, 9, 10, 11}


def test_map_raises_only_when_all_chunks_have_ended(pool, make_gate):
    held, failed = make_gate(), make_gate()
    steps = [
        (tasks.mark_then_raise, failed, "failed", ValueError("early")),
        (tasks.enter_gate, held),
        (tasks.mark, failed, "after"),
    ]
    result = pool.map_async(tasks.run_step, steps, chunksize=1)
    failed.read("after")
    held.wait_arrived(1)
    result.wait(0.2)
    assert not result.ready()
    held.open()
    with pytest.raises(ValueError, match="early"):
        result.get(30)
    assert not result.successful()


def test_a_failing_map_leaves_the_pool_usable(pool):
    for _ in range(3):
        with pytest.raises(ValueError):
            pool.starmap(raise_if, [(i, 5) for i in range(10)])
        assert pool.map(square, range(5)) == [0, 1, 4, 9, 16]


@only_pyconc
@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt("stop"), GeneratorExit()]
)
def test_a_base_exception_is_the_tasks_error(pool, error):
    # the stdlib's worker ends at SystemExit and its caller hangs
    with pytest.raises(type(error)) as caught:
        pool.apply(tasks.reraise, (error,))
    assert caught.value.args == error.args
    assert pool.map(square, range(5)) == [0, 1, 4, 9, 16]


def test_an_unpicklable_argument_fails_its_task_only(pool):
    before = pool.apply_async(square, (2,))
    bad = pool.apply_async(identity, (threading.Lock(),))
    after = pool.apply_async(square, (3,))
    with pytest.raises(TypeError, match=r"_thread\.lock"):
        bad.get()
    assert (before.get(), after.get()) == (4, 9)


def test_an_unpicklable_item_fails_its_map_only(pool):
    with pytest.raises(TypeError, match=r"_thread\.lock"):
        pool.map(identity, [1, threading.Lock(), 3], chunksize=1)
    assert pool.map(square, range(5)) == [0, 1, 4, 9, 16]


@all_methods
def test_an_unpicklable_result_is_a_maybe_encoding_error(impl, pool):
    with pytest.raises(impl.pool.MaybeEncodingError) as caught:
        pool.apply(tasks.make_lock)
    text = str(caught.value)
    assert text.startswith("Error sending result: ")
    assert "Reason: " in text
    assert "_thread.lock" in text
    assert caught.value.exc
    assert caught.value.value
    with pytest.raises(impl.pool.MaybeEncodingError):
        pool.map(tasks.make_lock, range(4))
    assert pool.apply(square, (3,)) == 9


def test_an_unpicklable_exception_is_a_maybe_encoding_error(impl, pool):
    with pytest.raises(impl.pool.MaybeEncodingError, match=r"_thread\.lock"):
        pool.apply(tasks.raise_with_lock)
    assert pool.apply(square, (3,)) == 9


def test_many_threads_may_apply(pool):
    outcome = {}

    def work(number):
        outcome[number] = [pool.apply(square, (i,)) for i in range(50)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcome == {i: [n * n for n in range(50)] for i in range(8)}


def test_many_threads_may_map(pool):
    outcome = {}

    def work(number):
        outcome[number] = pool.map(square, range(500))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcome == {i: [n * n for n in range(500)] for i in range(8)}


def test_jobs_run_beside_each_other(pool, gate):
    held = pool.apply_async(gate.enter, ("held",))
    assert pool.map(square, range(20)) == [n * n for n in range(20)]
    assert pool.apply(square, (2,)) == 4
    assert list(pool.imap(square, range(5))) == [0, 1, 4, 9, 16]
    assert not held.ready()
    gate.open()
    assert held.get() == "held"


def test_tasks_start_in_the_order_of_submission(make_pool, gate):
    pool = make_pool(1)
    for i in range(10):
        pool.apply_async(gate.mark, (f"ran{i}",))
    pool.close()
    pool.join()
    times = [
        os.stat(os.path.join(gate.directory, f"ran{i}")).st_mtime_ns
        for i in range(10)
    ]
    assert times == sorted(times)


def test_results_nobody_asks_for_are_no_trouble(pool):
    for i in range(5000):
        pool.apply_async(square, (i,))
    assert pool.apply(square, (3,)) == 9
    pool.close()
    pool.join()


def test_work_is_done_though_nobody_waits(pool, gate):
    for i in range(20):
        pool.apply_async(gate.mark, (f"ran{i}",))
    eventually(lambda: len(gate.marks("ran")) == 20)


def test_a_lazy_pool_of_one_worker(make_pool):
    pool = make_pool(1)
    assert pool.map(square, range(50)) == [n * n for n in range(50)]
    assert len({pool.apply(tasks.pid) for _ in range(10)}) == 1


def test_more_workers_than_tasks(make_pool):
    pool = make_pool(8)
    assert pool.map(square, range(3)) == [0, 1, 4]
