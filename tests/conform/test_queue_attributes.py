"""The attributes of queues that users reach for, and what they do there."""

import collections
import heapq

import pytest

from support.blocking import PATIENCE, Call

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


def drained(q):
    items = []
    while not q.empty():
        items.append(q.get_nowait())
    return items


def test_the_items_are_in_the_attribute_queue(mod):
    assert type(mod.Queue().queue) is collections.deque
    assert type(mod.LifoQueue().queue) is list
    assert type(mod.PriorityQueue().queue) is list
    q = filled(mod.Queue, "abc")
    assert list(q.queue) == ["a", "b", "c"]
    assert len(q.queue) == 3
    assert q.queue[0] == "a"
    assert q.queue[-1] == "c"
    assert "b" in q.queue
    assert [item.upper() for item in q.queue] == ["A", "B", "C"]
    assert filled(mod.LifoQueue, "abc").queue == ["a", "b", "c"]
    assert filled(mod.PriorityQueue, "cab").queue[0] == "a"


def test_the_items_may_be_cleared_under_the_mutex(cls):
    q = filled(cls, range(5), 5)
    with q.mutex:
        q.queue.clear()
    assert q.empty()
    assert q.qsize() == 0
    q.put_nowait(7)
    assert drained(q) == [7]
    assert q.unfinished_tasks == 6


def test_the_items_and_the_tasks_may_be_cleared(cls):
    q = filled(cls, range(5))
    join = Call(q.join).blocked()
    with q.mutex:
        q.queue.clear()
        q.all_tasks_done.notify_all()
        q.unfinished_tasks = 0
    join.result()
    q.put(1)
    assert q.unfinished_tasks == 1


def test_an_item_may_be_put_in_front(mod):
    q = mod.Queue()
    getter = Call(q.get).blocked()
    with q.mutex:
        q.queue.appendleft("first")
        q.unfinished_tasks += 1
        q.not_empty.notify()
    assert getter.result() == "first"
    q.put("b")
    with q.not_empty:
        q.queue.appendleft("a")
    assert drained(q) == ["a", "b"]


def test_an_item_may_be_taken_from_the_middle(mod):
    q = filled(mod.Queue, "abc", 3)
    putter = Call(q.put, "d").blocked()
    with q.not_full:
        q.queue.remove("b")
        q.not_full.notify()
    putter.result()
    assert drained(q) == ["a", "c", "d"]


def test_the_items_may_be_replaced(mod):
    q = filled(mod.Queue, "abc")
    with q.mutex:
        q.queue = collections.deque("xy")
    assert q.qsize() == 2
    q.put("z")
    assert drained(q) == ["x", "y", "z"]


def test_a_heap_may_be_sorted_and_changed(mod):
    q = filled(mod.PriorityQueue, [5, 3, 8, 1])
    with q.mutex:
        q.queue[:] = [item for item in q.queue if item != 3]
        heapq.heapify(q.queue)
        heapq.heappush(q.queue, 2)
    assert drained(q) == [1, 2, 5, 8]


def test_the_mutex_stops_everybody(cls):
    full = filled(cls, ["held"], 1)
    with full.mutex:
        assert full.mutex.locked()
        calls = [
            Call(full.get).blocked(),
            Call(full.put, "more").blocked(),
            Call(full.qsize).blocked(),
        ]
    for call in calls:
        call.result()
    assert not full.mutex.locked()


def test_the_conditions_share_the_mutex(cls):
    q = cls()
    for condition in (q.not_empty, q.not_full, q.all_tasks_done):
        with condition:
            assert q.mutex.locked()
            assert condition.acquire(False) is False
        assert not q.mutex.locked()
        assert q.mutex.acquire(False) is True
        condition.notify_all()
        q.mutex.release()


def test_users_may_wait_on_the_conditions(cls):
    q = filled(cls, [1])

    def wait(condition, predicate):
        with condition:
            while not predicate():
                condition.wait()

    done = Call(wait, q.all_tasks_done, lambda: not q.unfinished_tasks).blocked()
    q.get()
    q.task_done()
    done.result()
    filled_again = Call(wait, q.not_empty, lambda: q._qsize()).blocked()
    q.put(2)
    filled_again.result()


def test_join_with_a_timeout_by_hand(cls):
    q = filled(cls, [1])
    with q.all_tasks_done:
        assert q.all_tasks_done.wait_for(lambda: not q.unfinished_tasks, 0.01) is False
    q.get()
    q.task_done()
    with q.all_tasks_done:
        assert q.all_tasks_done.wait_for(lambda: not q.unfinished_tasks, PATIENCE)


def test_the_limit_may_be_changed(mod, cls):
    q = filled(cls, [1, 2], 2)
    putter = Call(q.put, 3).blocked()
    with q.mutex:
        q.maxsize = 4
        q.not_full.notify_all()
    putter.result()
    q.put_nowait(4)
    assert q.full()
    q.maxsize = 2
    with pytest.raises(mod.Full):
        q.put_nowait(5)
    q.maxsize = 0
    assert not q.full()
    q.put_nowait(5)
    assert q.qsize() == 5
