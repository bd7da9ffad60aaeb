"""as_completed: order, timeouts, duplicates, mixtures."""

import concurrent.futures
import gc
import threading
import weakref

import pytest

from support.impls import all_methods
from support.tasks import fail, square


@pytest.fixture(params=["own", "stdlib"])
def as_completed(request, impl):
    if request.param == "own":
        return impl.futures.as_completed
    return concurrent.futures.as_completed


def finished(impl, value=42):
    future = impl.futures.Future()
    future.set_result(value)
    return future


def test_nothing_yields_nothing(as_completed):
    assert list(as_completed([])) == []


def test_all_kinds_of_end_are_yielded(as_completed, impl):
    failed = impl.futures.Future()
    failed.set_exception(OSError())
    cancelled = impl.futures.Future()
    cancelled.cancel()
    cancelled.set_running_or_notify_cancel()
    futures = [finished(impl), failed, cancelled]
    assert set(as_completed(futures)) == set(futures)


def test_finished_futures_come_before_pending_ones(as_completed, impl):
    pending = impl.futures.Future()
    done = finished(impl)
    iterator = as_completed([pending, done])
    assert next(iterator) is done
    pending.set_result(1)
    assert next(iterator) is pending
    with pytest.raises(StopIteration):
        next(iterator)


def test_futures_come_in_the_order_of_their_ends(as_completed, impl):
    futures = [impl.futures.Future() for _ in range(6)]
    order = [3, 0, 5, 1, 4, 2]
    iterator = as_completed(futures)
    for i in order:
        thread = threading.Thread(target=futures[i].set_result, args=(i,))
        thread.start()
        assert next(iterator) is futures[i]
        thread.join()


def test_a_batch_of_ends_keeps_its_order(as_completed, impl):
    futures = [impl.futures.Future() for _ in range(6)]
    first = finished(impl)
    iterator = as_completed([first, *futures])
    assert next(iterator) is first
    order = [3, 0, 5, 1, 4, 2]
    for i in order:
        futures[i].set_result(i)
    assert [f.result() for f in iterator] == order


def test_duplicates_are_yielded_once(as_completed, impl):
    future = finished(impl)
    assert list(as_completed([future, future, future])) == [future]
    pending = impl.futures.Future()
    iterator = as_completed([pending, pending])
    pending.set_result(1)
    assert list(iterator) == [pending]


@pytest.mark.parametrize("timeout", [0, 0.01, -1])
def test_timeout_comes_after_what_is_finished(as_completed, impl, timeout):
    done = finished(impl)
    pending = impl.futures.Future()
    seen = []
    with pytest.raises(impl.futures.TimeoutError) as caught:
        for future in as_completed([done, pending], timeout=timeout):
            seen.append(future)
    assert seen == [done]
    assert str(caught.value) == "1 (of 2) futures unfinished"


def test_zero_timeout_suffices_for_finished_futures(as_completed, impl):
    futures = [finished(impl, i) for i in range(3)]
    assert set(as_completed(futures, timeout=0)) == set(futures)


def test_timeout_leaves_no_trace_in_the_futures(as_completed, impl):
    pending = impl.futures.Future()
    with pytest.raises(TimeoutError):
        list(as_completed([pending], timeout=0))
    assert pending._waiters == []


def test_a_closed_iterator_leaves_no_trace_in_the_futures(as_completed, impl):
    done, pending = finished(impl), impl.futures.Future()
    iterator = as_completed([done, pending])
    assert next(iterator) is done
    iterator.close()
    assert pending._waiters == []


def test_a_yielded_future_is_not_kept(as_completed, impl):
    futures = [impl.futures.Future() for _ in range(4)]
    futures[2].set_result(1)
    for future in as_completed(futures, timeout=30):
        futures.remove(future)
        reference = weakref.ref(future)
        del future
        gc.collect()
        assert reference() is None
        if futures:
            futures[0].set_result(1)


@pytest.mark.parametrize("own_first", [True, False])
def test_own_and_stdlib_futures_mix(as_completed, impl, own_first):
    own, foreign = impl.futures.Future(), concurrent.futures.Future()
    order = [own, foreign] if own_first else [foreign, own]
    iterator = as_completed([own, foreign])
    for future in order:
        thread = threading.Thread(target=future.set_result, args=(1,))
        thread.start()
        assert next(iterator) is future
        thread.join()


def test_many_threads_may_iterate_over_the_same_futures(as_completed, impl):
    futures = [impl.futures.Future() for _ in range(50)]
    seen = []
    threads = [
        threading.Thread(
            target=lambda: seen.append(set(as_completed(futures)))
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for future in futures:
        future.set_result(1)
    for thread in threads:
        thread.join()
    assert seen == [set(futures)] * 4


@all_methods
def test_futures_of_an_executor(as_completed, executor):
    futures = {executor.submit(square, i): i for i in range(50)}
    failing = executor.submit(fail)
    seen = []
    for future in as_completed([*futures, failing], timeout=30):
        seen.append(future)
        if future is not failing:
            assert future.result() == futures[future] ** 2
    assert set(seen) == {*futures, failing}
    assert len(seen) == 51


def test_a_task_that_ends_first_comes_first(as_completed, executor, gate):
    held = executor.submit(gate.enter)
    quick = executor.submit(square, 2)
    iterator = as_completed([held, quick], timeout=30)
    assert next(iterator) is quick
    gate.open()
    assert next(iterator) is held


def test_process_and_thread_futures_mix(as_completed, impl, executor):
    with impl.futures.ThreadPoolExecutor(2) as threads:
        futures = [executor.submit(square, i) for i in range(20)]
        futures += [threads.submit(square, i) for i in range(20)]
        assert set(as_completed(futures, timeout=30)) == set(futures)
