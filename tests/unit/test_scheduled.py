"""ScheduledThreadPoolExecutor: when things run, and how they end."""

import asyncio
import concurrent.futures
import contextvars
import datetime
import gc
import itertools
import math
import sys
import threading
import time
import weakref

import pytest

from pyconc import futures
from pyconc.futures import (
    CancelledError,
    Future,
    ScheduledThreadPoolExecutor,
    ThreadPoolExecutor,
)
from support.polling import eventually
from support.threads import Hold

LONG = 1000


@pytest.fixture
def make():
    """Make executors that are shut down at the end of the test."""
    executors = []

    def make(*args, **kwds):
        executors.append(ScheduledThreadPoolExecutor(*args, **kwds))
        return executors[-1]

    yield make
    for executor in executors:
        executor.shutdown(cancel_futures=True)


@pytest.fixture
def executor(make):
    return make(2)


@pytest.fixture
def hold(make):
    hold = Hold()
    yield hold
    hold.let_go.set()


def timers(executor):
    return executor._engine.timers


class Ticks:
    """A task that counts its runs."""

    def __init__(self):
        self.times = []

    def __call__(self):
        self.times.append(time.monotonic())

    def wait(self, count):
        eventually(lambda: len(self.times) >= count, what=f"{count} runs")


def raise_it(error):
    raise error


# --- the interface ---------------------------------------------------------


def test_is_a_thread_pool_executor(executor):
    assert isinstance(executor, ThreadPoolExecutor)
    assert isinstance(executor, concurrent.futures.ThreadPoolExecutor)
    assert executor.submit(pow, 2, 3).result(20) == 8
    assert list(executor.map(abs, [-1, 2])) == [1, 2]
    assert executor.schedule(0, pow, 2, 3).result(20) == 8
    assert executor.submit(pow, 2, 4).result(20) == 16


def test_arguments_go_to_the_function(executor):
    def function(*args, **kwargs):
        return args, kwargs

    kwds = {"delay": 1, "period": 2, "fn": 3, "self": 4, "when": 5}
    now = datetime.datetime.now()
    expected = ((1, 2), kwds)
    assert executor.schedule(0, function, 1, 2, **kwds).result(20) == expected
    assert (
        executor.schedule_at(now, function, 1, 2, **kwds).result(20) == expected
    )
    got = []
    for schedule in (
        executor.schedule_at_fixed_rate,
        executor.schedule_with_fixed_delay,
    ):
        future = schedule(
            0,
            0.001,
            lambda *a, **k: got.append((a, k)),
            1,
            2,
            **kwds,
        )
        eventually(lambda: len(got) > 2)
        assert future.cancel()
        assert all(g == expected for g in got)
        got.clear()


def test_the_future_is_one_of_ours(executor):
    for future in (
        executor.schedule(LONG, abs, -1),
        executor.schedule_at_fixed_rate(LONG, 1, abs, -1),
    ):
        assert type(future) is Future
        assert isinstance(future, concurrent.futures.Future)
        assert not future.running() and not future.done()
        assert "state=pending" in repr(future)
        with pytest.raises(TimeoutError):
            future.result(0.001)


def test_the_sleeper_is_a_thread_of_the_pool(make):
    executor = make(2, "pool")
    assert not any(t.name == "pool_timers" for t in threading.enumerate())
    executor.schedule(LONG, abs, -1)
    executor.schedule(LONG, abs, -1)
    found = [t for t in threading.enumerate() if t.name == "pool_timers"]
    assert len(found) == 1 and not found[0].daemon
    executor.shutdown(cancel_futures=True)
    assert not found[0].is_alive()
    executor = make(2, "devil", daemon=True)
    executor.schedule(LONG, abs, -1)
    (found,) = [t for t in threading.enumerate() if t.name == "devil_timers"]
    assert found.daemon


# --- bad arguments ---------------------------------------------------------

NUMBERS = [
    (-1, ValueError),
    (-1e-9, ValueError),
    (-math.inf, ValueError),
    (math.nan, ValueError),
    (math.inf, OverflowError),
    (1e10, OverflowError),
    (10**400, OverflowError),
    ("1", TypeError),
    (None, TypeError),
    (1j, TypeError),
    (datetime.timedelta(1), TypeError),
]


@pytest.mark.parametrize(("number", "error"), NUMBERS, ids=repr)
def test_bad_delays(executor, number, error):
    with pytest.raises(error):
        executor.schedule(number, abs, 1)
    with pytest.raises(error):
        executor.schedule_at_fixed_rate(number, 1, abs, 1)
    with pytest.raises(error):
        executor.schedule_with_fixed_delay(number, 1, abs, 1)
    assert timers(executor) == 0


@pytest.mark.parametrize(
    ("number", "error"), [*NUMBERS, (0, ValueError), (-0.0, ValueError)], ids=repr
)
def test_bad_periods(executor, number, error):
    with pytest.raises(error):
        executor.schedule_at_fixed_rate(1, number, abs, 1)
    with pytest.raises(error):
        executor.schedule_with_fixed_delay(1, number, abs, 1)
    assert timers(executor) == 0


def test_errors_say_what_is_wrong(executor):
    with pytest.raises(ValueError, match=r"delay must be .* not NaN"):
        executor.schedule(math.nan, abs)
    with pytest.raises(ValueError, match=r"delay must be at least 0 .* -2"):
        executor.schedule(-2, abs)
    with pytest.raises(ValueError, match="period must be greater than 0"):
        executor.schedule_at_fixed_rate(0, 0, abs)
    with pytest.raises(TypeError, match=r"delay must be a number .* not str"):
        executor.schedule("x", abs)
    with pytest.raises(TypeError, match="fn must be callable, not int"):
        executor.schedule(1, 5)
    with pytest.raises(TypeError, match=r"missing .* 'delay'"):
        executor.schedule()
    with pytest.raises(TypeError, match=r"missing .* 'fn'"):
        executor.schedule(1)
    with pytest.raises(TypeError, match=r"missing .* 'period'"):
        executor.schedule_at_fixed_rate(1)
    with pytest.raises(TypeError, match=r"missing .* 'fn'"):
        executor.schedule_with_fixed_delay(1, 1)
    with pytest.raises(TypeError, match="missing"):
        executor.schedule(delay=1, fn=abs)


def test_what_converts_to_a_number_is_one(executor):
    class Half:
        def __float__(self):
            return 0.005

    assert executor.schedule(Half(), pow, 2, 3).result(20) == 8
    future = executor.schedule(True, pow, 2, 3)
    assert future.cancel() or future.result(20) == 8  # a second is over

    class Bad:
        def __float__(self):
            raise KeyError("own")

    with pytest.raises(KeyError):
        executor.schedule(Bad(), abs)


@pytest.mark.parametrize(
    "when", [1.0, "now", None, datetime.date(2100, 1, 1), datetime.time(1)]
)
def test_what_is_no_datetime_is_refused(executor, when):
    with pytest.raises(TypeError, match="datetime"):
        executor.schedule_at(when, abs, 1)


def test_a_datetime_may_be_too_far(executor):
    with pytest.raises(OverflowError):
        executor.schedule_at(datetime.datetime(9999, 1, 1), abs, 1)


# --- when it runs ----------------------------------------------------------


@pytest.mark.parametrize("delay", [0, 0.0, 0.001, 0.05])
def test_never_early(executor, delay):
    start = time.monotonic()
    assert executor.schedule(delay, time.monotonic).result(20) >= start + delay


def test_order_is_by_time_and_not_by_call(make, hold):
    executor = make(1)
    executor.submit(hold)
    hold.wait_running()
    ran = []
    # Far enough apart for a pause between the looks at two clocks.
    delays = [0.6, 0.2, 0.8, 0.4, 0]
    start = datetime.datetime.now() + datetime.timedelta(seconds=2)
    pending = [
        executor.schedule_at(start + datetime.timedelta(seconds=d), ran.append, d)
        for d in delays
    ]
    eventually(lambda: timers(executor) == 0)
    assert executor._engine.queued == len(delays)
    assert not any(f.running() or f.done() for f in pending)
    hold.let_go.set()
    futures.wait(pending, 20)
    assert ran == sorted(delays)


def test_an_earlier_timer_wakes_the_sleeper(executor):
    late = executor.schedule(LONG, abs, 1)
    assert executor.schedule(0.01, pow, 2, 3).result(20) == 8
    assert not late.done()


def test_many_due_at_once_all_run(make):
    executor = make(4)
    done = [executor.schedule(0.01, abs, -n) for n in range(10_000)]
    assert [f.result(30) for f in done] == list(range(10_000))


def test_schedule_at(executor):
    now = datetime.datetime.now
    start = time.time()
    wait = datetime.timedelta(seconds=0.05)
    zone = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
    naive = executor.schedule_at(now() + wait, time.time)
    aware = executor.schedule_at(now(zone) + wait, time.time)
    for future in (naive, aware):
        # datetimes have microseconds
        assert future.result(20) >= start + 0.05 - 0.001
    far = executor.schedule_at(now() + datetime.timedelta(days=1), abs, 1)
    assert not far.done()
    past = executor.schedule_at(datetime.datetime(1999, 1, 1), pow, 2, 3)
    assert past.result(20) == 8
    ancient = datetime.datetime(1, 1, 1, tzinfo=datetime.UTC)
    past = executor.schedule_at(ancient, pow, 2, 3)
    assert past.result(20) == 8


def test_fixed_rate_stays_on_the_grid(executor):
    period = 0.01
    ticks = Ticks()
    start = time.monotonic()
    future = executor.schedule_at_fixed_rate(0.02, period, ticks)
    ticks.wait(30)
    future.cancel()
    for n, at in enumerate(ticks.times):
        assert at >= start + 0.02 + n * period


def test_fixed_rate_does_not_drift(executor):
    # Where the pauses are counted from the end of a run 10 runs take at least
    # 3 s instead of 2.  A loaded machine may need several attempts.
    def attempt():
        ticks = Ticks()

        def run():
            ticks()
            time.sleep(0.1)

        start = time.monotonic()
        future = executor.schedule_at_fixed_rate(0, 0.2, run)
        ticks.wait(11)
        future.cancel()
        return ticks.times[10] - start < 2.6

    assert any(attempt() for _ in range(20))


def test_missed_runs_become_one(executor, hold):
    period = 0.02
    ticks = Ticks()

    def run():
        ticks()
        if len(ticks.times) == 1:
            hold()

    start = time.monotonic()
    future = executor.schedule_at_fixed_rate(0, period, run)
    hold.wait_running()
    time.sleep(10 * period)
    assert len(ticks.times) == 1  # never beside itself
    held = time.monotonic() - ticks.times[0]
    hold.let_go.set()
    ticks.wait(4)
    future.cancel()
    missed = int(held / period) - 1
    assert missed >= 8
    # The second run makes up for all that were missed; those after it are on
    # the grid.
    for n, at in enumerate(ticks.times[1:]):
        assert at >= start + (missed + n) * period


def test_fixed_delay_counts_from_the_end(executor):
    spans = []

    def run():
        start = time.monotonic()
        time.sleep(0.01)
        spans.append((start, time.monotonic()))

    future = executor.schedule_with_fixed_delay(0, 0.02, run)
    eventually(lambda: len(spans) >= 5)
    future.cancel()
    for (_, end), (start, _) in itertools.pairwise(spans):
        assert start - end >= 0.02


def test_a_periodic_task_never_overlaps_itself(make):
    executor = make(8)
    inside = []
    most = []

    def run():
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.002)
        inside.pop()

    future = executor.schedule_at_fixed_rate(0, 1e-12, run)
    eventually(lambda: len(most) > 50)
    future.cancel()
    assert set(most) == {1}


def test_a_busy_pool_does_not_hold_up_the_queue(make, hold):
    executor = make(1)
    executor.submit(hold)
    hold.wait_running()
    future = executor.schedule(0.01, abs, -1)
    eventually(lambda: executor._engine.queued == 1)
    assert not future.done()
    hold.let_go.set()
    assert future.result(20) == 1


# --- futures ---------------------------------------------------------------


@pytest.mark.parametrize("module", [futures, concurrent.futures])
def test_wait_and_as_completed(executor, module):
    pending = [executor.schedule(d, abs, d) for d in (0.03, 0.01, 0.02)]
    pending.append(executor.schedule_at_fixed_rate(0, 0.01, raise_it, KeyError()))
    seen = list(module.as_completed(pending, 20))
    assert set(seen) == set(pending)
    late = executor.schedule(LONG, abs, 1)
    periodic = executor.schedule_at_fixed_rate(0, 0.01, abs, 1)
    done, not_done = module.wait([*pending, late, periodic], 0.05)
    assert done == set(pending) and not_done == {late, periodic}
    for future in not_done:
        threading.Timer(0.01, future.cancel).start()
    done, not_done = module.wait([late, periodic], 20)
    assert len(done) == 2


def test_callbacks(executor):
    called = []
    done = threading.Event()
    future = executor.schedule(0.01, pow, 2, 3)
    future.add_done_callback(lambda f: called.append(f.result()))
    future.add_done_callback(lambda f: done.set())
    assert done.wait(20) and called == [8]
    for periodic in (
        executor.schedule_at_fixed_rate(LONG, 1, abs, 1),
        executor.schedule(LONG, abs, 1),
    ):
        periodic.add_done_callback(lambda f: called.append(f.cancelled()))
        assert periodic.cancel()
        assert called.pop() is True
    failed = threading.Event()
    future = executor.schedule_at_fixed_rate(0, 1, raise_it, OSError("x"))
    future.add_done_callback(lambda f: (called.append(f.exception()), failed.set()))
    assert failed.wait(20) and isinstance(called[-1], OSError)


def test_asyncio(executor):
    async def main():
        assert await executor.schedule(0.01, pow, 2, 3) == 8
        wrapped = asyncio.wrap_future(executor.schedule(0.01, pow, 2, 4))
        assert await wrapped == 16
        with pytest.raises(KeyError):
            await executor.schedule_at_fixed_rate(0, 1, raise_it, KeyError())
        for future in (
            executor.schedule(LONG, abs, 1),
            executor.schedule_at_fixed_rate(0, 0.01, abs, 1),
        ):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await future
            eventually(future.cancelled)
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(executor, pow, 2, 5) == 32

    asyncio.run(main())
    assert timers(executor) == 0


def test_a_result_set_by_somebody_else_stands(make, hold):
    executor = make(1)
    # Should the result come late, the call is queued and no more.
    executor.submit(hold)
    hold.wait_running()
    ran = []
    once = executor.schedule(0.02, ran.append, 1)
    once.set_result("mine")
    for delay in (0.02, 2, 20):
        runs = []
        due = time.monotonic() + delay
        again = executor.schedule_at_fixed_rate(delay, 0.01, runs.append, 1)
        again.set_exception(KeyError("mine"))
        if time.monotonic() < due:
            break  # else a run may be queued, and takes place
    eventually(lambda: timers(executor) == 0)
    hold.let_go.set()
    executor.shutdown()
    assert ran == runs == []
    assert once.result() == "mine"
    assert isinstance(again.exception(), KeyError)


# --- cancelling ------------------------------------------------------------


def test_cancel_before_its_time(executor):
    ran = []
    for schedule, *times in (
        (executor.schedule, LONG),
        (executor.schedule_at_fixed_rate, LONG, 0.01),
        (executor.schedule_with_fixed_delay, LONG, 0.01),
    ):
        future = schedule(*times, ran.append, 1)
        assert timers(executor) == 1
        assert future.cancel()
        assert timers(executor) == 0
        assert future.cancel() and future.cancelled() and future.done()
        assert not future.running()
        with pytest.raises(CancelledError):
            future.result()
    executor.shutdown()
    assert ran == []


@pytest.mark.parametrize("periodic", [False, True])
def test_cancel_in_the_queue(make, hold, periodic):
    executor = make(1)
    executor.submit(hold)
    hold.wait_running()
    ran = []
    if periodic:
        future = executor.schedule_at_fixed_rate(0, 0.01, ran.append, 1)
    else:
        future = executor.schedule(0, ran.append, 1)
    eventually(lambda: executor._engine.queued == 1)
    assert not future.running()
    assert future.cancel() and executor._engine.queued == 0
    hold.let_go.set()
    executor.submit(abs, 1).result(20)
    assert ran == []


def test_cancel_of_a_call_under_way_comes_too_late(executor, hold):
    future = executor.schedule(0, hold, 5)
    hold.wait_running()
    assert future.running() and not future.cancel()
    hold.let_go.set()
    assert future.result(20) == 5
    assert not future.cancel()


@pytest.mark.parametrize("fails", [False, True])
def test_cancel_during_a_run_makes_it_the_last(executor, hold, fails):
    ended = threading.Event()

    def run():
        try:
            hold()
            if fails:
                raise KeyError("nobody hears this")
        finally:
            ended.set()

    future = executor.schedule_at_fixed_rate(0, 0.001, run)
    hold.wait_running()
    assert future.running() and future._state == "RUNNING"
    assert future.cancel() and future.cancelled() and not future.running()
    assert not ended.is_set()
    hold.let_go.set()
    assert ended.wait(20)
    executor.shutdown()
    assert not hold.running.acquire(blocking=False)
    assert future.cancelled()


def test_a_run_can_cancel_its_own_task(executor):
    ran = []
    ready = threading.Event()

    def run():
        ready.wait(20)
        ran.append(1)
        if len(ran) == 3:
            assert future.cancel()

    future = executor.schedule_at_fixed_rate(0, 0.001, run)
    ready.set()
    with pytest.raises(CancelledError):
        future.result(20)
    executor.shutdown()
    assert len(ran) == 3


def test_what_is_cancelled_is_freed_at_once(executor):
    class Argument:
        pass

    for schedule in (
        lambda *a: executor.schedule(LONG, *a),
        lambda *a: executor.schedule_at_fixed_rate(LONG, 1, *a),
    ):
        argument = Argument()
        seen = weakref.ref(argument)
        future = schedule(print, argument)
        del argument
        assert seen() is not None
        future.cancel()
        assert seen() is None
        future = weakref.ref(schedule(print))
        assert future() is not None  # scheduled all the same
        future().cancel()
        assert future() is None


def test_a_hundred_thousand_timers_at_random(make, rng):
    """The heap holds what a model says, and gives its memory back."""
    executor = make(1)
    executor.schedule(LONG, print).cancel()  # starts what it needs
    gc.collect()
    before = sys.getallocatedblocks()
    model = []
    for _ in range(100_000):
        if model and rng.random() < 0.45:
            at = rng.randrange(len(model))
            model[at], model[-1] = model[-1], model[at]
            assert model.pop().cancel()
        elif rng.random() < 0.1:
            model.append(
                executor.schedule_at_fixed_rate(
                    LONG + LONG * rng.random(), 1 + rng.random(), print
                )
            )
        else:
            model.append(executor.schedule(LONG + LONG * rng.random(), print))
        if rng.random() < 0.001:
            assert timers(executor) == len(model)
    assert timers(executor) == len(model) > 5000
    assert not any(future.done() for future in model)
    rng.shuffle(model)
    for future in model:
        assert future.cancel()
    assert timers(executor) == 0
    del model, future
    gc.collect()
    assert sys.getallocatedblocks() - before < 1000


def test_due_ones_among_many_come_out_in_order(make, hold, rng):
    executor = make(1)
    executor.submit(hold)
    hold.wait_running()
    ran = []
    start = time.monotonic()
    pending = {}
    earliest, latest = {}, {}
    for n in range(5000):
        due = start + rng.random() * 0.5
        before = time.monotonic()
        delay = max(0.0, due - before)
        pending[n] = executor.schedule(delay, ran.append, n)
        earliest[n] = before + delay - 1e-6  # what rounding takes away
        latest[n] = time.monotonic() + delay
    kept = []
    for n, future in pending.items():
        if rng.random() < 0.5:
            future.cancel()
        else:
            kept.append(n)
    eventually(lambda: timers(executor) == 0)
    hold.let_go.set()
    futures.wait(pending.values(), 20)
    assert sorted(ran) == [n for n in kept if not pending[n].cancelled()]
    assert len(ran) > 1000
    past = 0.0
    for n in ran:
        assert latest[n] >= past, "it was due before one that ran earlier"
        past = max(past, earliest[n])


# --- how periodic tasks end ------------------------------------------------


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3), StopIteration()])
def test_an_exception_ends_it(executor, error):
    ran = []

    def run():
        ran.append(1)
        if len(ran) == 3:
            raise error

    future = executor.schedule_at_fixed_rate(0, 0.001, run)
    assert future.exception(20) is error
    assert future.done() and not future.cancelled() and not future.cancel()
    time.sleep(0.01)
    assert len(ran) == 3 and timers(executor) == 0
    assert executor.submit(abs, -1).result(20) == 1


def test_results_of_runs_are_let_go_of(executor):
    class Result:
        pass

    seen = []

    def run():
        result = Result()
        seen.append(weakref.ref(result))
        return result

    future = executor.schedule_with_fixed_delay(0, 0.001, run)
    eventually(lambda: len(seen) > 3)
    future.cancel()
    eventually(lambda: all(r() is None for r in seen))


# --- contexts --------------------------------------------------------------


def test_runs_see_the_context_of_the_call(make):
    variable = contextvars.ContextVar("variable", default=0)
    seen = []

    def run():
        seen.append(variable.get())
        variable.set(variable.get() + 1)

    executor = make(1, context=True)
    variable.set(5)
    once = executor.schedule(0.01, variable.get)
    again = executor.schedule_at_fixed_rate(0.01, 0.001, run)
    variable.set(6)
    assert once.result(20) == 5
    eventually(lambda: len(seen) > 3)
    again.cancel()
    assert set(seen) == {5}  # each run has a copy of its own


# --- waiting in the pool ---------------------------------------------------


def test_a_task_can_wait_for_a_timer_of_its_only_thread(make):
    executor = make(1)

    def outer():
        inner = executor.schedule(0.02, threading.get_ident)
        other = executor.schedule(0.01, abs, -1)
        return inner.result() == threading.get_ident(), other.result()

    assert executor.submit(outer).result(20) == (True, 1)


def test_such_a_wait_ends_when_the_timer_is_cancelled(make):
    executor = make(1)
    inner = []

    def outer():
        inner.append(executor.schedule(LONG, abs, 1))
        try:
            inner[0].result()
        except CancelledError:
            return "cancelled"

    future = executor.submit(outer)
    eventually(lambda: inner)
    time.sleep(0.01)
    assert inner[0].cancel()
    assert future.result(20) == "cancelled"


# --- shutdown --------------------------------------------------------------


def test_shutdown_waits_for_what_runs_once(make):
    ticks = Ticks()
    with make(2) as executor:
        once = executor.schedule(0.1, pow, 2, 3)
        again = executor.schedule_at_fixed_rate(0, 0.01, ticks)
        ticks.wait(2)
    assert once.done() and once.result() == 8
    assert again.cancelled()
    count = len(ticks.times)
    time.sleep(0.03)
    assert len(ticks.times) == count
    assert not any(
        t.name.startswith(executor._thread_name_prefix)
        for t in threading.enumerate()
    )


def test_shutdown_with_nothing_scheduled_or_all_cancelled(make):
    make(2).shutdown()
    executor = make(2)
    executor.schedule(LONG, abs, 1).cancel()
    executor.shutdown()
    executor = make(2)
    future = executor.schedule(LONG, abs, 1)
    waiter = threading.Thread(target=executor.shutdown)
    waiter.start()
    time.sleep(0.01)
    assert future.cancel()
    waiter.join(20)
    assert not waiter.is_alive()


def test_shutdown_cancels_if_asked(make):
    executor = make(2)
    pending = [
        executor.schedule(LONG, abs, 1),
        executor.schedule_at_fixed_rate(LONG, 1, abs, 1),
        executor.schedule_with_fixed_delay(0, LONG, abs, 1),
    ]
    executor.shutdown(cancel_futures=True)
    assert all(future.cancelled() for future in pending)
    assert timers(executor) == 0


def test_shutdown_without_waiting(make, hold):
    executor = make(2)
    once = executor.schedule(0.05, pow, 2, 3)
    again = executor.schedule_at_fixed_rate(0, 0.01, hold)
    hold.wait_running()
    executor.shutdown(wait=False)
    assert again.cancelled() and not once.cancelled()
    hold.let_go.set()
    assert once.result(20) == 8
    executor.shutdown()


@pytest.mark.parametrize("scheduled", [False, True])
def test_nothing_is_accepted_after_shutdown(make, scheduled):
    executor = make(2)
    if scheduled:
        executor.schedule(0, abs, 1)
    executor.shutdown()
    now = datetime.datetime.now()
    for call in (
        lambda: executor.schedule(0, abs, 1),
        lambda: executor.schedule_at(now, abs, 1),
        lambda: executor.schedule_at_fixed_rate(0, 1, abs, 1),
        lambda: executor.schedule_with_fixed_delay(0, 1, abs, 1),
        lambda: executor.submit(abs, 1),
    ):
        with pytest.raises(RuntimeError, match="after shutdown"):
            call()


def test_a_run_may_shut_its_executor_down(make):
    executor = make(2)
    ran = []

    def run():
        ran.append(1)
        executor.shutdown(wait=False)

    future = executor.schedule_at_fixed_rate(0, 0.001, run)
    with pytest.raises(CancelledError):
        future.result(20)
    executor.shutdown()
    assert len(ran) == 1


# --- a dropped executor ----------------------------------------------------


def test_what_is_scheduled_keeps_the_executor():
    ticks = Ticks()
    executor = ScheduledThreadPoolExecutor(1, "dropped")
    future = executor.schedule_at_fixed_rate(0, 0.005, ticks)
    seen = weakref.ref(executor)
    del executor
    gc.collect()
    ticks.wait(len(ticks.times) + 3)
    assert seen() is not None
    future.cancel()
    eventually(lambda: seen() is None)
    eventually(
        lambda: not any(
            t.name.startswith("dropped") for t in threading.enumerate()
        )
    )


def test_a_dropped_executor_runs_what_is_scheduled_once():
    executor = ScheduledThreadPoolExecutor(1, "once")
    future = executor.schedule(0.05, pow, 2, 3)
    seen = weakref.ref(executor)
    del executor
    assert future.result(20) == 8
    del future
    eventually(lambda: (gc.collect(), seen())[1] is None)
    eventually(
        lambda: not any(t.name.startswith("once") for t in threading.enumerate())
    )


def test_an_executor_in_a_cycle_is_collected():
    executor = ScheduledThreadPoolExecutor(1)
    future = executor.schedule(LONG, print, executor)
    future.executor = executor
    executor.future = future
    seen = weakref.ref(executor)
    del executor
    gc.collect()
    assert seen() is not None
    future.cancel()
    del future
    eventually(lambda: (gc.collect(), seen())[1] is None)


# --- threads come and go ---------------------------------------------------


def test_idle_threads_end_and_come_back(make):
    executor = make(2, "idle", idle_timeout=0.02)

    def names():
        return {t.name for t in threading.enumerate() if "idle_" in t.name}

    for _ in range(2):
        assert executor.schedule(0.005, pow, 2, 3).result(20) == 8
        eventually(lambda: not names())
    future = executor.schedule(LONG, abs, 1)
    time.sleep(0.06)
    assert names() == {"idle_timers"}  # it is not idle
    future.cancel()


def test_a_failing_initializer_fails_what_is_scheduled(make, caplog):
    executor = make(1, initializer=raise_it, initargs=(KeyError("init"),))
    late = executor.schedule(LONG, abs, 1)
    again = executor.schedule_at_fixed_rate(LONG, 1, abs, 1)
    soon = executor.schedule(0.01, abs, 1)
    for future in (soon, late, again):
        with pytest.raises(futures.BrokenExecutor):
            future.result(20)
    with pytest.raises(futures.BrokenExecutor):
        executor.schedule(1, abs, 1)
    executor.shutdown()


def refuse(*_):
    raise RuntimeError("can't start new thread")


def test_no_thread_for_the_sleeper(make, monkeypatch):
    executor = make(1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="start new thread"):
            executor.schedule(0, abs, 1)
        with pytest.raises(RuntimeError, match="start new thread"):
            executor.schedule_at_fixed_rate(0, 1, abs, 1)
    assert timers(executor) == 0
    assert executor.schedule(0, pow, 2, 3).result(20) == 8


def test_no_thread_for_the_tasks(make, monkeypatch):
    executor = make(1)
    executor.schedule(LONG, abs, 1).cancel()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        once = executor.schedule(0, abs, 1)
        again = executor.schedule_at_fixed_rate(0, 1, abs, 1)
        for future in (once, again):
            with pytest.raises(RuntimeError, match="start new thread"):
                future.result(20)
    assert executor.schedule(0, pow, 2, 3).result(20) == 8
