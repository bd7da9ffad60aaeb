"""Primitives and queues whose users interfere at a bad moment.

Code of the user's runs inside of a call, of a wait, or while another thread
is in the middle of one: a handler forks, a comparison or a conversion of a
number uses the very object, an object is made anew.
"""

import os
import signal
from contextlib import suppress

import pytest

from pyconc import queue, threading
from support.blocking import PATIENCE, Call, signal_main, when_main_sleeps
from support.children import in_forked_child
from support.polling import eventually
from support.sync import load_sync
from support.waits import WAITS


class Interrupted(Exception):
    """Raised by the handler."""


class Number:
    """A number that runs code when it is asked for its value."""

    def __init__(self, action, value=PATIENCE):
        self.action, self.value = action, value

    def __index__(self):
        self.action()
        return self.value


class Truth:
    """Something true that runs code when it is asked."""

    def __init__(self, action):
        self.action = action

    def __bool__(self):
        self.action()
        return True


class Comparing:
    """Items whose comparisons run code, if it is switched on."""

    def __init__(self, action):
        self.action, self.is_on = action, False

    def item(self):
        class Item:
            def __lt__(item, other):
                if self.is_on:
                    self.is_on = False
                    self.action()
                return False

        return Item()


@pytest.fixture
def gated():
    """Comparisons of which the next one stops in the middle, and its gate."""
    inside, go = threading.Event(), threading.Event()

    def stop():
        inside.set()
        assert go.wait(PATIENCE)

    comparing = Comparing(stop)
    comparing.inside, comparing.go = inside, go
    yield comparing
    go.set()


def heap_of(comparing, count=5):
    q = queue.PriorityQueue()
    for _ in range(count):
        q.put(comparing.item())
    return q


def comparing_put(q, gated):
    """Start a put() that is now in the middle of a comparison."""
    gated.is_on = True
    call = Call(q.put, gated.item())
    assert gated.inside.wait(PATIENCE)
    return call


# --- fork --------------------------------------------------------------------

# The wake of a thread is its end, and that of a barrier waits itself.
FORK_WAITS = [cls for cls in WAITS if cls.__name__ not in ("ThreadJoin", "BarrierWait")]


@pytest.mark.parametrize("first", ["wake", "fork"])
@pytest.mark.parametrize("wait_cls", FORK_WAITS, ids=lambda cls: cls.__name__)
def test_a_handler_that_wakes_and_forks(handle, wait_cls, first):
    """Both processes go on with the wait, and both were woken."""
    wait, pids = wait_cls(load_sync("pyconc")), []

    def handler(*_):
        if first == "wake":
            wait.wake()
        pids.append(os.fork())
        if first == "fork":
            wait.wake()
        if pids == [0]:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(15)

    handle(handler)
    helper = when_main_sleeps(signal_main)
    woken = False
    try:
        woken = wait.block()
    finally:
        if pids == [0]:
            os._exit(0 if woken else 1)
    helper.result()
    assert woken
    assert os.waitstatus_to_exitcode(os.waitpid(pids[0], 0)[1]) == 0


def test_a_fork_while_another_thread_compares(gated):
    """The child has no such thread, but a new one may have its ident."""
    q = heap_of(gated)
    putter = comparing_put(q, gated)

    def child():
        Call(q.put, gated.item(), timeout=10).result()
        q.put(gated.item(), timeout=10)
        return len([q.get(timeout=10) for _ in range(q.qsize())])

    text, code = in_forked_child(child)
    assert code == 0, text
    assert int(text) == 7
    gated.go.set()
    putter.result()
    assert q.qsize() == 6


# --- made anew ---------------------------------------------------------------


@pytest.mark.parametrize("lock", [object(), 5, "lock"], ids=lambda x: type(x).__name__)
def test_a_condition_that_could_not_be_made_anew_is_as_before(lock):
    mine = threading.Lock()
    condition = threading.Condition(mine)
    with pytest.raises(AttributeError):
        condition.__init__(lock)
    with condition:
        assert mine.locked()
        assert condition.wait(0) is False
        condition.notify_all()
    assert condition.acquire() is True
    assert mine.locked()
    condition.release()
    assert not mine.locked()


def test_a_condition_that_could_not_be_made_anew_keeps_its_waiters():
    condition = threading.Condition()

    def wait():
        with condition:
            return condition.wait(PATIENCE)

    waiter = Call(wait).blocked()
    with pytest.raises(AttributeError):
        condition.__init__(object())
    with condition:
        condition.notify()
    assert waiter.result() is True


@pytest.mark.parametrize("waits", [False, True])
def test_a_condition_is_made_anew_while_a_thread_enters_it(waits):
    """That thread has the old lock and releases the new one."""
    old, new = threading.Lock(), threading.Lock()
    condition = threading.Condition(old)

    def use():
        with condition:
            if waits:
                condition.wait(0)

    old.acquire()
    user = Call(use).blocked()
    condition.__init__(new)
    del new
    garbage = [threading.Lock() for _ in range(1000)]
    old.release()
    assert type(user.ended()) is RuntimeError
    assert not any(lock.locked() for lock in garbage)
    with condition:
        condition.notify_all()


@pytest.mark.parametrize("call", ["put", "get"])
def test_a_comparison_may_not_make_its_queue_anew(call):
    comparing = Comparing(lambda: q.__init__())
    q = heap_of(comparing, 20)
    comparing.is_on = True
    with pytest.raises(RuntimeError):
        q.put(comparing.item()) if call == "put" else q.get()
    assert not comparing.is_on
    assert q.qsize() == 20
    q.put(comparing.item())
    assert len([q.get() for _ in range(q.qsize())]) == 21


def test_making_a_queue_anew_waits_for_a_comparison(gated):
    q = heap_of(gated)
    putter = comparing_put(q, gated)
    maker = Call(q.__init__).blocked()
    gated.go.set()
    assert putter.ended() is None
    assert maker.ended() is None
    assert q.qsize() == 0
    q.put(1)
    assert q.get_nowait() == 1


# --- conversions that run code -----------------------------------------------


def test_a_timeout_that_shuts_the_queue_down():
    q = queue.Queue(3)
    with pytest.raises(queue.ShutDown):
        q.put(1, timeout=Number(q.shutdown))
    assert q.qsize() == q.unfinished_tasks == 0
    q = queue.Queue()
    with pytest.raises(queue.ShutDown):
        q.get(timeout=Number(q.shutdown))


def test_a_truth_that_shuts_the_queue_down():
    q = queue.Queue()
    with pytest.raises(queue.ShutDown):
        q.get(Truth(q.shutdown))
    q = queue.Queue(1)
    q.put(1)
    with pytest.raises(queue.ShutDown):
        q.put(2, Truth(q.shutdown))
    assert q.qsize() == 1


def test_a_timeout_that_fills_or_empties_the_queue():
    q = queue.Queue(1)
    with pytest.raises(queue.Full):
        q.put("late", timeout=Number(lambda: q.qsize() or q.put("first"), 0))
    with pytest.raises(queue.Empty):
        q.get(timeout=Number(lambda: q.qsize() and q.get(), 0))
    q.put("next", timeout=Number(lambda: None))
    assert q.get(timeout=Number(lambda: None)) == "next"


def test_a_truth_that_opens_the_queue():
    q = queue.Queue(1)
    q.put("item", Truth(lambda: q.mutex), PATIENCE)
    assert not q.mutex.locked()
    q = queue.Queue(1)
    q.put("item")
    assert q.get(Truth(lambda: q.mutex), PATIENCE) == "item"
    assert not q.mutex.locked()


def test_another_thread_compares_since_a_timeout_was_converted(gated):
    """The put has to wait for it; it is not a use in a comparison."""
    q, putters = heap_of(gated), []
    q.maxsize = 100

    def let_another_compare():
        if not putters:
            putters.append(comparing_put(q, gated))

    helper = when_main_sleeps(gated.go.set)
    q.put(gated.item(), timeout=Number(let_another_compare))
    helper.result()
    putters[0].result()
    assert q.qsize() == 7


def test_others_come_to_a_barrier_while_a_timeout_is_converted():
    barrier, others, counts = threading.Barrier(3), [], []

    def let_another_come():
        if not others:
            others.append(Call(barrier.wait, PATIENCE).blocked())
        counts.append(barrier.n_waiting)

    calls = [Call(barrier.wait, Number(let_another_come))]
    eventually(lambda: barrier.n_waiting == 2)
    calls[0].blocked()
    assert set(counts) == {1}
    assert barrier.n_waiting == 2
    calls += [*others, Call(barrier.wait)]
    assert sorted(call.result() for call in calls) == [0, 1, 2]
    assert barrier.n_waiting == 0
    assert barrier.broken is False


def test_a_timeout_of_a_barrier_that_raises():
    barrier, others = threading.Barrier(2), []

    def fail():
        others.append(Call(barrier.wait, PATIENCE).blocked())
        raise KeyError("timeout")

    with pytest.raises(KeyError, match="timeout"):
        barrier.wait(Number(fail))
    assert barrier.n_waiting == 1
    assert barrier.broken is False
    assert sorted([barrier.wait(), others[0].result()]) == [0, 1]


# --- what a queue gets from its class ----------------------------------------


@pytest.mark.parametrize(
    "answer", [None, 1, (), (1, 2, 3), [1, 2, 3, 4], (1, 2, 3, 4, 5), {}], ids=repr
)
def test_a_class_that_makes_no_conditions(answer):
    class Wrong(queue.Queue):
        def _pyconc_make_conditions(self):
            return answer

    q = Wrong()
    for _ in range(2):
        with pytest.raises(TypeError):
            _ = q.mutex
    q.put(1)
    assert q.get_nowait() == 1


def test_a_class_that_fails_to_make_conditions():
    class Failing(queue.Queue):
        def _pyconc_make_conditions(self):
            raise KeyError("conditions")

    q = Failing()
    with pytest.raises(KeyError, match="conditions"):
        _ = q.not_empty
    q.put(1)
    assert q.get_nowait() == 1


def test_a_class_whose_conditions_are_of_no_use():
    class Wrong(queue.Queue):
        def _pyconc_make_conditions(self):
            return 1, 2, 3, 4

    q = Wrong()
    with suppress(TypeError):
        _ = q.mutex
    for call in (lambda: q.put(1), q.get_nowait, q.qsize, q.join, q.shutdown):
        with suppress(TypeError):
            call()


# --- exceptions of signal handlers -------------------------------------------


def raise_interrupted(_signal, _frame):
    raise Interrupted


def notify_and_keep(condition):
    condition.acquire()
    condition.notify()


def test_two_exceptions_end_a_wait_for_a_lock_that_stays_held(handle):
    """The first is not enough: leaving `with condition` releases the lock."""
    handle(raise_interrupted)
    lock = threading.Lock()
    condition = threading.Condition(lock)
    condition.acquire()
    helper = when_main_sleeps(
        lambda: notify_and_keep(condition), signal_main, signal_main
    )
    with pytest.raises(Interrupted):
        condition.wait()
    helper.result()
    assert lock.locked()
    lock.release()
    with condition:
        assert condition.wait(0) is False


def test_one_exception_waits_for_the_lock(handle):
    handle(raise_interrupted)
    lock = threading.Lock()
    condition = threading.Condition(lock)
    helper = when_main_sleeps(
        lambda: notify_and_keep(condition), signal_main, lock.release
    )
    with condition:
        with pytest.raises(Interrupted):
            condition.wait()
        assert lock.locked()
    helper.result()
    assert not lock.locked()
