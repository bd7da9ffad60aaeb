"""Queue, LifoQueue, PriorityQueue: order, size, waiting, tasks, attributes."""

import heapq
import queue
import random
import threading
import types

import pytest

from support.blocking import PATIENCE, Call, blocked_calls
from support.sync import NAN, TOO_LONG

KINDS = ["Queue", "LifoQueue", "PriorityQueue"]


@pytest.fixture
def mod(sync):
    return sync.queue


@pytest.fixture(params=KINDS)
def cls(request, mod):
    return getattr(mod, request.param)


@pytest.fixture
def full(cls):
    """A queue that holds its one item."""
    q = cls(1)
    q.put("held")
    assert q.full()
    return q


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


def test_names_and_exceptions(mod):
    for name in queue.__all__:
        assert hasattr(mod, name), name
        assert name in mod.__all__
        assert name in dir(mod)
    assert mod.Empty is queue.Empty
    assert mod.Full is queue.Full
    assert issubclass(mod.LifoQueue, mod.Queue)
    assert issubclass(mod.PriorityQueue, mod.Queue)


def test_a_queue_type_takes_parameters(cls):
    alias = cls[int]
    assert isinstance(alias, types.GenericAlias)
    assert alias.__origin__ is cls
    assert alias.__args__ == (int,)
    assert filled(alias, [1]).get() == 1


ORDERS = {
    "Queue": lambda items: items,
    "LifoQueue": lambda items: items[::-1],
    "PriorityQueue": sorted,
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_items(mod, kind):
    items = random.Random(1).sample(range(1000), 100)
    q = filled(getattr(mod, kind), items)
    assert drained(q) == ORDERS[kind](items)


def test_the_size_of_a_queue(cls):
    q = cls()
    assert (q.qsize(), q.empty(), q.full()) == (0, True, False)
    for size in range(1, 5):
        assert q.put(size) is None
        assert (q.qsize(), q.empty(), q.full()) == (size, False, False)
    for size in range(3, -1, -1):
        q.get()
        assert (q.qsize(), q.empty()) == (size, size == 0)


@pytest.mark.parametrize("maxsize", [0, -1, -100])
def test_no_limit(cls, maxsize):
    q = cls(maxsize)
    for number in range(200):
        q.put_nowait(number)
    assert not q.full()
    assert q.maxsize == maxsize


def test_put_nowait_takes_a_keyword(cls):
    q = cls()
    q.put_nowait(item=1)
    assert q.get_nowait() == 1
    for arguments, keywords in [((), {}), ((1,), {"item": 1}), ((), {"it": 1})]:
        with pytest.raises(TypeError):
            q.put_nowait(*arguments, **keywords)


@pytest.mark.parametrize("maxsize", [1, 2, 5])
def test_a_limit(mod, cls, maxsize):
    q = cls(maxsize=maxsize)
    assert q.maxsize == maxsize
    for number in range(maxsize):
        assert not q.full()
        q.put(number, False)
    assert q.full()
    with pytest.raises(mod.Full):
        q.put_nowait(0)
    q.get()
    assert not q.full()
    q.put_nowait(0)
    assert q.full()


def test_nothing_to_get(mod, cls):
    q = cls()
    for args in [(False,), (0,), (False, 5), (False, -1), (True, 0), (True, 0.01)]:
        with pytest.raises(mod.Empty):
            q.get(*args)
    with pytest.raises(mod.Empty):
        q.get(block=False, timeout="not looked at")
    with pytest.raises(mod.Empty):
        q.get(timeout=0.01)
    with pytest.raises(mod.Empty):
        q.get_nowait()


def test_no_room_to_put(mod, full):
    for args in [(False,), (0,), (False, 5), (False, -1), (True, 0), (True, 0.01)]:
        with pytest.raises(mod.Full):
            full.put("more", *args)
    with pytest.raises(mod.Full):
        full.put(item="more", block=False, timeout="not looked at")
    with pytest.raises(mod.Full):
        full.put("more", timeout=0.01)
    with pytest.raises(mod.Full):
        full.put_nowait("more")
    assert drained(full) == ["held"]


@pytest.mark.parametrize("timeout", [-1, -0.001, -1e300, float("-inf")])
def test_a_negative_timeout_is_an_error_if_it_counts(cls, full, timeout):
    message = "^'timeout' must be a non-negative number$"
    for q in (cls(), filled(cls, [1])):
        with pytest.raises(ValueError, match=message):
            q.get(timeout=timeout)
    for q in (full, cls(1)):
        with pytest.raises(ValueError, match=message):
            q.put("more", timeout=timeout)
    unlimited = cls()
    unlimited.put("put", timeout=timeout)
    assert drained(unlimited) == ["put"]
    assert drained(full) == ["held"]


def test_a_timeout_out_of_range_overflows_if_it_waits(cls, full):
    for timeout in TOO_LONG:
        with pytest.raises(OverflowError):
            full.put("more", timeout=timeout)
        with pytest.raises(OverflowError):
            cls().get(timeout=timeout)
        cls(1).put("room", timeout=timeout)
        assert filled(cls, ["item"]).get(timeout=timeout) == "item"
    assert drained(full) == ["held"]


def test_a_timeout_that_is_no_number_is_a_type_error(cls, full):
    for timeout in ("1", [], 1.5j):
        for q in (cls(), full):
            with pytest.raises(TypeError):
                q.get(timeout=timeout)
        for q in (cls(1), full):
            with pytest.raises(TypeError):
                q.put("more", timeout=timeout)
        cls().put("not looked at", timeout=timeout)


def test_a_timeout_that_is_not_used_may_be_no_number(cls):
    assert filled(cls, [1]).get(True, NAN) == 1
    cls(1).put(1, True, NAN)


@pytest.mark.parametrize("timeout", [None, 30, 30.5, threading.TIMEOUT_MAX])
def test_get_waits_for_an_item(cls, timeout):
    q = cls()
    waiter = Call(q.get, True, timeout).blocked()
    q.put("late")
    assert waiter.result() == "late"
    assert q.empty()


@pytest.mark.parametrize("timeout", [None, 30, 30.5, threading.TIMEOUT_MAX])
def test_put_waits_for_room(full, timeout):
    waiter = Call(full.put, "late", True, timeout).blocked()
    assert full.qsize() == 1
    assert full.get() == "held"
    assert waiter.result() is None
    assert full.get(timeout=PATIENCE) == "late"


def test_one_item_for_one_waiter(cls):
    q = cls()
    waiters = blocked_calls(3, q.get)
    for number in range(3):
        q.put(number)
    assert sorted(waiter.result() for waiter in waiters) == [0, 1, 2]
    assert q.empty()


def test_who_gave_up_takes_no_item(mod, cls):
    q = cls()
    stays = Call(q.get).blocked()
    with pytest.raises(mod.Empty):
        q.get(timeout=0.01)
    q.put("item")
    assert stays.result() == "item"


def test_every_kind_of_object_is_an_item(mod):
    items = [None, Ellipsis, mod.Queue, NotImplemented, [], {}, mod.Empty()]
    q = filled(mod.Queue, items)
    assert all(q.get() is item for item in items)


def test_task_done_too_often(cls):
    q = cls()
    message = r"^task_done\(\) called too many times$"
    with pytest.raises(ValueError, match=message):
        q.task_done()
    q.put(1)
    assert q.unfinished_tasks == 1
    assert q.task_done() is None
    assert q.unfinished_tasks == 0
    with pytest.raises(ValueError, match=message):
        q.task_done()
    assert q.unfinished_tasks == 0
    assert q.join() is None


def test_join_waits_for_the_last_task(cls):
    q = filled(cls, range(3))
    joins = blocked_calls(2, q.join)
    for _ in range(3):
        q.get()
    for _ in range(2):
        q.task_done()
        for join in joins:
            join.blocked()
    q.task_done()
    for join in joins:
        join.result()


def test_join_waits_again_for_new_tasks(cls):
    q = cls()
    q.join()
    for _ in range(3):
        q.put(1)
        join = Call(q.join).blocked()
        q.get()
        q.task_done()
        join.result()


def test_join_while_workers_work(cls):
    q, done = cls(), []

    def work():
        while (item := q.get()) < 100:
            done.append(item)
            q.task_done()
        q.task_done()

    workers = [Call(work) for _ in range(4)]
    for item in range(100):
        q.put(item)
    Call(q.join).result()
    assert sorted(done) == list(range(100))
    for _ in workers:
        q.put(1000)
    for worker in workers:
        worker.result()
    assert q.unfinished_tasks == 0


def test_equal_priorities_come_as_from_a_heap(mod):
    class Task:
        def __init__(self, priority, number):
            self.priority, self.number = priority, number

        def __lt__(self, other):
            return self.priority < other.priority

    rng = random.Random(2)
    heap, q = [], mod.PriorityQueue()
    for number in range(300):
        task = Task(rng.randrange(4), number)
        heapq.heappush(heap, task)
        q.put(task)
        if rng.random() < 0.4:
            assert q.get() is heapq.heappop(heap)
    assert list(q.queue) == heap
    assert drained(q) == [heapq.heappop(heap) for _ in range(len(heap))]


def test_priorities_with_data(mod):
    q = filled(mod.PriorityQueue, [(2, "b"), (1, "z"), (3, "a"), (1, "y")])
    assert drained(q) == [(1, "y"), (1, "z"), (2, "b"), (3, "a")]


def test_items_that_do_not_compare(mod):
    q = filled(mod.PriorityQueue, [(1, "text")])
    with pytest.raises(TypeError, match="'<' not supported between"):
        q.put((1, 2))
    assert q.unfinished_tasks == 1
    assert not q.mutex.locked()
    assert q.get() == (1, "text")


class Moody:
    """Compares unless told to fail."""

    fails = False

    def __init__(self, value):
        self.value = value

    def __lt__(self, other):
        if Moody.fails:
            raise KeyError("compared")
        return self.value < other.value


@pytest.mark.parametrize("operation", ["put", "get"])
def test_a_comparison_that_raises_leaves_the_other_items(mod, monkeypatch, operation):
    items = [Moody(value) for value in range(20)]
    q = filled(mod.PriorityQueue, items)
    monkeypatch.setattr(Moody, "fails", True)
    with pytest.raises(KeyError, match="compared"):
        q.put(Moody(-1)) if operation == "put" else q.get()
    assert not q.mutex.locked()
    assert q.unfinished_tasks == 20
    monkeypatch.setattr(Moody, "fails", False)
    rest = drained(q)
    assert set(items[1:]) <= set(rest)
    assert len(set(rest)) == len(rest)
    q.put(Moody(5))
    assert q.get().value == 5
