"""Programs that derive classes of their own; argument: the start method."""

import collections
import concurrent.futures
import heapq
import itertools
import multiprocessing
import multiprocessing.context
import multiprocessing.managers
import multiprocessing.pool
import queue
import sys
import threading
import time
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor

from tour import attempt, refuse, run, section, show

METHOD = sys.argv[1]


def square(n):
    return n * n


def nested(n):
    with multiprocessing.Pool(1) as pool:
        return pool.map(square, [n, n + 1])


def daemon():
    return multiprocessing.current_process().daemon


# --- queues -----------------------------------------------------------------


class SetQueue(queue.Queue):
    """Drops what is in there already."""

    def _init(self, maxsize):
        self.queue = set()

    def _put(self, item):
        self.queue.add(item)

    def _get(self):
        return self.queue.pop()


class StablePriorityQueue(queue.Queue):
    def _init(self, maxsize):
        self.queue = []
        self.counter = itertools.count()

    def _qsize(self):
        return len(self.queue)

    def _put(self, item):
        heapq.heappush(self.queue, (item[0], next(self.counter), item))

    def _get(self):
        return heapq.heappop(self.queue)[2]


class CloseableQueue(queue.Queue):
    """The one of a well-known book."""

    SENTINEL = object()

    def close(self):
        self.put(self.SENTINEL)

    def __iter__(self):
        while True:
            item = self.get()
            try:
                if item is self.SENTINEL:
                    return
                yield item
            finally:
                self.task_done()


class ClearableQueue(queue.Queue):
    def clear(self):
        with self.mutex:
            unfinished = self.unfinished_tasks - len(self.queue)
            if unfinished <= 0:
                self.all_tasks_done.notify_all()
            self.unfinished_tasks = unfinished
            self.queue.clear()
            self.not_full.notify_all()


class LoudQueue(queue.Queue):
    def __init__(self, name, *args, **kwds):
        super().__init__(*args, **kwds)
        self.name = name

    def put(self, item, block=True, timeout=None):
        show(f"{self.name} put", item)
        super().put(item, block, timeout)

    def get(self, *args, **kwds):
        item = super().get(*args, **kwds)
        show(f"{self.name} got", item)
        return item


@section()
def queues():
    q = SetQueue()
    for item in (1, 2, 1, 1):
        q.put(item)
    show("set", sorted([q.get(), q.get()]), q.empty(), q.unfinished_tasks)
    q = StablePriorityQueue(9)
    for item in ((2, "a"), (1, "b"), (2, "c"), (1, "d")):
        q.put(item)
    show("stable", [q.get() for _ in range(4)], q.maxsize)
    q = CloseableQueue()
    seen = []
    consumer = threading.Thread(target=lambda: seen.extend(q))
    consumer.start()
    for item in range(3):
        q.put(item)
    q.close()
    q.join()
    consumer.join()
    show("closeable", seen)
    q = ClearableQueue(2)
    q.put(1)
    q.put(2)
    show("clearable", q.clear(), q.qsize(), q.join(), q.put(3, timeout=5), q.get())
    q = LoudQueue("loud", maxsize=1)
    q.put("x")
    q.put_nowait("y") if q.empty() else None
    show("loud", q.get(timeout=1), q.maxsize)

    class Limited(queue.LifoQueue):
        def _init(self, maxsize):
            super()._init(maxsize)
            self.queue = collections.deque(maxlen=2)

        def _put(self, item):
            self.queue.append(item)

    q = Limited()
    for n in range(4):
        q.put(n)
    show("limited", q.get(), q.get(), q.qsize())

    class Failing(queue.Queue):
        def _put(self, item):
            raise LookupError("refused")

    refuse("failing", Failing().put, 1)

    class Simple(queue.SimpleQueue):
        def put_all(self, items):
            for item in items:
                self.put(item)

    q = Simple()
    q.put_all("ab")
    show("simple", q.get(), q.get())


# --- threads ----------------------------------------------------------------


class ReturningThread(threading.Thread):
    """Whose join() returns the result."""

    def __init__(self, *args, **kwds):
        super().__init__(*args, **kwds)
        self.result = None

    def run(self):
        if self._target is not None:
            self.result = self._target(*self._args, **self._kwargs)

    def join(self, *args, **kwds):
        super().join(*args, **kwds)
        return self.result


class StoppableThread(threading.Thread):
    def __init__(self):
        super().__init__(daemon=True)
        self._stop_event = threading.Event()
        self.rounds = 0

    def stop(self):
        self._stop_event.set()

    def stopped(self):
        return self._stop_event.is_set()

    def run(self):
        while not self.stopped():
            self.rounds += 1
            self._stop_event.wait(0.001)


class RepeatingTimer(threading.Timer):
    def run(self):
        while not self.finished.wait(self.interval):
            self.function(*self.args, **self.kwargs)


class Loud(threading.Thread):
    def __init_subclass__(cls, **kwds):
        super().__init_subclass__(**kwds)
        cls.note = "subclassed"


@section()
def threads():
    t = ReturningThread(target=square, args=(7,))
    t.start()
    show("returning", t.join(), t.join(timeout=1))
    t = StoppableThread()
    t.start()
    while not t.rounds:
        time.sleep(0.001)
    show("stoppable", t.stop(), t.join(), t.stopped(), t.is_alive())
    ticks = threading.Semaphore(0)
    t = RepeatingTimer(0.001, ticks.release)
    t.start()
    show("repeating", [ticks.acquire(timeout=20) for _ in range(3)])
    t.cancel()
    t.join()

    class Own(Loud, threading.Thread):
        name_of_class = "own"

    show("mixins", Own.note, Own().name_of_class, Own().daemon)

    class Mixin:
        def run(self):
            self.seen = threading.current_thread() is self

    class Mixed(Mixin, threading.Thread):
        pass

    t = Mixed()
    t.start()
    t.join()
    show("mixed", t.seen)

    class Local(threading.local):
        value = 0

        def bump(self):
            self.value += 1
            return self.value

    local = Local()
    local.bump()
    t = ReturningThread(target=local.bump)
    t.start()
    show("local", t.join(), local.bump())

    class Latch(threading.Condition):
        def __init__(self, count):
            super().__init__()
            self.count = count

        def down(self):
            with self:
                self.count -= 1
                if not self.count:
                    self.notify_all()

        def wait(self, timeout=None):
            with self:
                return self.wait_for(lambda: not self.count, timeout)

        def wait_for(self, predicate, timeout=None):
            while not predicate():
                threading.Condition.wait(self, timeout)
            return True

    latch = Latch(2)
    for _ in range(2):
        threading.Thread(target=latch.down).start()
    show("latch", latch.wait(20))

    class Counted(threading.Semaphore):
        acquired = 0

        def acquire(self, *args, **kwds):
            self.acquired += 1
            return super().acquire(*args, **kwds)

        __enter__ = acquire

    s = Counted(2)
    with s:
        show("semaphore", s.acquire(False), s.acquired)

    class Named(threading.Event):
        def __init__(self, name):
            super().__init__()
            self.name = name

    show("event", Named("ready").name, Named("x").wait(0))

    class Three(threading.Barrier):
        def __init__(self):
            super().__init__(1, timeout=5)

    show("barrier", Three().wait(), Three().parties)


# --- executors --------------------------------------------------------------


class BoundedExecutor(ThreadPoolExecutor):
    """Whose submit() waits until there is room."""

    def __init__(self, bound, max_workers):
        super().__init__(max_workers=max_workers)
        self.room = threading.BoundedSemaphore(bound + max_workers)
        self.submitted = 0

    def submit(self, fn, /, *args, **kwds):
        self.room.acquire()
        self.submitted += 1
        try:
            future = super().submit(fn, *args, **kwds)
        except BaseException:
            self.room.release()
            raise
        future.add_done_callback(lambda _: self.room.release())
        return future


class Inline(concurrent.futures.Executor):
    def submit(self, fn, /, *args, **kwds):
        future = Future()
        try:
            future.set_result(fn(*args, **kwds))
        except Exception as error:
            future.set_exception(error)
        return future


class LoudProcesses(ProcessPoolExecutor):
    submitted = 0

    def submit(self, fn, /, *args, **kwds):
        self.submitted += 1
        return super().submit(fn, *args, **kwds)


class Task(Future):
    def __init__(self, name):
        super().__init__()
        self.name = name


@section()
def executors():
    with BoundedExecutor(1, 2) as executor:
        futures = [executor.submit(square, n) for n in range(10)]
        show("bounded", [f.result() for f in futures], executor.submitted)
        show("map", list(executor.map(square, range(3))), executor.submitted)
    with Inline() as executor:
        show("inline", list(executor.map(square, range(3))))
        show("error", type(executor.submit(square, "x").exception()).__name__)
        done = concurrent.futures.as_completed([executor.submit(square, 3)])
        show("completed", [f.result() for f in done])
    with LoudProcesses(1) as executor:
        show("processes", executor.submit(square, 5).result(), executor.submitted)
        show("map", list(executor.map(square, range(3))), executor.submitted)
    task = Task("named")
    thread = threading.Thread(target=task.set_result, args=("by hand",))
    thread.start()
    show("task", task.result(20), task.name, concurrent.futures.wait([task]).done)
    thread.join()


# --- processes and pools ----------------------------------------------------


class Worker(multiprocessing.Process):
    def __init__(self, inbox, outbox):
        super().__init__(daemon=True)
        self.inbox = inbox
        self.outbox = outbox

    def run(self):
        for item in iter(self.inbox.get, None):
            self.outbox.put((self.name == "worker", item, square(item)))


class NoDaemonProcess(multiprocessing.Process):
    @property
    def daemon(self):
        return False

    @daemon.setter
    def daemon(self, value):
        pass


class NoDaemonContext(type(multiprocessing.get_context(METHOD))):
    Process = NoDaemonProcess


class NestablePool(multiprocessing.pool.Pool):
    """The recipe for 3.8 and later."""

    def __init__(self, *args, **kwds):
        kwds["context"] = NoDaemonContext()
        super().__init__(*args, **kwds)


class NoDaemonPool(multiprocessing.pool.Pool):
    """The other recipe."""

    @staticmethod
    def Process(ctx, *args, **kwds):
        process = multiprocessing.pool.Pool.Process(ctx, *args, **kwds)

        class Changed(process.__class__):
            @property
            def daemon(self):
                return False

            @daemon.setter
            def daemon(self, value):
                pass

        Changed.__name__ = process.__class__.__name__
        process.__class__ = Changed
        return process


class NamedPool(multiprocessing.pool.Pool):
    def __init__(self, name, *args, **kwds):
        self.name = name
        super().__init__(*args, **kwds)

    def map(self, func, iterable, chunksize=None):
        return [self.name, *super().map(func, iterable, chunksize)]

    def apply_async(self, func, args=(), kwds=None, **more):
        return super().apply_async(func, args, kwds or {}, **more)


class LoudThreadPool(multiprocessing.pool.ThreadPool):
    def starmap(self, func, iterable, chunksize=None):
        return ("starmap", super().starmap(func, iterable, chunksize))


class Manager(multiprocessing.managers.SyncManager):
    pass


class Tally:
    def __init__(self):
        self.total = 0

    def add(self, n):
        self.total += n
        return self.total


Manager.register("Tally", Tally)


@section()
def processes():
    inbox, outbox = multiprocessing.Queue(), multiprocessing.Queue()
    worker = Worker(inbox, outbox)
    worker.name = "worker"
    worker.start()
    for item in (1, 2, None):
        inbox.put(item)
    show("worker", outbox.get(), outbox.get(), worker.join(), worker.exitcode)
    with NestablePool(1) as pool:
        show("nestable", pool.map(nested, [1, 5]), pool.apply(daemon))
        pool.close()
        pool.join()
    if METHOD == "fork":
        # Elsewhere a local class of a process cannot be sent.
        with NoDaemonPool(1) as pool:
            show("no daemon", pool.map(nested, [1, 5]), pool.apply(daemon))
            pool.close()
            pool.join()
    with NamedPool("a pool", processes=1) as pool:
        show("named", pool.map(square, [1, 2]), pool.apply_async(square, (3,)).get())
        attempt("daemon", pool.apply, nested, (1,))
    with LoudThreadPool(1) as pool:
        show("threads", pool.starmap(pow, [(2, 3)]), pool.map(square, [4]))
    with Manager() as manager:
        tally = manager.Tally()
        show("manager", tally.add(1), tally.add(n=2), type(manager).__name__)


if __name__ == "__main__":
    multiprocessing.set_start_method(METHOD)
    run([])
