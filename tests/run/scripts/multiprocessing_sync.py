"""Locks and the like between processes; argument: the start method."""

import multiprocessing
import multiprocessing.synchronize
import pickle
import sys
import threading
import time

import parts
from tour import attempt, refuse, run, section, show

METHOD = sys.argv[1]


def in_thread(function, *args, **kwds):
    results = []

    def body():
        try:
            results.append(function(*args, **kwds))
        except Exception as error:
            results.append(f"{type(error).__name__}: {error}")

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    return results[0]


def increment(lock, counter, times):
    for _ in range(times):
        with lock:
            counter.value += 1


def look(results, lock, rlock, semaphore, bounded, condition, event, barrier):
    """Use what the parent holds or waits for."""
    results.put(("lock", lock.acquire(block=False), lock.acquire(timeout=0.01)))
    results.put(("rlock", rlock.acquire(False), rlock.acquire(True, 0)))
    try:
        rlock.release()
    except AssertionError as error:
        results.put(("release", str(error)))
    results.put(("semaphore", [semaphore.acquire(False) for _ in range(3)]))
    results.put(("bounded", bounded.release()))
    results.put(("event", event.wait(20), event.is_set()))
    with condition:
        results.put(("condition", condition.notify_all()))
    results.put(("barrier", barrier.wait(20) in (0, 1)))
    try:
        barrier.wait(20)
    except threading.BrokenBarrierError as error:
        results.put(("barrier", type(error).__name__, barrier.broken))


def work(lock, counter, results, *shared):
    increment(lock, counter, 50)
    look(results, *shared)


@section()
def between_processes():
    lock = multiprocessing.Lock()
    counter = multiprocessing.Value("i", 0, lock=False)
    results = multiprocessing.SimpleQueue()
    held, owned = multiprocessing.Lock(), multiprocessing.RLock()
    semaphore = multiprocessing.Semaphore(2)
    bounded = multiprocessing.BoundedSemaphore(2)
    condition = multiprocessing.Condition()
    event = multiprocessing.Event()
    barrier = multiprocessing.Barrier(2)
    held.acquire()
    owned.acquire()
    bounded.acquire()
    shared = (held, owned, semaphore, bounded, condition, event, barrier)
    p = multiprocessing.Process(target=work, args=(lock, counter, results, *shared))
    with condition:
        p.start()
        increment(lock, counter, 50)
        event.set()
        show("notified", condition.wait(20))
    show("barrier", barrier.wait(20) in (0, 1))
    while not barrier.n_waiting:
        time.sleep(0.001)
    barrier.abort()
    p.join()
    while not results.empty():
        show(*results.get())
    show("counter", counter.value, p.exitcode)
    show("released by the child", bounded.acquire(), bounded.acquire(False))
    show("semaphore", semaphore.acquire(False), held.release(), owned.release())


@section("Lock")
def lock():
    a = multiprocessing.Lock()
    show("type", type(a).__name__, isinstance(a, multiprocessing.synchronize.Lock), a)
    show("acquire", a.acquire(), a.acquire(block=False), a.acquire(False), a)
    show("in time", a.acquire(timeout=0.01), a.acquire(True, 0), a.acquire(True, -1))
    show("release", a.release(), a)
    refuse("release", a.release)
    with a as entered:
        show("with", entered, in_thread(a.acquire, block=False))
    show("other thread", a.acquire(block=True, timeout=None), in_thread(a.release), a)
    refuse("pickling", pickle.dumps, a)
    attempt("unknown argument", multiprocessing.Lock, bogus=1)
    if sys.version_info >= (3, 14):
        show("locked", a.locked())


@section("RLock")
def rlock():
    a = multiprocessing.RLock()
    show("type", type(a).__name__, a)
    show("acquire", a.acquire(), a.acquire(block=False), a.acquire(timeout=1), a)
    show("elsewhere", in_thread(a.acquire, block=False))
    show("elsewhere", in_thread(a.release))
    show("release", a.release(), a.release(), a.release(), a)
    refuse("release", a.release)
    with a, a as entered:
        show("with", entered, a)


@section("Semaphore")
def semaphore():
    s = multiprocessing.Semaphore(value=2)
    show("type", type(s).__name__, s)
    show("acquire", s.acquire(), s.acquire(block=True), s.acquire(block=False))
    show("in time", s.acquire(timeout=0.01), s.get_value())
    show("release", s.release(), s.release(), s.release(), s.get_value(), s)
    with s as entered:
        show("with", entered, s.get_value())
    attempt("value", multiprocessing.Semaphore, -1)
    show("default", multiprocessing.Semaphore())


@section("BoundedSemaphore")
def bounded_semaphore():
    s = multiprocessing.BoundedSemaphore(value=2)
    show("type", type(s).__name__, s)
    refuse("release", s.release)
    show("acquire", s.acquire(), s.acquire(block=False), s.acquire(timeout=0.01))
    show("release", s.release(), s.get_value(), s)
    with s:
        show("with", s.get_value())
    show("default", multiprocessing.BoundedSemaphore())


@section("Condition")
def condition():
    for given in (None, multiprocessing.Lock(), multiprocessing.RLock()):
        c = multiprocessing.Condition(lock=given)
        show("type", type(c).__name__)
        refuse("wait", c.wait)
        refuse("notify", c.notify)
        refuse("notify_all", c.notify_all)
        show("acquire", c.acquire(), in_thread(c.acquire, block=False))
        show("wait", c.wait(timeout=0.01), c.wait(0))
        show("wait_for", c.wait_for(lambda: [], timeout=0.01), c.wait_for(lambda: 7))
        show("notify", c.notify(), c.notify(n=2), c.notify_all())
        show("release", c.release())
        with c as entered:
            show("with", entered)
    show("repr", repr(c).startswith("<Condition(<RLock("))
    waits, outcomes = [], []

    def wait():
        with c:
            waits.append(1)
            outcomes.append(c.wait(20))

    threads = [threading.Thread(target=wait) for _ in range(2)]
    for thread in threads:
        thread.start()
    while True:
        with c:
            if len(waits) == 2:
                c.notify_all()
                break
        time.sleep(0.001)
    for thread in threads:
        thread.join()
    show("woken", outcomes)


@section("Event")
def event():
    e = multiprocessing.Event()
    show("type", type(e).__name__, e.is_set())
    show("wait", e.wait(timeout=0.01), e.wait(0))
    show("set", e.set(), e.is_set(), e.wait(), e.wait(5))
    show("clear", e.clear(), e.is_set())


@section("Barrier")
def barrier():
    calls = []
    b = multiprocessing.Barrier(2, action=lambda: calls.append(1), timeout=20)
    show("type", type(b).__name__, b.parties, b.n_waiting, b.broken)
    indices = []
    thread = threading.Thread(target=lambda: indices.append(b.wait()))
    thread.start()
    indices.append(b.wait(timeout=20))
    thread.join()
    show("indices", sorted(indices), calls)
    refuse("in time", b.wait, timeout=0.01)
    refuse("broken", b.wait)
    show("reset", b.reset(), b.broken, b.abort(), b.broken)


@section()
def of_a_context():
    context = multiprocessing.get_context(METHOD)
    for make in (context.Lock, context.RLock, context.Semaphore, context.Event):
        show(make.__name__, type(make()).__name__)
    for make in (context.BoundedSemaphore, context.Condition):
        show(make.__name__, type(make()).__name__)
    show("Barrier", type(context.Barrier(1)).__name__)


if __name__ == "__main__":
    multiprocessing.set_start_method(METHOD)
    run(
        [],
        classes={
            name: getattr(multiprocessing.synchronize, name)
            for name in parts.NAMES["sync"]
        },
        functions=parts.names("sync"),
    )
