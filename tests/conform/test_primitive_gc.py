"""Garbage collection, weak references, copying and pickling of primitives."""

import copy
import functools
import gc
import pickle
import weakref

import pytest

from support.blocking import Call

MAKE = {
    "Condition": lambda sync, cls=None: (cls or sync.threading.Condition)(),
    "Semaphore": lambda sync, cls=None: (cls or sync.threading.Semaphore)(2),
    "BoundedSemaphore": lambda sync, cls=None: (cls or sync.threading.BoundedSemaphore)(
        2
    ),
    "Event": lambda sync, cls=None: (cls or sync.threading.Event)(),
    "Barrier": lambda sync, cls=None: (cls or sync.threading.Barrier)(2),
    "Queue": lambda sync, cls=None: (cls or sync.queue.Queue)(),
    "LifoQueue": lambda sync, cls=None: (cls or sync.queue.LifoQueue)(),
    "PriorityQueue": lambda sync, cls=None: (cls or sync.queue.PriorityQueue)(),
    "SimpleQueue": lambda sync, cls=None: (cls or sync.queue.SimpleQueue)(),
}
BARE = ["Lock", "RLock"]
WITH_DICT = [name for name in MAKE if name != "SimpleQueue"]
QUEUES = [name for name in MAKE if name.endswith("Queue")]


class Canary:
    """Dies with what it is part of."""

    def __lt__(self, other):
        return False


def make(sync, name):
    if name in BARE:
        return getattr(sync.threading, name)()
    return MAKE[name](sync)


def assert_collected(references):
    gc.collect()
    assert [reference() for reference in references] == [None] * len(references)


@pytest.mark.parametrize("name", [*MAKE, *BARE])
def test_weak_references(sync, name):
    primitive = make(sync, name)
    seen = []
    reference = weakref.ref(primitive, lambda _: seen.append("gone"))
    assert reference() is primitive
    del primitive
    gc.collect()
    assert reference() is None
    assert seen == ["gone"]


@pytest.mark.parametrize("name", [*MAKE, *BARE])
def test_pickling_is_a_type_error(sync, name):
    primitive = make(sync, name)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="pickle"):
            pickle.dumps(primitive, protocol)


@pytest.mark.parametrize("name", [*MAKE, *BARE])
def test_a_deep_copy_is_a_type_error(sync, name):
    with pytest.raises(TypeError, match="pickle"):
        copy.deepcopy(make(sync, name))


@pytest.mark.parametrize("name", [*BARE, "SimpleQueue"])
def test_a_shallow_copy_of_some_is_a_type_error(sync, name):
    with pytest.raises(TypeError, match="pickle"):
        copy.copy(make(sync, name))


@pytest.mark.parametrize("name", WITH_DICT)
def test_a_cycle_through_an_attribute(sync, name):
    primitive, canary = make(sync, name), Canary()
    primitive.canary = canary
    canary.primitive = primitive
    references = [weakref.ref(primitive), weakref.ref(canary)]
    del primitive, canary
    assert_collected(references)


@pytest.mark.parametrize("name", WITH_DICT)
def test_a_cycle_through_the_dict(sync, name):
    primitive = make(sync, name)
    vars(primitive)["itself"] = primitive
    references = [weakref.ref(primitive)]
    del primitive
    assert_collected(references)


@pytest.mark.parametrize("name", MAKE)
def test_a_cycle_through_a_subclass(sync, name):
    module = sync.queue if name in QUEUES else sync.threading

    class Sub(getattr(module, name)):
        pass

    primitive = MAKE[name](sync, Sub)
    primitive.itself = primitive
    references = [weakref.ref(primitive), weakref.ref(Sub)]
    del primitive, Sub
    assert_collected(references)


@pytest.mark.parametrize("name", QUEUES)
def test_a_cycle_through_items(sync, name):
    q, canaries = make(sync, name), [Canary() for _ in range(5)]
    for canary in canaries:
        canary.q = q
        q.put(canary)
    q.get()
    references = [weakref.ref(q), *map(weakref.ref, canaries)]
    del q, canaries, canary
    assert_collected(references)


@pytest.mark.parametrize("name", QUEUES)
def test_a_queue_in_itself(sync, name):
    q = make(sync, name)
    q.put(q)
    references = [weakref.ref(q)]
    del q
    assert_collected(references)


@pytest.mark.parametrize("name", QUEUES)
def test_items_die_with_their_queue(sync, name):
    q, canaries = make(sync, name), [Canary() for _ in range(5)]
    for canary in canaries:
        q.put(canary)
    references = [*map(weakref.ref, canaries)]
    del q, canaries, canary
    assert_collected(references)


@pytest.mark.parametrize("name", QUEUES)
def test_a_queue_holds_nothing_that_was_got(sync, name):
    q, canary = make(sync, name), Canary()
    q.put(canary)
    reference = weakref.ref(canary)
    del canary
    q.get()
    assert_collected([reference])
    assert q.empty()


def test_a_cycle_through_the_lock_of_a_condition(sync):
    class Lock:
        def acquire(self, blocking=True):
            return True

        def release(self):
            pass

    lock = Lock()
    lock.condition = sync.threading.Condition(lock)
    references = [weakref.ref(lock), weakref.ref(lock.condition)]
    del lock
    assert_collected(references)


def test_a_cycle_through_the_action_of_a_barrier(sync):
    class Round:
        def __init__(self):
            self.barrier = sync.threading.Barrier(1, action=self.action)

        def action(self):
            self.ran = True

    one = Round()
    one.barrier.wait()
    assert one.ran
    references = [weakref.ref(one), weakref.ref(one.barrier)]
    del one
    assert_collected(references)


def test_a_cycle_through_a_hook_of_a_queue(sync):
    q, canary = sync.queue.Queue(), Canary()
    q._put = functools.partial(type(q)._put, q)
    q.put(canary)
    references = [weakref.ref(q), weakref.ref(canary)]
    del q, canary
    assert_collected(references)


def test_a_cycle_through_a_condition_of_a_queue(sync):
    q = sync.queue.Queue()
    q.not_empty.q = q
    references = [weakref.ref(q)]
    del q
    assert_collected(references)


def test_the_attributes_of_a_queue_outlive_it(sync):
    q = sync.queue.Queue()
    q.put(1)
    mutex, not_empty, items = q.mutex, q.not_empty, q.queue
    del q
    gc.collect()
    with not_empty:
        assert mutex.locked()
        not_empty.notify_all()
    assert list(items) == [1]


def test_a_thread_that_waits_keeps_the_object(sync):
    event = sync.threading.Event()
    reference = weakref.ref(event)
    waiter = Call(event.wait).blocked()
    del event
    gc.collect()
    reference().set()
    assert waiter.result() is True


def test_waits_leave_nothing_behind(sync):
    primitives = [make(sync, name) for name in MAKE]
    condition, semaphore, _, event, barrier, *queues = primitives
    for _ in range(3):
        with condition:
            condition.wait(0.001)
        event.wait(0.001)
        semaphore.acquire(timeout=0.001)
        with pytest.raises(sync.threading.BrokenBarrierError):
            barrier.wait(0.001)
        for q in queues:
            with pytest.raises(sync.queue.Empty):
                q.get(timeout=0.001)
    references = [*map(weakref.ref, primitives)]
    del primitives, condition, semaphore, _, event, barrier, queues, q
    assert_collected(references)
