"""Future.add_done_callback: order, thread, errors."""

import gc
import logging
import threading
import weakref

import pytest

from support.impls import only_pyconc
from support.tasks import square

ENDINGS = {
    "result": lambda future: future.set_result(1),
    "exception": lambda future: future.set_exception(ValueError("x")),
    "cancel": lambda future: future.cancel(),
}


@pytest.fixture
def future(impl):
    return impl.futures.Future()


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_callback_is_called_once_with_the_future(future, ending):
    seen = []
    future.add_done_callback(seen.append)
    assert seen == []
    ENDINGS[ending](future)
    assert seen == [future]
    assert seen[0] is future


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_callback_added_after_the_end_is_called_at_once(future, ending):
    ENDINGS[ending](future)
    seen = []
    future.add_done_callback(
        lambda f: seen.append((f, threading.current_thread()))
    )
    assert seen == [(future, threading.current_thread())]


def test_notification_of_a_cancel_does_not_call_again(future):
    seen = []
    future.add_done_callback(seen.append)
    future.cancel()
    future.set_running_or_notify_cancel()
    future.cancel()
    assert seen == [future]


def test_callbacks_are_called_in_the_order_of_adding(future):
    seen = []
    for i in range(20):
        future.add_done_callback(lambda f, i=i: seen.append(i))
    future.set_result(None)
    assert seen == list(range(20))


def test_the_same_callback_may_be_added_twice(future):
    seen = []
    future.add_done_callback(seen.append)
    future.add_done_callback(seen.append)
    future.set_result(None)
    assert seen == [future, future]


def test_callbacks_run_in_the_thread_that_sets_the_result(future):
    threads = []
    future.add_done_callback(
        lambda f: threads.append(threading.current_thread())
    )
    setter = threading.Thread(target=future.set_result, args=(1,))
    setter.start()
    setter.join()
    assert threads == [setter]


def test_the_future_is_done_inside_its_callback(future):
    seen = []
    future.add_done_callback(lambda f: seen.append((f.done(), f.result(0))))
    future.set_result(9)
    assert seen == [(True, 9)]


def test_a_callback_may_add_a_callback(future):
    seen = []
    future.add_done_callback(
        lambda f: f.add_done_callback(lambda g: seen.append(g))
    )
    future.set_result(1)
    assert seen == [future]


def test_an_exception_of_a_callback_is_logged_and_the_next_called(
    future, caplog
):
    seen = []

    def bad(_future):
        raise ValueError("callback failed on purpose")

    future.add_done_callback(bad)
    future.add_done_callback(seen.append)
    with caplog.at_level(logging.ERROR, "concurrent.futures"):
        future.set_result(1)
    assert seen == [future]
    assert future.result() == 1
    (record,) = caplog.records
    assert record.name == "concurrent.futures"
    assert record.levelno == logging.ERROR
    assert "exception calling callback" in record.getMessage()
    assert "callback failed on purpose" in str(record.exc_info[1])


def test_an_exception_of_a_late_callback_is_logged_too(future, caplog):
    future.set_result(1)

    def bad(_future):
        raise ValueError("late callback failed on purpose")

    with caplog.at_level(logging.ERROR, "concurrent.futures"):
        future.add_done_callback(bad)
    (record,) = caplog.records
    assert "late callback failed" in str(record.exc_info[1])


def test_callbacks_end_with_their_future(impl):
    class Target:
        def called(self, _future):
            pass

    future = impl.futures.Future()
    target = Target()
    reference = weakref.ref(target)
    future.add_done_callback(target.called)
    del target
    assert reference() is not None
    future.set_result(1)
    del future
    gc.collect()
    assert reference() is None


def test_a_callback_added_while_another_thread_finishes_is_called(impl):
    for _ in range(200):
        future = impl.futures.Future()
        seen = []
        barrier = threading.Barrier(2)

        def finish(future=future, barrier=barrier):
            barrier.wait()
            future.set_result(1)

        thread = threading.Thread(target=finish)
        thread.start()
        barrier.wait()
        future.add_done_callback(seen.append)
        thread.join()
        assert seen == [future]


# what is no Exception


@pytest.fixture(params=[KeyboardInterrupt, SystemExit])
def bad(request):
    """A callback that raises what nobody means to catch."""

    def callback(_future):
        raise request.param("on purpose")

    callback.error = request.param
    return callback


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_interrupt_of_a_late_callback_is_raised(
    future, caplog, ending, bad
):
    ENDINGS[ending](future)
    with pytest.raises(bad.error, match="on purpose"):
        future.add_done_callback(bad)
    assert caplog.records == []
    assert future.done()


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_interrupt_of_a_callback_is_raised_by_the_end(
    impl, future, caplog, ending, bad
):
    future.add_done_callback(bad)
    with pytest.raises(bad.error, match="on purpose"):
        ENDINGS[ending](future)
    assert caplog.records == []
    # it has ended all the same, and for good
    assert future.done()
    with pytest.raises(impl.futures.InvalidStateError):
        future.set_result(2)
    seen = []
    future.add_done_callback(seen.append)
    assert seen == [future]


def test_the_error_of_a_callback_is_logged_before_an_interrupt(
    future, caplog, bad
):
    def fail(_future):
        raise ValueError("callback failed on purpose")

    future.add_done_callback(fail)
    future.add_done_callback(bad)
    with caplog.at_level(logging.ERROR, "concurrent.futures"):
        with pytest.raises(bad.error):
            future.set_result(1)
    (record,) = caplog.records
    assert record.exc_info[0] is ValueError


@only_pyconc  # in the stdlib it ends the thread
def test_an_interrupt_in_the_executors_own_thread_is_logged(
    make_executor, gate, caplog, bad
):
    executor = make_executor(1)
    held = executor.submit(gate.enter)
    threads, noted, done = [], threading.Event(), threading.Event()

    def note(_future):
        threads.append(threading.current_thread())
        bad(_future)

    with caplog.at_level(logging.ERROR, "concurrent.futures"):
        held.add_done_callback(note)
        held.add_done_callback(lambda _: noted.set())
        gate.open()
        assert held.result(30) is None
        later = [executor.submit(square, n) for n in range(20)]
        later[-1].add_done_callback(lambda _: done.set())
        assert [future.result(30) for future in later] == [
            n * n for n in range(20)
        ]
        assert noted.wait(30) and done.wait(30)
    (thread,) = threads
    assert thread is not threading.main_thread()
    assert thread.is_alive()
    (record,) = caplog.records
    assert record.exc_info[0] is bad.error


def test_a_finalizer_may_add_a_callback_while_another_is_added(impl):
    """It runs where memory for the list of callbacks is asked for."""
    seen = []

    class Cycle:
        def __init__(self, future):
            self.itself, self.future = self, future

        def __del__(self):
            self.future.add_done_callback(lambda _: seen.append("by garbage"))

    def callback(_future):
        seen.append("by call")

    future = impl.futures.Future()
    add = future.add_done_callback
    thresholds = gc.get_threshold()
    gc.collect()
    try:
        gc.set_threshold(100_000)
        Cycle(future)
        newer = [{}, {}, {}]  # more than the threshold to come
        gc.set_threshold(1)
        add(callback)
    finally:
        gc.set_threshold(*thresholds)
    gc.collect()
    assert len(newer) == 3
    future.set_result(1)
    assert sorted(seen) == ["by call", "by garbage"]


@pytest.mark.parametrize("kind", ["ThreadPoolExecutor", "ProcessPoolExecutor"])
def test_who_sees_a_result_finds_earlier_callbacks_done(impl, kind):
    """As progress bars rely on: they count in callbacks, and close at the end."""
    for _ in range(20):
        finished, called = [], []
        with getattr(impl.futures, kind)(2) as executor:
            futures = [executor.submit(abs, -i) for i in range(10)]
            for future in futures:
                future.add_done_callback(called.append)
            for future in futures:
                future.result(30)
                finished.append(len(called))
        assert len(called) == 10
        # Perhaps not yet those that a worker or the collector is about to run.
        assert all(count >= i - 1 for i, count in enumerate(finished)), finished
