"""AsyncResult and the callbacks of Pool."""

import gc
import threading
import weakref

import pytest

from support import cycles, tasks
from support.impls import all_methods
from support.polling import eventually
from support.tasks import fail, square


def test_get_with_timeout(impl, pool, gate):
    result = pool.apply_async(gate.enter, ("value",))
    for timeout in (0, 0.01, -1):
        with pytest.raises(impl.multiprocessing.TimeoutError):
            result.get(timeout=timeout)
    gate.open()
    assert result.get(timeout=30) == "value"
    assert result.get(0) == "value"


def test_the_timeout_error_is_multiprocessings(impl, pool, gate):
    import multiprocessing

    assert impl.multiprocessing.TimeoutError is multiprocessing.TimeoutError
    with pytest.raises(multiprocessing.TimeoutError):
        pool.apply_async(gate.enter).get(0.01)


def test_wait_returns_nothing_and_raises_nothing(pool, gate):
    result = pool.apply_async(gate.enter)
    assert result.wait(0) is None
    assert result.wait(0.01) is None
    assert not result.ready()
    gate.open()
    assert result.wait() is None
    assert result.ready()
    failing = pool.apply_async(fail)
    assert failing.wait() is None
    assert failing.ready()


def test_successful_needs_a_ready_result(pool, gate):
    result = pool.apply_async(gate.enter)
    with pytest.raises(ValueError, match="not ready"):
        result.successful()
    gate.open()
    result.wait()
    assert result.successful() is True


def test_successful_is_false_after_an_error(pool):
    result = pool.apply_async(fail)
    result.wait()
    assert result.ready() is True
    assert result.successful() is False
    with pytest.raises(ValueError, match="failed on purpose"):
        result.get()
    with pytest.raises(ValueError, match="failed on purpose"):
        result.get()


def test_ready_becomes_true_without_anybody_waiting(pool):
    result = pool.apply_async(square, (3,))
    eventually(result.ready)
    assert result.get(0) == 9
    result = pool.map_async(square, range(20))
    eventually(result.ready)
    assert result.successful()


def test_several_threads_may_get(pool, gate):
    result = pool.apply_async(gate.enter, ("v",))
    seen = []
    threads = [
        threading.Thread(target=lambda: seen.append(result.get(30)))
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    gate.open()
    for thread in threads:
        thread.join()
    assert seen == ["v"] * 5


def test_map_result_with_timeout(impl, pool, gate):
    result = pool.map_async(gate.enter, [1, 2, 3], chunksize=1)
    with pytest.raises(impl.multiprocessing.TimeoutError):
        result.get(0.01)
    with pytest.raises(ValueError, match="not ready"):
        result.successful()
    gate.open()
    assert result.get(30) == [1, 2, 3]
    assert result.successful()


@all_methods
def test_a_callback_gets_the_result(pool):
    seen = []
    result = pool.apply_async(square, (4,), callback=seen.append)
    assert result.get() == 16
    assert seen == [16]


@all_methods
def test_an_error_callback_gets_the_exception(pool):
    seen, wrong = [], []
    result = pool.apply_async(
        fail, ("x",), callback=wrong.append, error_callback=seen.append
    )
    with pytest.raises(ValueError) as caught:
        result.get()
    assert seen == [caught.value]
    assert wrong == []


def test_an_error_callback_is_not_called_for_a_result(pool):
    seen, wrong = [], []
    pool.apply_async(
        square, (4,), callback=seen.append, error_callback=wrong.append
    ).get()
    assert (seen, wrong) == ([16], [])


@pytest.mark.parametrize("name", ["map_async", "starmap_async"])
def test_map_callbacks_get_everything_at_once(pool, name):
    function = square if name == "map_async" else pow
    items = range(6) if name == "map_async" else [(n, 2) for n in range(6)]
    seen = []
    result = getattr(pool, name)(
        function, items, chunksize=2, callback=seen.append
    )
    assert result.get() == [0, 1, 4, 9, 16, 25]
    assert seen == [[0, 1, 4, 9, 16, 25]]


def test_map_error_callback_gets_the_first_error(pool):
    seen, wrong = [], []
    result = pool.map_async(
        tasks.reciprocal,
        [1, 0, 2],
        chunksize=1,
        callback=wrong.append,
        error_callback=seen.append,
    )
    with pytest.raises(ZeroDivisionError):
        result.get()
    assert [type(error) for error in seen] == [ZeroDivisionError]
    assert wrong == []


def test_callbacks_run_in_one_thread_that_is_not_the_callers(pool):
    threads = []

    def note(_value):
        threads.append(threading.current_thread())

    results = [
        pool.apply_async(square, (i,), callback=note) for i in range(10)
    ]
    results.append(pool.map_async(square, range(5), callback=note))
    for result in results:
        result.wait()
    assert len(threads) == 11
    assert len(set(threads)) == 1
    assert threads[0] is not threading.current_thread()


def test_callbacks_run_though_nobody_waits(pool):
    called = threading.Event()
    pool.apply_async(square, (4,), callback=lambda value: called.set())
    assert called.wait(30)


def test_callbacks_come_in_the_order_of_completion(make_pool):
    pool = make_pool(1)
    seen = []
    for i in range(30):
        pool.apply_async(square, (i,), callback=seen.append)
    pool.close()
    pool.join()
    assert seen == [n * n for n in range(30)]


@pytest.mark.parametrize("kind", ["result", "error", "map"])
def test_a_result_is_ready_only_after_its_callback(pool, kind):
    entered, let_go = threading.Event(), threading.Event()

    def callback(_value):
        entered.set()
        let_go.wait(30)

    if kind == "result":
        result = pool.apply_async(square, (2,), callback=callback)
    elif kind == "error":
        result = pool.apply_async(fail, error_callback=callback)
    else:
        result = pool.map_async(square, [1, 2], callback=callback)
    assert entered.wait(30)
    assert not result.ready()
    result.wait(0.05)
    assert not result.ready()
    let_go.set()
    result.wait(30)
    assert result.ready()


def test_join_waits_for_callbacks(pool):
    seen = []
    for i in range(100):
        pool.apply_async(square, (i,), callback=seen.append)
    pool.close()
    pool.join()
    assert sorted(seen) == [n * n for n in range(100)]


def test_a_callback_may_use_the_pool(pool):
    done = threading.Event()
    chain = []

    def next_step(value):
        chain.append(value)
        if len(chain) < 5:
            pool.apply_async(square, (len(chain),), callback=next_step)
        else:
            done.set()

    pool.apply_async(square, (0,), callback=next_step)
    assert done.wait(30)
    assert chain == [0, 1, 4, 9, 16]


def test_callbacks_by_position(pool):
    seen = []
    pool.apply_async(square, (3,), {}, seen.append, seen.append).get()
    pool.map_async(square, [1], None, seen.append, seen.append).get()
    with pytest.raises(ValueError):
        pool.apply_async(fail, (), {}, None, seen.append).get()
    assert seen[:2] == [9, [1]]
    assert isinstance(seen[2], ValueError)


def test_results_can_be_taken_after_close_and_join(pool):
    results = [pool.apply_async(square, (i,)) for i in range(100)]
    mapped = pool.map_async(square, range(100))
    pool.close()
    pool.join()
    assert all(result.ready() for result in results)
    assert [r.get(0) for r in results] == [n * n for n in range(100)]
    assert mapped.get(0) == [n * n for n in range(100)]


def test_a_result_outlives_its_pool(impl):
    with impl.multiprocessing.Pool(1) as pool:
        result = pool.apply_async(tasks.make_bytes, (300_000,))
        result.wait()
    pool.join()
    del pool
    assert result.get(0) == b"x" * 300_000


def cycle_by_value(result):
    result.get().append(result)


@pytest.mark.parametrize("submit", ["apply_async", "map_async"])
@pytest.mark.parametrize(
    "make_cycle", [cycles.by_attribute, cycles.by_dict, cycle_by_value]
)
def test_a_cycle_through_a_result_is_collected(pool, submit, make_cycle):
    result = getattr(pool, submit)(tasks.identity, ([1],))
    result.wait()
    make_cycle(result)
    reference = weakref.ref(result)
    pool.apply(square, (1,))  # the stdlib's threads let go of the last one
    del result
    gc.collect()
    assert reference() is None


def test_a_cycle_through_a_callback_is_collected(pool):
    called = []
    result = pool.apply_async(square, (1,), callback=called.append)
    result.wait()
    called.append(result)
    reference = weakref.ref(result)
    pool.apply(square, (1,))
    del result, called
    gc.collect()
    assert reference() is None


@pytest.mark.parametrize("chunksize", [1, 2])
def test_nobody_sees_results_that_are_half_there(pool, gate, chunksize):
    items = [(gate, False)] * 20 + [(gate, True)] * 2
    result = pool.starmap_async(tasks.enter_gate_if, items, chunksize)
    gate.wait_arrived(1)
    result.wait(0.01)
    assert tasks.copy_all_lists()
    for found in gc.get_referents(result):
        if type(found) is list:
            list(found)
    gate.open()
    assert result.get() == [wanted for _, wanted in items]
    assert pool.map(tasks.copy_all_lists, range(6), chunksize) == [True] * 6
