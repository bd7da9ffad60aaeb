"""Subclasses of the queues that keep their items in another way."""

import collections
import heapq
from unittest import mock

import pytest

from support.blocking import PATIENCE, Call, at_once
from support.sync import only_pyconc

KINDS = ["Queue", "LifoQueue", "PriorityQueue"]


@pytest.fixture
def mod(sync):
    return sync.queue


@pytest.fixture(params=KINDS)
def cls(request, mod):
    return getattr(mod, request.param)


def drained(q):
    items = []
    while q.qsize():
        items.append(q.get_nowait())
    return items


@pytest.fixture
def SetQueue(mod):
    class SetQueue(mod.Queue):
        def _init(self, maxsize):
            self.queue = set()

        def _put(self, item):
            self.queue.add(item)

        def _get(self):
            return self.queue.pop()

    return SetQueue


def test_a_queue_over_a_set(mod, SetQueue):
    q = SetQueue(2)
    for item in "aabab":
        q.put(item, timeout=PATIENCE) if q.qsize() < 2 else None
    assert q.queue == {"a", "b"}
    with pytest.raises(mod.Full):
        q.put_nowait("c")
    assert sorted(drained(q)) == ["a", "b"]
    with pytest.raises(mod.Empty):
        q.get_nowait()


def test_a_put_that_adds_nothing_counts_as_a_task(SetQueue):
    q = SetQueue()
    for item in "aaa":
        q.put(item)
    assert q.qsize() == 1
    assert q.unfinished_tasks == 3


def test_a_waiting_get_of_a_queue_over_a_set(SetQueue):
    q = SetQueue()
    getter = Call(q.get).blocked()
    q.put("item")
    assert getter.result() == "item"


def test_a_queue_that_knows_what_it_has_seen(mod):
    class Unique(mod.Queue):
        def _init(self, maxsize):
            super()._init(maxsize)
            self.seen = set()

        def _put(self, item):
            if item not in self.seen:
                self.seen.add(item)
                super()._put(item)

    q = Unique()
    for item in "abacab":
        q.put(item)
    assert drained(q) == ["a", "b", "c"]
    q.put("a")
    assert q.empty()


def test_a_get_is_not_woken_for_good_by_a_put_that_adds_nothing(mod):
    class Ignores(mod.Queue):
        def _put(self, item):
            if item is not None:
                super()._put(item)

    q = Ignores()
    getter = Call(q.get).blocked()
    q.put(None)
    getter.blocked()
    q.put("something")
    assert getter.result() == "something"


def test_a_ring_that_forgets_the_oldest(mod):
    class Ring(mod.Queue):
        def __init__(self, length):
            self.length = length
            super().__init__()

        def _init(self, maxsize):
            self.queue = collections.deque(maxlen=self.length)

    ring = Ring(3)
    for item in range(10):
        ring.put(item)
    assert ring.qsize() == 3
    assert drained(ring) == [7, 8, 9]


def test_a_priority_by_key(mod):
    class Keyed(mod.PriorityQueue):
        def __init__(self, key, maxsize=0):
            self.key = key
            self.count = 0
            super().__init__(maxsize)

        def _put(self, item):
            self.count += 1
            super()._put((self.key(item), self.count, item))

        def _get(self):
            return super()._get()[2]

    q = Keyed(len)
    for word in ("three", "a", "of", "b", "to"):
        q.put(word)
    assert drained(q) == ["a", "b", "of", "to", "three"]


def test_a_heap_of_ones_own(mod):
    class Largest(mod.Queue):
        def _init(self, maxsize):
            self.heap = []

        def _qsize(self):
            return len(self.heap)

        def _put(self, item):
            heapq.heappush(self.heap, -item)

        def _get(self):
            return -heapq.heappop(self.heap)

    q = Largest(5)
    for item in (3, 1, 4, 1, 5):
        q.put_nowait(item)
    assert q.full()
    assert not q.empty()
    assert drained(q) == [5, 4, 3, 1, 1]
    assert q.empty()


def test_the_size_is_what_the_override_says(mod, cls):
    class Weighed(cls):
        weight = 0

        def _qsize(self):
            return self.weight

    q = Weighed(10)
    q.put("a")
    assert q.empty()
    with pytest.raises(mod.Empty):
        q.get_nowait()
    q.weight = 10
    assert q.qsize() == 10
    assert q.full()
    with pytest.raises(mod.Full):
        q.put_nowait("b")
    assert q.get_nowait() == "a"


def test_overrides_are_called_with_the_mutex(cls):
    log = []

    class Logging(cls):
        def _init(self, maxsize):
            log.append(("init", maxsize, self.maxsize))
            super()._init(maxsize)

        def _qsize(self):
            log.append(("qsize", self.mutex.locked()))
            return super()._qsize()

        def _put(self, item):
            log.append(("put", self.mutex.locked()))
            super()._put(item)

        def _get(self):
            log.append(("get", self.mutex.locked()))
            return super()._get()

    q = Logging(3)
    assert log == [("init", 3, 3)]
    q.put(1)
    q.get()
    q.full()
    assert set(log[1:]) == {("qsize", True), ("put", True), ("get", True)}


def test_other_threads_wait_while_an_override_runs(cls):
    class Slow(cls):
        def _put(self, item):
            others.append(Call(self.qsize).blocked())
            super()._put(item)

    others = []
    q = Slow()
    q.put(1)
    assert others[0].result() == 1


@pytest.mark.parametrize("method", ["put", "get"])
def test_an_override_that_raises(cls, method):
    class Failing(cls):
        fails = False

        def _put(self, item):
            if self.fails:
                raise KeyError("override")
            super()._put(item)

        def _get(self):
            if self.fails:
                raise KeyError("override")
            return super()._get()

    q = Failing()
    q.put(1)
    q.fails = True
    with pytest.raises(KeyError, match="override"):
        q.put(2) if method == "put" else q.get()
    assert not q.mutex.locked()
    assert q.unfinished_tasks == 1
    q.fails = False
    assert drained(q) == [1]


def test_a_size_that_raises(cls):
    class Failing(cls):
        def _qsize(self):
            raise KeyError("size")

    q = Failing(1)
    for call in (q.qsize, q.empty, q.full, q.get, q.get_nowait):
        with pytest.raises(KeyError):
            call()
        assert not q.mutex.locked()
    with pytest.raises(KeyError):
        q.put(1)
    assert q.unfinished_tasks == 0


def test_the_nowait_methods_call_put_and_get(cls):
    log = []

    class Logging(cls):
        def put(self, item, block=True, timeout=None):
            log.append(("put", block, timeout))
            return super().put(item, block, timeout)

        def get(self, block=True, timeout=None):
            log.append(("get", block, timeout))
            return super().get(block, timeout)

    q = Logging()
    q.put_nowait(1)
    assert q.get_nowait() == 1
    assert log == [("put", False, None), ("get", False, None)]


def test_the_nowait_methods_pass_block_by_keyword(cls):
    class ByPriority(cls):
        def put(self, item, priority=5, block=True, timeout=None):
            super().put((priority, item), block, timeout)

        def get(self, *, block=True, timeout=None):
            return super().get(block, timeout)

    q = ByPriority()
    q.put_nowait("item")
    assert q.get_nowait() == (5, "item")


def test_the_nowait_methods_and_keyword_only_parameters(mod, cls):
    class KeywordOnly(cls):
        def put(self, item, *, block=True, timeout=None):
            super().put(item, block, timeout)

        def get(self, unused="unused", /, *, block=True, timeout=None):
            return super().get(block, timeout)

    q = KeywordOnly(1)
    q.put_nowait("item")
    with pytest.raises(mod.Full):
        q.put_nowait("more")
    assert q.get_nowait() == "item"
    with pytest.raises(mod.Empty):
        q.get_nowait()


@only_pyconc
def test_put_many_and_get_many_call_put_and_get(cls):
    class Wrapping(cls):
        def put(self, item, block=True, timeout=None):
            super().put(("put", item), block, timeout)

        def get(self, block=True, timeout=None):
            return "got", super().get(block, timeout)

    q = Wrapping()
    q.put_many("a")
    q.put_many(iter("b"), timeout=PATIENCE)
    assert q.unfinished_tasks == 2
    found = []
    while len(found) < 2:
        found += q.get_many(5, timeout=PATIENCE)
    assert sorted(found) == [("got", ("put", "a")), ("got", ("put", "b"))]


@only_pyconc
@pytest.mark.parametrize("method", ["put", "get"])
def test_put_many_and_get_many_call_the_one_that_is_overridden(cls, method):
    log = []

    def logging(self, *args, **kwds):
        log.append(method)
        return getattr(cls, method)(self, *args, **kwds)

    q = type("Logging", (cls,), {method: logging})()
    q.put_many([1])
    assert q.get_many(1) == [1]
    assert log == [method]


def test_the_hooks_may_be_called_under_the_mutex(cls):
    q = cls(3)
    q.put(1)
    with q.mutex:
        assert q._qsize() == 1
        q._put(2)
        assert q._qsize() == 2
        q.unfinished_tasks += 1
        q.not_empty.notify()
        first = q._get()
        q.not_full.notify()
    assert sorted([first, *drained(q)]) == [1, 2]


def test_a_hook_of_one_object(mod):
    q = mod.Queue()
    q._put = lambda item: q.queue.appendleft(item)
    for item in "abc":
        q.put(item)
    assert drained(q) == ["c", "b", "a"]


def test_a_hook_that_is_patched_in_the_class(mod):
    def put(self, item):
        self.queue.append(("patched", item))

    before = mod.Queue()
    with mock.patch.object(mod.Queue, "_put", put):
        q = mod.Queue()
        q.put(1)
        assert q.get(timeout=PATIENCE) == ("patched", 1)
    for q in (before, mod.Queue()):
        q.put(1)
        assert q.get_nowait() == 1


def test_the_items_may_be_set_before_the_initialization(cls):
    class Early(cls):
        def __init__(self):
            self.queue = collections.deque(["gone"])
            super().__init__()

    q = Early()
    assert q.empty()
    q.put(1)
    assert q.get_nowait() == 1


def test_names_that_a_subclass_may_have_for_itself(cls):
    """The stdlib has none of them, so they are free."""

    class Task(cls):
        _kind = "task"
        _overrides = "none"

        def _await(self):
            return "await"

        def _offer(self):
            return "offer"

        def _awaiter(self):
            return "awaiter"

    q = Task(1)
    getter = Call(q.get).blocked()
    q.put(1)
    assert getter.result() == 1
    assert not q.mutex.locked()
    q.put(2)
    putter = Call(q.put, 3).blocked()
    assert q.get() == 2
    putter.result()
    assert (q._kind, q._overrides) == ("task", "none")
    assert (q._await(), q._offer(), q._awaiter()) == ("await", "offer", "awaiter")


def test_a_name_of_ones_own_and_a_hook(cls):
    class Numbered(cls):
        _kind = 1

        def _put(self, item):
            super()._put((self._kind, item))

    q = Numbered()
    q.put("item")
    assert q.get_nowait() == (1, "item")


def test_attributes_of_a_subclass(cls):
    class Named(cls):
        kind = "named"

        def __init__(self, name, *items):
            super().__init__(maxsize=len(items))
            self.name = name
            for item in items:
                self.put(item)

        def __len__(self):
            return self.qsize()

    q = Named("numbers", 1, 2, 3)
    assert (q.kind, q.name, len(q), q.maxsize) == ("named", "numbers", 3, 3)
    q.anything = "else"
    assert vars(q)["anything"] == "else"
    assert isinstance(q, cls)


def test_closing_a_queue_with_a_sentinel_for_all(mod):
    class Closable(mod.Queue):
        END = object()

        def close(self):
            self.put(self.END)

        def __iter__(self):
            while (item := self.get()) is not self.END:
                yield item
                self.task_done()
            self.put(self.END)

    q = Closable()
    consumers = [Call(list, q) for _ in range(3)]
    for item in range(50):
        q.put(item)
    q.close()
    found = [item for consumer in consumers for item in consumer.result()]
    assert sorted(found) == list(range(50))


def test_overrides_under_contention(SetQueue):
    q = SetQueue(5)

    def run(index):
        if index % 2:
            return [q.get(timeout=PATIENCE) for _ in range(100)]
        for number in range(100):
            q.put((index, number), timeout=PATIENCE)
        return []

    found = [item for items in at_once(6, run) for item in items]
    assert len(found) == len(set(found)) == 300
    assert q.empty()
