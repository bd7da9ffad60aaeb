"""wait: conditions, timeouts, duplicates, mixtures."""

import concurrent.futures
import threading

import pytest

from support.impls import all_methods
from support.tasks import fail, identity, square


@pytest.fixture(params=["own", "stdlib"])
def wait(request, impl):
    """The implementation's wait, and the stdlib's on the same futures."""
    if request.param == "own":
        return impl.futures.wait
    return concurrent.futures.wait


@pytest.fixture
def pending(impl):
    return impl.futures.Future()


@pytest.fixture
def finished(impl):
    future = impl.futures.Future()
    future.set_result(42)
    return future


@pytest.fixture
def failed(impl):
    future = impl.futures.Future()
    future.set_exception(OSError())
    return future


@pytest.fixture
def cancelled(impl):
    future = impl.futures.Future()
    future.cancel()
    future.set_running_or_notify_cancel()
    return future


def start(function, *args):
    thread = threading.Thread(target=function, args=args)
    thread.start()
    return thread


def test_the_constants_are_the_stdlibs(impl):
    for name in ("FIRST_COMPLETED", "FIRST_EXCEPTION", "ALL_COMPLETED"):
        assert getattr(impl.futures, name) == name


def test_wait_returns_two_named_sets(wait, finished, failed, cancelled):
    result = wait([finished, failed, cancelled])
    assert result.done == {finished, failed, cancelled}
    assert result.not_done == set()
    done, not_done = result
    assert (done, not_done) == (result.done, result.not_done)


@pytest.mark.parametrize(
    "when", ["FIRST_COMPLETED", "FIRST_EXCEPTION", "ALL_COMPLETED"]
)
def test_wait_for_nothing_returns_at_once(wait, when):
    assert wait([], return_when=when) == (set(), set())


def test_wait_takes_any_iterable(wait, finished, failed):
    expected = ({finished, failed}, set())
    assert wait(iter([finished, failed])) == expected
    assert wait({finished, failed}) == expected
    assert wait(f for f in (finished, failed)) == expected


def test_duplicates_count_once(wait, finished, pending):
    done, not_done = wait([finished, finished, pending, pending], timeout=0)
    assert (done, not_done) == ({finished}, {pending})


def test_timeout_returns_what_is_there(wait, finished, pending):
    for timeout in (0, 0.01, -1):
        assert wait([finished, pending], timeout) == ({finished}, {pending})


def test_an_unknown_condition_is_refused(wait, pending):
    with pytest.raises(ValueError, match="Invalid return condition"):
        wait([pending], return_when="SOMETIME")


def test_first_completed_returns_if_one_is_done(wait, finished, pending):
    assert wait([pending, finished], return_when="FIRST_COMPLETED") == (
        {finished},
        {pending},
    )


@pytest.mark.parametrize("ending", ["result", "exception"])
def test_first_completed_wakes_at_the_first_end(wait, impl, ending):
    futures = [impl.futures.Future() for _ in range(3)]
    if ending == "result":
        thread = start(futures[1].set_result, 1)
    else:
        thread = start(futures[1].set_exception, ValueError())
    result = wait(futures, return_when="FIRST_COMPLETED")
    thread.join()
    assert result == ({futures[1]}, {futures[0], futures[2]})


def test_first_exception_returns_if_one_has_failed(wait, failed, pending):
    assert wait([pending, failed], return_when="FIRST_EXCEPTION") == (
        {failed},
        {pending},
    )


def test_first_exception_waits_past_results(wait, impl, finished):
    first, second, third = (impl.futures.Future() for _ in range(3))

    def run():
        first.set_result(1)
        second.set_exception(ValueError())

    thread = start(run)
    result = wait(
        [finished, first, second, third], return_when="FIRST_EXCEPTION"
    )
    thread.join()
    assert result == ({finished, first, second}, {third})


def test_first_exception_does_not_count_a_cancel(wait, impl, cancelled):
    future = impl.futures.Future()
    result = wait([cancelled, future], 0.01, "FIRST_EXCEPTION")
    assert result == ({cancelled}, {future})


def test_first_exception_without_one_waits_for_all(wait, impl):
    futures = [impl.futures.Future() for _ in range(3)]

    def run():
        for future in futures:
            future.set_result(1)

    thread = start(run)
    assert wait(futures, return_when="FIRST_EXCEPTION") == (
        set(futures),
        set(),
    )
    thread.join()


def test_all_completed_waits_for_all_kinds_of_end(wait, impl):
    one, two, three = (impl.futures.Future() for _ in range(3))

    def run():
        one.set_result(1)
        two.set_exception(ValueError())
        three.cancel()
        three.set_running_or_notify_cancel()

    thread = start(run)
    assert wait([one, two, three]) == ({one, two, three}, set())
    thread.join()


def test_a_cancel_counts_when_it_is_notified(wait, impl, finished):
    future = impl.futures.Future()
    future.cancel()
    assert wait([future, finished], 0.01) == ({finished}, {future})
    future.set_running_or_notify_cancel()
    assert wait([future, finished]) == ({future, finished}, set())


def test_many_threads_may_wait_for_the_same_futures(wait, impl):
    futures = [impl.futures.Future() for _ in range(10)]
    results = []
    threads = [start(lambda: results.append(wait(futures))) for _ in range(5)]
    for future in futures:
        future.set_result(None)
    for thread in threads:
        thread.join()
    assert results == [(set(futures), set())] * 5


def test_waiting_leaves_no_trace_in_the_futures(wait, pending):
    wait([pending], timeout=0.01)
    assert pending._waiters == []


@pytest.mark.parametrize("late", ["own", "stdlib"])
def test_own_and_stdlib_futures_mix(wait, impl, late):
    own = impl.futures.Future()
    foreign = concurrent.futures.Future()
    last, first = (own, foreign) if late == "own" else (foreign, own)
    first.set_result(1)
    assert wait([own, foreign], return_when="FIRST_COMPLETED") == (
        {first},
        {last},
    )
    thread = start(last.set_result, 2)
    assert wait([own, foreign]) == ({own, foreign}, set())
    thread.join()


def test_process_and_thread_futures_mix(wait, impl, executor):
    with impl.futures.ThreadPoolExecutor(2) as threads:
        futures = [executor.submit(square, i) for i in range(5)]
        futures += [threads.submit(square, i) for i in range(5)]
        done, not_done = wait(futures)
    assert not not_done
    assert sorted(f.result() for f in done) == [0, 0, 1, 1, 4, 4, 9, 9, 16, 16]


@all_methods
def test_wait_on_an_executor(wait, executor, gate):
    held = executor.submit(gate.enter, "held")
    others = [executor.submit(square, i) for i in range(5)]
    failing = executor.submit(fail)
    done, not_done = wait(
        [held, failing, *others], return_when="FIRST_EXCEPTION"
    )
    assert failing in done
    assert held in not_done
    done, not_done = wait([held, *others], 0, "FIRST_COMPLETED")
    assert held in not_done
    gate.open()
    done, not_done = wait([held, failing, *others])
    assert done == {held, failing, *others}
    assert held.result() == "held"


def test_wait_sees_a_future_cancelled_in_the_queue(wait, make_executor, gate):
    executor = make_executor(1)
    held = executor.submit(gate.enter)
    queued = [executor.submit(identity, i) for i in range(5)]
    assert queued[-1].cancel()
    gate.open()
    done, not_done = wait([held, *queued], 30)
    assert not not_done
    assert queued[-1].cancelled()
