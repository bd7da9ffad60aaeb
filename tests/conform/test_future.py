"""Future: states, results, timeouts, cancellation, what it is."""

import concurrent.futures
import gc
import pickle
import re
import threading
import types
import weakref

import pytest

from support import cycles, tasks
from support.blocking import signal_main, when_main_sleeps


@pytest.fixture
def future(impl):
    return impl.futures.Future()


def finished(impl, value=None):
    future = impl.futures.Future()
    future.set_result(value)
    return future


def failed(impl, exception):
    future = impl.futures.Future()
    future.set_exception(exception)
    return future


def cancelled(impl, notified=True):
    future = impl.futures.Future()
    assert future.cancel()
    if notified:
        assert not future.set_running_or_notify_cancel()
    return future


def in_thread(function):
    """Start function in a thread; return the thread and its outcome list."""
    outcome = []

    def run():
        try:
            outcome.append(function())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


def test_a_future_is_the_stdlibs_future(future):
    assert isinstance(future, concurrent.futures.Future)


def test_a_new_future_is_pending(future):
    assert not future.done()
    assert not future.running()
    assert not future.cancelled()


def test_the_constructor_takes_no_arguments(impl):
    with pytest.raises(TypeError):
        impl.futures.Future(1)


def test_running_from_notification_to_result(future):
    assert future.set_running_or_notify_cancel() is True
    assert future.running()
    assert not future.done()
    future.set_result(1)
    assert not future.running()
    assert future.done()


def test_result_is_the_very_object(future):
    value = object()
    future.set_result(value)
    assert future.result() is value
    assert future.result(timeout=0) is value
    assert future.exception() is None


def test_result_raises_the_very_exception(future):
    error = ValueError("x")
    future.set_exception(error)
    with pytest.raises(ValueError) as caught:
        future.result()
    assert caught.value is error
    assert future.exception() is error
    assert future.exception(timeout=0) is error
    assert future.done()
    assert not future.cancelled()


def test_a_result_may_be_set_without_running(future):
    future.set_result(None)
    assert future.result() is None


@pytest.mark.parametrize("timeout", [0, 0.01, -1, 1e-9])
def test_result_and_exception_time_out(impl, future, timeout):
    with pytest.raises(impl.futures.TimeoutError):
        future.result(timeout=timeout)
    with pytest.raises(TimeoutError):
        future.exception(timeout)


def test_result_times_out_while_running(future):
    future.set_running_or_notify_cancel()
    with pytest.raises(TimeoutError):
        future.result(0.01)


def test_result_refuses_a_timeout_that_is_no_number(future):
    with pytest.raises(TypeError):
        future.result("soon")


@pytest.mark.parametrize("timeout", [None, 30])
def test_result_wakes_when_the_result_is_set(future, timeout):
    thread, outcome = in_thread(lambda: future.result(timeout))
    future.set_result(42)
    thread.join()
    assert outcome == [42]


def test_result_wakes_when_the_exception_is_set(future):
    thread, outcome = in_thread(future.result)
    future.set_exception(OSError("gone"))
    thread.join()
    assert isinstance(outcome[0], OSError)


def test_exception_wakes_when_the_result_is_set(future):
    thread, outcome = in_thread(future.exception)
    future.set_result(1)
    thread.join()
    assert outcome == [None]


def test_result_wakes_when_the_future_is_cancelled(impl, future):
    thread, outcome = in_thread(future.result)
    future.cancel()
    thread.join()
    assert isinstance(outcome[0], impl.futures.CancelledError)


def test_every_waiting_thread_gets_the_result(future):
    started = [in_thread(future.result) for _ in range(8)]
    future.set_result("all")
    for thread, outcome in started:
        thread.join()
        assert outcome == ["all"]


def test_cancel_of_a_pending_future(impl, future):
    assert future.cancel() is True
    assert future.cancelled()
    assert future.done()
    assert not future.running()
    assert future.cancel() is True
    with pytest.raises(impl.futures.CancelledError):
        future.result()
    with pytest.raises(impl.futures.CancelledError):
        future.exception(timeout=0)


def test_cancel_of_a_running_future_fails(future):
    future.set_running_or_notify_cancel()
    assert future.cancel() is False
    assert not future.cancelled()
    future.set_result(1)
    assert future.result() == 1


def test_cancel_of_a_finished_future_fails(impl):
    assert finished(impl, 1).cancel() is False
    assert failed(impl, ValueError()).cancel() is False


def test_a_cancelled_future_stays_cancelled_after_notification(impl):
    future = cancelled(impl)
    assert future.cancelled()
    assert future.cancel() is True


def test_notification_of_a_cancelled_future_says_false(impl):
    future = cancelled(impl, notified=False)
    assert future.set_running_or_notify_cancel() is False


@pytest.mark.parametrize("state", ["running", "finished", "notified"])
def test_notification_in_the_wrong_state_raises(impl, future, state):
    if state == "running":
        future.set_running_or_notify_cancel()
    elif state == "finished":
        future.set_result(1)
    else:
        future = cancelled(impl)
    with pytest.raises(RuntimeError):
        future.set_running_or_notify_cancel()


def test_a_result_can_be_set_only_once(impl):
    for future in (finished(impl, 1), failed(impl, OSError())):
        with pytest.raises(impl.futures.InvalidStateError):
            future.set_result(2)
        with pytest.raises(impl.futures.InvalidStateError):
            future.set_exception(ValueError())
    assert finished(impl, 1).result() == 1


def test_a_cancelled_future_takes_no_result(impl):
    for future in (cancelled(impl), cancelled(impl, notified=False)):
        with pytest.raises(impl.futures.InvalidStateError):
            future.set_result(1)
        with pytest.raises(impl.futures.InvalidStateError):
            future.set_exception(ValueError())
        assert future.cancelled()


def test_only_one_of_many_setters_wins(impl, future):
    barrier = threading.Barrier(8)

    def set_to(value):
        barrier.wait()
        try:
            future.set_result(value)
        except impl.futures.InvalidStateError:
            return None
        return value

    started = [in_thread(lambda i=i: set_to(i)) for i in range(8)]
    for thread, _ in started:
        thread.join()
    winners = [o[0] for _, o in started if o[0] is not None]
    assert winners == [future.result()]


def test_repr_names_the_state(impl, future):
    address = r"<\w*Future at 0x[0-9a-f]+ state="
    assert re.fullmatch(address + "pending>", repr(future))
    future.set_running_or_notify_cancel()
    assert re.fullmatch(address + "running>", repr(future))
    future.set_result(3)
    assert re.fullmatch(address + "finished returned int>", repr(future))
    assert re.fullmatch(
        address + "finished raised ValueError>",
        repr(failed(impl, ValueError())),
    )
    for notified in (True, False):
        assert re.fullmatch(
            address + "cancelled>", repr(cancelled(impl, notified))
        )


def test_the_class_is_generic(impl):
    alias = impl.futures.Future[int]
    assert isinstance(alias, types.GenericAlias)
    assert alias.__origin__ is impl.futures.Future
    assert alias.__args__ == (int,)


def test_a_future_is_weakly_referenceable_and_hashable(future):
    assert weakref.ref(future)() is future
    assert {future: 1}[future] == 1
    assert future == future


def test_attributes_can_be_set(future):
    future.tag = "mine"
    assert future.tag == "mine"
    object.__setattr__(future, "other", "too")
    assert vars(future)["other"] == "too"
    del future.tag
    assert not hasattr(future, "tag")


def test_a_cycle_through_a_subclass_is_collected(impl):
    class Mixin:
        pass

    class Mine(Mixin, impl.futures.Future):
        pass

    Mine.instance = Mine()
    other = Mine()
    object.__setattr__(other, "partner", other)
    references = [weakref.ref(Mine), weakref.ref(other)]
    del Mine, Mixin, other
    gc.collect()
    assert [reference() for reference in references] == [None, None]


def test_a_future_does_not_pickle(future):
    with pytest.raises(TypeError):
        pickle.dumps(future)


def test_a_future_dies_with_its_last_reference(impl):
    future = finished(impl, object())
    reference = weakref.ref(future)
    gc.disable()
    try:
        del future
        assert reference() is None
    finally:
        gc.enable()


def test_raising_from_result_leaves_no_cycle(impl):
    future = failed(impl, ValueError("x"))
    reference = weakref.ref(future)
    gc.disable()
    try:
        try:
            future.result()
        except ValueError:
            pass
        del future
        assert reference() is None
    finally:
        gc.enable()


CYCLES = {
    "result": lambda future: future.set_result([future]),
    "itself": lambda future: future.set_result(future),
    "exception": lambda future: future.set_exception(ValueError(future)),
    "callback": lambda future: future.add_done_callback(future.cancel),
    "attribute": cycles.by_attribute,
    "dict": cycles.by_dict,
    "new dict": cycles.by_new_dict,
    "condition": lambda future: setattr(future._condition, "mine", future),
}


@pytest.mark.parametrize("make_cycle", CYCLES.values(), ids=CYCLES.keys())
def test_a_cycle_through_a_future_is_collected(impl, make_cycle):
    future = impl.futures.Future()
    make_cycle(future)
    reference = weakref.ref(future)
    del future
    gc.collect()
    assert reference() is None


def let_go_of_results(executor):
    """Have the thread that delivers results deliver another one."""
    assert executor.submit(tasks.identity, 2).result() == 2


@pytest.mark.parametrize("make_cycle", [cycles.by_attribute, cycles.by_dict])
def test_a_cycle_through_a_submitted_future_is_collected(executor, make_cycle):
    future = executor.submit(tasks.identity, 1)
    make_cycle(future)
    assert future.result() == 1
    let_go_of_results(executor)
    reference = weakref.ref(future)
    del future
    gc.collect()
    assert reference() is None


def test_a_cycle_through_a_result_that_was_fetched_is_collected(executor):
    future = executor.submit(tasks.identity, [1])
    future.result().append(future)
    let_go_of_results(executor)
    reference = weakref.ref(future)
    del future
    gc.collect()
    assert reference() is None


def test_a_subclass_keeps_its_overrides(impl):
    class Counted(impl.futures.Future):
        def __init__(self, name):
            super().__init__()
            self.name = name
            self.sets = 0

        def set_result(self, result):
            self.sets += 1
            super().set_result(result)

    future = Counted("mine")
    assert not future.done()
    future.set_result(5)
    assert (future.name, future.sets, future.result()) == ("mine", 1, 5)
    assert "state=finished returned int" in repr(future)


def test_the_internals_that_stdlib_code_reads_exist(future):
    assert future._state == "PENDING"
    assert future._waiters == []
    with future._condition:
        future.add_done_callback(lambda f: None)
    future.set_running_or_notify_cancel()
    assert future._state == "RUNNING"
    with future._condition:
        assert not future.done()
    future.set_result(1)
    assert future._state == "FINISHED"


def test_the_condition_is_notified_by_every_transition(future):
    seen = []
    waiting = threading.Event()

    def watch():
        with future._condition:
            waiting.set()
            future._condition.wait_for(future.done, 30)
            seen.append(future._state)

    thread = threading.Thread(target=watch)
    thread.start()
    waiting.wait()
    future.set_result(1)
    thread.join()
    assert seen == ["FINISHED"]


def test_the_exceptions_are_the_stdlibs(impl):
    for name in (
        "CancelledError",
        "TimeoutError",
        "InvalidStateError",
        "BrokenExecutor",
    ):
        assert getattr(impl.futures, name) is getattr(concurrent.futures, name)


def test_a_signal_handler_interrupts_the_wait_of_the_main_thread(
    future, handle
):
    class Interrupted(Exception):
        pass

    def interrupt(_signal, _frame):
        raise Interrupted

    handle(interrupt)
    helper = when_main_sleeps(signal_main)
    with pytest.raises(Interrupted):
        future.result()
    helper.result()
    assert not future.done()


def test_a_handler_may_set_the_result_that_is_waited_for(future, handle):
    handle(lambda *_: future.set_result("from the handler"))
    helper = when_main_sleeps(signal_main)
    assert future.result(30) == "from the handler"
    helper.result()
