"""SimpleQueue: unbounded, and safe to put into from anywhere."""

import gc
import signal
import sys
import threading
import time
import types

import pytest

from support.blocking import PATIENCE, Call, at_once, blocked_calls, signal_main
from support.sync import NAN, NO_TIMEOUT, TOO_LONG


@pytest.fixture
def mod(sync):
    return sync.queue


@pytest.fixture
def q(mod):
    return mod.SimpleQueue()


def drained(q):
    items = []
    while not q.empty():
        items.append(q.get_nowait())
    return items


def test_items_come_in_the_order_they_went(q):
    for item in range(1000):
        q.put(item)
    assert drained(q) == list(range(1000))


def test_the_order_while_the_queue_grows_and_shrinks(q):
    found = []
    for item in range(500):
        q.put(2 * item)
        q.put(2 * item + 1)
        found.append(q.get())
    assert found + drained(q) == list(range(1000))


def test_the_size(q):
    assert q.qsize() == 0
    assert q.empty() is True
    for size in range(1, 4):
        assert q.put("item") is None
        assert q.qsize() == size
        assert q.empty() is False
    for size in (2, 1, 0):
        q.get()
        assert q.qsize() == size
    assert q.empty() is True


def test_put_ignores_block_and_timeout(q):
    q.put(1, False)
    q.put(2, True, 0)
    q.put(3, True, -1)
    q.put(4, block=False, timeout="not looked at")
    q.put(item=5)
    q.put_nowait(6)
    q.put_nowait(item=7)
    assert drained(q) == [1, 2, 3, 4, 5, 6, 7]


def test_nothing_to_get(mod, q):
    for args in [(False,), (0,), (False, 5), (False, -1), (True, 0), (True, 0.01)]:
        with pytest.raises(mod.Empty):
            q.get(*args)
    with pytest.raises(mod.Empty):
        q.get(block=False, timeout="not looked at")
    with pytest.raises(mod.Empty):
        q.get(timeout=0.01)
    with pytest.raises(mod.Empty):
        q.get_nowait()


@pytest.mark.parametrize("timeout", [-1, -0.5])
def test_a_negative_timeout_is_an_error(q, timeout):
    message = "^'timeout' must be a non-negative number$"
    with pytest.raises(ValueError, match=message):
        q.get(timeout=timeout)
    q.put(1)
    with pytest.raises(ValueError, match=message):
        q.get(timeout=timeout)
    assert drained(q) == [1]


@pytest.mark.parametrize(
    "error, timeouts",
    [(OverflowError, TOO_LONG), (TypeError, NO_TIMEOUT), (ValueError, [NAN])],
)
def test_wrong_timeouts(q, error, timeouts):
    for timeout in timeouts:
        with pytest.raises(error):
            q.get(timeout=timeout)
    q.put(1)
    assert q.get() == 1


@pytest.mark.parametrize("timeout", [None, 30, 30.5, threading.TIMEOUT_MAX])
def test_get_waits_for_an_item(q, timeout):
    getter = Call(q.get, True, timeout).blocked()
    q.put("late")
    assert getter.result() == "late"
    assert q.empty()


def test_one_item_for_one_waiter(q):
    getters = blocked_calls(4, q.get)
    for item in range(4):
        q.put(item)
    assert sorted(getter.result() for getter in getters) == [0, 1, 2, 3]
    assert q.empty()


def test_who_gave_up_takes_no_item(mod, q):
    stays = Call(q.get).blocked()
    with pytest.raises(mod.Empty):
        q.get(timeout=0.01)
    q.put("item")
    assert stays.result() == "item"


def test_it_takes_no_arguments(mod):
    with pytest.raises(TypeError):
        mod.SimpleQueue(1)
    with pytest.raises(TypeError):
        mod.SimpleQueue(maxsize=1)


def test_it_is_no_queue_with_tasks(mod, q):
    assert not isinstance(q, mod.Queue)
    for name in ("task_done", "join", "full", "maxsize", "mutex"):
        assert not hasattr(q, name)


def test_the_type_takes_parameters(mod):
    alias = mod.SimpleQueue[int]
    assert isinstance(alias, types.GenericAlias)
    assert alias.__origin__ is mod.SimpleQueue
    assert alias.__args__ == (int,)
    q = alias()
    q.put(1)
    assert q.get() == 1


def test_every_kind_of_object_is_an_item(mod, q):
    items = [None, NotImplemented, [], q, mod.Empty(), mod.Empty]
    for item in items:
        q.put(item)
    assert all(q.get() is item for item in items)


def test_items_are_let_go_when_they_are_got(q):
    item = object()
    before = sys.getrefcount(item)
    for _ in range(10):
        q.put(item)
    assert sys.getrefcount(item) == before + 10
    drained(q)
    assert sys.getrefcount(item) == before
    q.put(item)
    del q


def test_items_are_let_go_with_the_queue(mod):
    item = object()
    before = sys.getrefcount(item)
    q = mod.SimpleQueue()
    for _ in range(10):
        q.put(item)
    q.get()
    del q
    gc.collect()
    assert sys.getrefcount(item) == before


class PutsWhenItGoes:
    def __init__(self, q, item):
        self.q, self.item = q, item

    def __del__(self):
        self.q.put(self.item)


def test_a_finalizer_may_put(q):
    getter = Call(q.get).blocked()
    mortal = PutsWhenItGoes(q, "put by a finalizer")
    del mortal
    gc.collect()
    assert getter.result() == "put by a finalizer"


def test_a_finalizer_of_an_item_may_put(q):
    q.put(PutsWhenItGoes(q, "last words"))
    q.get()
    gc.collect()
    assert drained(q) == ["last words"]


def test_finalizers_may_put_in_the_middle_of_put_and_get(q):
    thresholds = gc.get_threshold()
    count = 500
    gc.set_threshold(3)
    try:
        found = []
        for number in range(count):
            mortal = PutsWhenItGoes(q, ("finalizer", number))
            mortal.itself = mortal
            del mortal
            q.put(("main", number))
            found.append(q.get())
        gc.collect()
    finally:
        gc.set_threshold(*thresholds)
    found += drained(q)
    expected = [(who, n) for who in ("finalizer", "main") for n in range(count)]
    assert sorted(found) == expected
    assert [n for who, n in found if who == "main"] == list(range(count))


def test_a_handler_may_put_in_the_middle_of_put_and_get(q):
    handled, found, sent = [], [], []

    def handler(_signal, _frame):
        handled.append(len(handled))
        q.put(("handler", handled[-1]))

    def send():
        for _ in range(200):
            signal_main()
            time.sleep(0.0002)

    before = signal.signal(signal.SIGUSR1, handler)
    sender = Call(send)
    try:
        while sender.is_alive():
            q.put(("main", len(sent)))
            sent.append(len(sent))
            found.append(q.get())
    finally:
        sender.result()
        signal.signal(signal.SIGUSR1, before)
    found += drained(q)
    assert handled
    for who, numbers in (("handler", handled), ("main", sent)):
        assert [n for w, n in found if w == who] == numbers


@pytest.mark.parametrize("producers, consumers", [(1, 1), (4, 1), (1, 4), (4, 4)])
def test_nothing_is_lost_and_nothing_comes_twice(q, producers, consumers):
    count = 1000

    def run(index):
        if index < producers:
            for number in range(count):
                q.put((index, number))
            return []
        share = producers * count // consumers
        return [q.get(timeout=PATIENCE) for _ in range(share)]

    lists = at_once(producers + consumers, run)
    found = [item for items in lists for item in items]
    assert sorted(found) == [(p, n) for p in range(producers) for n in range(count)]
    for items in lists:
        for producer in range(producers):
            numbers = [n for p, n in items if p == producer]
            assert numbers == sorted(numbers)
    assert q.empty()


def test_a_subclass_with_more_to_it(mod):
    class Counting(mod.SimpleQueue):
        kind = "counting"

        def __init__(self, name):
            super().__init__()
            self.name, self.count = name, 0

        def put(self, item):
            self.count += 1
            super().put(item)

    q = Counting("mine")
    q.put("a")
    q.put("b")
    assert (q.kind, q.name, q.count, q.qsize()) == ("counting", "mine", 2, 2)
    assert q.get() == "a"


def test_it_has_no_attributes_of_its_own(q):
    with pytest.raises(AttributeError):
        q.anything = 1
