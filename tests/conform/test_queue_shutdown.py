"""shutdown() of queues, as Python has it since 3.13."""

import queue

import pytest

from support.blocking import PATIENCE, Call, at_once, blocked_calls
from support.sync import HAS_SHUTDOWN, with_shutdown

pytestmark = with_shutdown
KINDS = ["Queue", "LifoQueue", "PriorityQueue"]


@pytest.fixture
def mod(sync):
    return sync.queue


@pytest.fixture(params=KINDS)
def cls(request, mod):
    return getattr(mod, request.param)


def filled(cls, items, maxsize=0):
    q = cls(maxsize)
    for item in items:
        q.put(item)
    return q


def assert_closed_for_put(mod, q):
    for args in [(), (False,), (True, 0), (True, 0.01), (True, -1)]:
        with pytest.raises(mod.ShutDown):
            q.put("more", *args)
    with pytest.raises(mod.ShutDown):
        q.put_nowait("more")


def assert_closed_for_get(mod, q):
    for args in [(), (False,), (True, 0), (True, 0.01), (True, -1)]:
        with pytest.raises(mod.ShutDown):
            q.get(*args)
    with pytest.raises(mod.ShutDown):
        q.get_nowait()


def test_the_exception(mod):
    assert mod.ShutDown.__name__ == "ShutDown"
    assert mod.ShutDown.__mro__[1] is Exception
    assert not issubclass(mod.ShutDown, (mod.Empty, mod.Full))
    if HAS_SHUTDOWN:
        assert mod.ShutDown is queue.ShutDown


def test_a_queue_knows_whether_it_is_shut_down(cls):
    q = cls()
    assert q.is_shutdown is False
    assert q.shutdown() is None
    assert q.is_shutdown is True


@pytest.mark.parametrize("immediate", [False, True])
def test_an_empty_queue_is_closed_at_once(mod, cls, immediate):
    q = cls(2)
    q.shutdown(immediate)
    assert_closed_for_put(mod, q)
    assert_closed_for_get(mod, q)
    q.join()
    assert (q.qsize(), q.empty(), q.full()) == (0, True, False)


def test_what_is_in_the_queue_can_still_be_had(mod, cls):
    q = filled(cls, range(5), 5)
    q.shutdown()
    assert_closed_for_put(mod, q)
    assert q.qsize() == 5
    assert q.full()
    found = [q.get(), q.get_nowait(), q.get(False), q.get(True, 1)]
    found.append(q.get(timeout=0))
    assert sorted(found) == list(range(5))
    assert_closed_for_get(mod, q)
    assert_closed_for_put(mod, q)


def test_an_immediate_shutdown_drops_the_items(mod, cls):
    q = filled(cls, range(5), 5)
    q.shutdown(immediate=True)
    assert q.qsize() == 0
    assert q.unfinished_tasks == 0
    assert_closed_for_put(mod, q)
    assert_closed_for_get(mod, q)
    q.join()


def test_shutdown_twice(mod, cls):
    q = filled(cls, range(3))
    q.shutdown()
    q.shutdown()
    assert q.qsize() == 3
    q.shutdown(immediate=True)
    assert q.qsize() == 0
    q.shutdown()
    q.shutdown(immediate=True)
    assert_closed_for_get(mod, q)
    q.join()


@pytest.mark.parametrize("immediate", [False, True])
@pytest.mark.parametrize("timeout", [None, PATIENCE])
def test_shutdown_wakes_every_get(mod, cls, immediate, timeout):
    q = cls()
    getters = blocked_calls(3, q.get, True, timeout)
    q.shutdown(immediate)
    assert {type(getter.ended()) for getter in getters} == {mod.ShutDown}


@pytest.mark.parametrize("immediate", [False, True])
@pytest.mark.parametrize("timeout", [None, PATIENCE])
def test_shutdown_wakes_every_put(mod, cls, immediate, timeout):
    q = filled(cls, ["held"], 1)
    putters = blocked_calls(3, q.put, "more", True, timeout)
    q.shutdown(immediate)
    assert {type(putter.ended()) for putter in putters} == {mod.ShutDown}
    assert q.qsize() == (0 if immediate else 1)
    assert q.unfinished_tasks == (0 if immediate else 1)


def test_a_put_that_was_woken_for_shutdown_is_not_made_up_for(mod, cls):
    q = filled(cls, ["held"], 1)
    putter = Call(q.put, "late").blocked()
    q.shutdown()
    assert type(putter.ended()) is mod.ShutDown
    assert q.get() == "held"
    assert_closed_for_get(mod, q)


def test_join_goes_on_waiting_for_what_can_be_had(cls):
    q = filled(cls, [1, 2])
    join = Call(q.join).blocked()
    q.shutdown()
    join.blocked()
    for _ in range(2):
        q.get()
        q.task_done()
    join.result()


def test_an_immediate_shutdown_ends_join(cls):
    q = filled(cls, [1, 2])
    joins = blocked_calls(2, q.join)
    q.shutdown(immediate=True)
    for join in joins:
        join.result()


def test_tasks_that_were_taken_are_still_waited_for(cls):
    q = filled(cls, [1, 2, 3])
    q.get()
    join = Call(q.join).blocked()
    q.shutdown(immediate=True)
    assert q.unfinished_tasks == 1
    join.blocked()
    q.task_done()
    join.result()
    with pytest.raises(ValueError):
        q.task_done()


def test_task_done_after_shutdown(cls):
    q = filled(cls, [1])
    q.get()
    q.shutdown()
    q.task_done()
    with pytest.raises(ValueError):
        q.task_done()
    q.join()


def test_a_negative_timeout_while_there_are_items(cls):
    q = filled(cls, [1])
    q.shutdown()
    with pytest.raises(ValueError):
        q.get(timeout=-1)
    assert q.get() == 1


def test_an_immediate_shutdown_takes_what_the_override_has(mod):
    class Stack(mod.Queue):
        def _init(self, maxsize):
            self.items = []
            self.taken = []

        def _qsize(self):
            return len(self.items)

        def _put(self, item):
            self.items.append(item)

        def _get(self):
            self.taken.append(self.items.pop())
            return self.taken[-1]

    q = Stack()
    for item in "abc":
        q.put(item)
    q.shutdown(immediate=True)
    assert q.taken == ["c", "b", "a"]
    assert q.unfinished_tasks == 0
    assert_closed_for_get(mod, q)


def test_queues_are_shut_down_one_by_one(mod, cls):
    left, right = cls(), cls()
    left.shutdown()
    right.put(1)
    assert right.get() == 1
    assert right.is_shutdown is False


def test_consumers_end_when_all_is_done(mod, cls):
    q = cls(3)
    found = []

    def consume():
        try:
            while True:
                found.append(q.get())
                q.task_done()
        except mod.ShutDown:
            return "ended"

    consumers = [Call(consume) for _ in range(4)]
    for item in range(200):
        q.put(item, timeout=PATIENCE)
    q.shutdown()
    q.join()
    assert [consumer.result() for consumer in consumers] == ["ended"] * 4
    assert sorted(found) == list(range(200))


def test_what_put_accepted_is_got_by_somebody(mod, cls):
    q = cls(2)
    accepted, found = [], []

    def run(index):
        try:
            if index == 0:
                while len(found) < 50:
                    found.append(q.get(timeout=PATIENCE))
                q.shutdown()
            while index % 2 == 0:
                found.append(q.get(timeout=PATIENCE))
            number = 0
            while True:
                q.put((index, number), timeout=PATIENCE)
                accepted.append((index, number))
                number += 1
        except mod.ShutDown:
            pass

    at_once(6, run)
    assert sorted(found) == sorted(accepted)
