"""Primitives as objects: repr, attributes, subclasses."""

import fractions
import pickle
import threading
from contextlib import suppress

import pytest

from support.blocking import PATIENCE, Call
from support.sync import load_sync, shape

NAMES = ["Condition", "Semaphore", "BoundedSemaphore", "Event", "Barrier"]
QUEUES = ["Queue", "LifoQueue", "PriorityQueue"]


def new(sync, name):
    if name in NAMES:
        cls = getattr(sync.threading, name)
        return cls(2) if name == "Barrier" else cls()
    return getattr(sync.queue, name)()


def condition_over_lock(sync):
    return sync.threading.Condition(sync.threading.Lock())


def waited_for(sync):
    condition = condition_over_lock(sync)

    def wait():
        with condition:
            condition.wait()

    Call(wait).blocked()
    return condition


def held_condition(sync):
    condition = condition_over_lock(sync)
    condition.acquire()
    return condition


def set_event(sync):
    event = sync.threading.Event()
    event.set()
    return event


def broken_barrier(sync):
    barrier = sync.threading.Barrier(2)
    barrier.abort()
    return barrier


def waited_for_barrier(sync):
    barrier = sync.threading.Barrier(3)
    Call(barrier.wait).blocked()
    return barrier


def used_semaphore(sync, name="Semaphore"):
    semaphore = getattr(sync.threading, name)(3)
    semaphore.acquire()
    return semaphore


def held_lock(sync):
    lock = sync.threading.Lock()
    lock.acquire()
    return lock


def twice_held_lock(sync):
    lock = sync.threading.RLock()
    lock.acquire()
    lock.acquire()
    return lock


REPRS = {
    "event": lambda sync: sync.threading.Event(),
    "set event": set_event,
    "semaphore": lambda sync: sync.threading.Semaphore(3),
    "used semaphore": used_semaphore,
    "bounded semaphore": lambda sync: sync.threading.BoundedSemaphore(3),
    "used bounded semaphore": lambda sync: used_semaphore(sync, "BoundedSemaphore"),
    "barrier": lambda sync: sync.threading.Barrier(2),
    "broken barrier": broken_barrier,
    "barrier with a waiter": waited_for_barrier,
    "condition": lambda sync: sync.threading.Condition(),
    "condition over a lock": condition_over_lock,
    "condition that is held": held_condition,
    "condition with a waiter": waited_for,
    "lock": lambda sync: sync.threading.Lock(),
    "held lock": held_lock,
    "recursive lock": lambda sync: sync.threading.RLock(),
    "recursive lock held twice": twice_held_lock,
    "queue": lambda sync: sync.queue.Queue(),
    "stack": lambda sync: sync.queue.LifoQueue(),
    "heap": lambda sync: sync.queue.PriorityQueue(),
    "simple queue": lambda sync: sync.queue.SimpleQueue(),
    "thread": lambda sync: sync.threading.Thread(name="named", daemon=True),
    "timer": lambda sync: sync.threading.Timer(1, print).__class__,
}


@pytest.mark.parametrize("kind", REPRS)
def test_the_repr_is_the_usual_one(sync, kind):
    expected = REPRS[kind](load_sync("stdlib"))
    assert shape(repr(REPRS[kind](sync))) == shape(repr(expected))


def test_some_reprs_in_full(sync):
    assert shape(repr(sync.threading.Event())) == "<Event at 0x: unset>"
    assert shape(repr(set_event(sync))) == "<Event at 0x: set>"
    assert shape(repr(used_semaphore(sync))) == "<Semaphore at 0x: value=2>"
    assert (
        shape(repr(used_semaphore(sync, "BoundedSemaphore")))
        == "<BoundedSemaphore at 0x: value=2/3>"
    )
    assert shape(repr(broken_barrier(sync))) == "<Barrier at 0x: broken>"
    assert shape(repr(waited_for_barrier(sync))) == "<Barrier at 0x: waiters=1/3>"
    assert shape(repr(waited_for(sync))).endswith(", 1)>")
    assert f"0x{id(event := set_event(sync)):x}" in repr(event)


@pytest.mark.parametrize("name", ["Semaphore", "BoundedSemaphore", "Event", "Barrier"])
def test_the_repr_names_the_subclass(sync, name):
    class Special(getattr(sync.threading, name)):
        pass

    primitive = Special(2) if name == "Barrier" else Special()
    assert repr(primitive).startswith(f"<{__name__}.{Special.__qualname__} at 0x")


@pytest.mark.parametrize("name", [*NAMES, *QUEUES])
def test_any_attribute_may_be_added(sync, name):
    primitive = new(sync, name)
    primitive.anything = [1]
    assert primitive.anything == [1]
    assert vars(primitive)["anything"] == [1]
    del primitive.anything
    assert not hasattr(primitive, "anything")


@pytest.mark.parametrize("name", [*NAMES, *QUEUES])
def test_primitives_are_true_and_equal_to_themselves(sync, name):
    one, two = new(sync, name), new(sync, name)
    assert one
    assert one == one
    assert one != two
    assert len({one, two, one}) == 2
    with pytest.raises(TypeError):
        one < two  # noqa: B015


@pytest.mark.parametrize("name", [*NAMES, *QUEUES])
def test_a_subclass_with_another_signature(sync, name):
    module = sync.threading if name in NAMES else sync.queue
    args = (2,) if name == "Barrier" else ()

    class Sub(getattr(module, name)):
        kind = "sub"

        def __init__(self, label, *, option=None):
            super().__init__(*args)
            self.label, self.option = label, option

    primitive = Sub("label", option=3)
    assert (primitive.kind, primitive.label, primitive.option) == ("sub", "label", 3)
    assert isinstance(primitive, getattr(module, name))
    with pytest.raises(TypeError):
        Sub()
    with pytest.raises(TypeError):
        Sub("label", wrong=1)


@pytest.mark.parametrize("name", [*NAMES, *QUEUES])
def test_a_subclass_beside_another_class(sync, name):
    module = sync.threading if name in NAMES else sync.queue

    class Mixin:
        def mixed_in(self):
            return "mixed in"

    class Sub(Mixin, getattr(module, name)):
        pass

    primitive = Sub(2) if name == "Barrier" else Sub()
    assert primitive.mixed_in() == "mixed in"


@pytest.mark.parametrize(
    "name, call",
    [
        ("Condition", lambda o: o.wait(0)),
        ("Condition", lambda o: o.notify_all()),
        ("Condition", lambda o: o.acquire()),
        ("Condition", repr),
        ("Semaphore", lambda o: o.acquire(False)),
        ("Semaphore", lambda o: o.release()),
        ("Semaphore", repr),
        ("BoundedSemaphore", lambda o: o.release()),
        ("BoundedSemaphore", repr),
        ("Event", lambda o: o.set()),
        ("Event", lambda o: o.wait(0)),
        ("Event", repr),
        ("Barrier", lambda o: o.wait(0)),
        ("Barrier", lambda o: o.abort()),
        ("Barrier", lambda o: o.n_waiting),
        ("Queue", lambda o: o.put_nowait(1)),
        ("Queue", lambda o: o.get_nowait()),
        ("Queue", lambda o: o.mutex),
        ("Queue", lambda o: o.queue),
        ("PriorityQueue", lambda o: o.put_nowait(1)),
        ("LifoQueue", lambda o: o.task_done()),
    ],
)
def test_a_subclass_that_forgets_to_initialize_does_no_harm(sync, name, call):
    module = sync.threading if name in NAMES else sync.queue

    class Forgetful(getattr(module, name)):
        def __init__(self):
            pass

    with suppress(Exception):
        call(Forgetful())


def test_a_second_initialization_does_no_harm(sync):
    for name in [*NAMES, *QUEUES]:
        primitive = new(sync, name)
        primitive.__init__(*((2,) if name == "Barrier" else ()))
    event = set_event(sync)
    event.__init__()
    assert event.is_set() is False


def test_a_failed_second_initialization_of_a_condition(sync):
    condition = condition_over_lock(sync)
    with pytest.raises(AttributeError):
        condition.__init__(object())
    assert condition.acquire() is True
    condition.release()
    condition.__init__(lock := sync.threading.Lock())
    with condition:
        assert lock.locked()
        assert condition.wait(0) is False
        condition.notify_all()


@pytest.mark.parametrize("name", [*NAMES, *QUEUES])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_primitives_cannot_be_pickled(sync, name, protocol):
    errors = (TypeError, pickle.PicklingError)
    with pytest.raises(TypeError if sync.name == "pyconc" else errors):
        pickle.dumps(new(sync, name), protocol)


@pytest.mark.parametrize("name", QUEUES)
def test_the_mutex_of_a_queue_may_be_replaced(sync, name):
    q = new(sync, name)
    q.mutex = mutex = sync.threading.RLock()
    assert q.mutex is mutex
    with mutex:
        asking = Call(q.qsize).blocked()
    assert asking.result() == 0
    q.put(1)
    assert q.get_nowait() == 1


@pytest.mark.parametrize("name", QUEUES)
def test_a_condition_of_a_queue_may_be_replaced(sync, name):
    log = []

    class Logging(sync.threading.Condition):
        def notify(self, n=1):
            log.append(n)
            super().notify(n)

    q = new(sync, name)
    q.not_empty = condition = Logging(q.mutex)
    assert q.not_empty is condition
    getter = Call(q.get).blocked()
    q.put("item")
    assert getter.result() == "item"
    assert log == [1]


def test_the_timeouts_of_a_queue_may_be_fractions(sync):
    timeout = fractions.Fraction(1, 100)
    q = sync.queue.Queue(1)
    with pytest.raises(sync.queue.Empty):
        q.get(timeout=timeout)
    q.put("item", timeout=timeout)
    with pytest.raises(sync.queue.Full):
        q.put("more", timeout=timeout)
    assert q.get(timeout=timeout) == "item"
    getter = Call(q.get, timeout=timeout * 100 * PATIENCE).blocked()
    q.put("next")
    assert getter.result() == "next"


def test_overridden_methods_of_a_condition_are_used(sync):
    log = []

    class Logging(sync.threading.Condition):
        def wait(self, timeout=None):
            log.append(("wait", timeout))
            return super().wait(0)

        def notify(self, n=1):
            log.append(("notify", n))
            super().notify(n)

        def notify_all(self):
            log.append("notify_all")
            super().notify_all()

    condition = Logging()
    values = [0, 0, 1]
    with condition:
        assert condition.wait_for(lambda: values.pop(0)) == 1
        condition.notify_all()
        with pytest.warns(DeprecationWarning):
            condition.notifyAll()
    assert log == [
        ("wait", None),
        ("wait", None),
        "notify_all",
        ("notify", 0),
        "notify_all",
        ("notify", 0),
    ]


def test_the_old_name_of_is_set_uses_the_new_one(sync):
    class Always(sync.threading.Event):
        def is_set(self):
            return "always"

    with pytest.warns(DeprecationWarning):
        assert Always().isSet() == "always"


def test_a_semaphore_that_logs(sync):
    log = []

    class Logging(sync.threading.Semaphore):
        def acquire(self, blocking=True, timeout=None):
            log.append("acquire")
            return super().acquire(blocking, timeout)

        def release(self, n=1):
            log.append("release")
            super().release(n)

    semaphore = Logging(2)
    semaphore.acquire()
    with semaphore:
        pass
    semaphore.release()
    assert log == ["acquire", "release", "release"]
    assert semaphore.acquire(False)


def test_a_barrier_that_counts_its_rounds(sync):
    class Counting(sync.threading.Barrier):
        def __init__(self, parties):
            self.rounds = 0
            super().__init__(parties, action=self.count)

        def count(self):
            self.rounds += 1

    barrier = Counting(2)
    for _ in range(5):
        other = Call(barrier.wait)
        barrier.wait()
        other.result()
    assert barrier.rounds == 5


def test_a_condition_that_is_also_a_container(sync):
    class Mailbox(sync.threading.Condition):
        def __init__(self):
            super().__init__(sync.threading.Lock())
            self.mail = []

        def send(self, letter):
            with self:
                self.mail.append(letter)
                self.notify()

        def receive(self):
            with self:
                self.wait_for(lambda: self.mail)
                return self.mail.pop(0)

    mailbox = Mailbox()
    receiver = Call(mailbox.receive).blocked()
    mailbox.send("letter")
    assert receiver.result() == "letter"


def test_a_recursive_lock_of_ones_own_class(sync):
    class Lock(type(sync.threading.RLock())):
        def __init__(self):
            self.name = "own"

    lock = Lock()
    with sync.threading.Condition(lock) as entered:
        assert entered is True
        assert lock.name == "own"
        assert threading.Condition(lock).notify_all() is None
