"""Every way to wait for a primitive, behind one interface.

block(timeout=None) waits, wake() lets one waiter go; after a wait of
which nothing is left, the same again.  gives_up(timeout) says whether
a wait timed out.
"""


class Wait:
    def __init__(self, sync):
        self.threading, self.queue = sync.threading, sync.queue
        self.make()

    def gives_up(self, timeout):
        return not self.block(timeout)


class ConditionWait(Wait):
    def make(self):
        self.condition = self.threading.Condition()

    def block(self, timeout=None):
        with self.condition:
            return self.condition.wait(timeout)

    def wake(self):
        with self.condition:
            self.condition.notify()


class ConditionOverLock(ConditionWait):
    def make(self):
        self.condition = self.threading.Condition(self.threading.Lock())


class ConditionWaitFor(Wait):
    def make(self):
        self.condition = self.threading.Condition()
        self.tokens = 0

    def block(self, timeout=None):
        with self.condition:
            if found := self.condition.wait_for(lambda: self.tokens, timeout):
                self.tokens -= 1
            return found

    def wake(self):
        with self.condition:
            self.tokens += 1
            self.condition.notify()


class EventWait(Wait):
    """An event lets all go; who is let go takes it back."""

    def make(self):
        self.event = self.threading.Event()

    def block(self, timeout=None):
        self.event.clear()
        return self.event.wait(timeout)

    def wake(self):
        self.event.set()


class SemaphoreAcquire(Wait):
    kind = "Semaphore"

    def make(self):
        self.semaphore = getattr(self.threading, self.kind)(1)
        self.semaphore.acquire()

    def block(self, timeout=None):
        return self.semaphore.acquire(timeout=timeout)

    def wake(self):
        self.semaphore.release()


class BoundedSemaphoreAcquire(SemaphoreAcquire):
    kind = "BoundedSemaphore"


class LockAcquire(Wait):
    def make(self):
        self.lock = self.threading.Lock()
        self.lock.acquire()

    def block(self, timeout=None):
        return self.lock.acquire(timeout=-1 if timeout is None else timeout)

    def wake(self):
        self.lock.release()


class QueueGet(Wait):
    kind = "Queue"

    def make(self):
        self.q = getattr(self.queue, self.kind)()

    def block(self, timeout=None):
        assert self.q.get(timeout=timeout) == "item"
        return True

    def gives_up(self, timeout):
        try:
            return not self.block(timeout)
        except self.queue.Empty:
            return True

    def wake(self):
        self.q.put("item")


class LifoGet(QueueGet):
    kind = "LifoQueue"


class PriorityGet(QueueGet):
    kind = "PriorityQueue"


class SimpleGet(QueueGet):
    kind = "SimpleQueue"


class QueuePut(Wait):
    def make(self):
        self.q = self.queue.Queue(1)
        self.q.put("item")

    def block(self, timeout=None):
        self.q.put("item", timeout=timeout)
        return True

    def gives_up(self, timeout):
        try:
            return not self.block(timeout)
        except self.queue.Full:
            return True

    def wake(self):
        assert self.q.get() == "item"


class QueueJoin(Wait):
    """A join that is let go leaves no task; the next one has a new one."""

    def make(self):
        self.q = self.queue.Queue()

    def block(self):
        if not self.q.unfinished_tasks:
            self.q.put("task")
        self.q.join()
        return True

    def wake(self):
        self.q.task_done()


class BarrierWait(Wait):
    def make(self):
        self.barrier = self.threading.Barrier(2)

    def block(self, timeout=None):
        return self.barrier.wait(timeout) in (0, 1)

    def gives_up(self, timeout):
        try:
            return not self.block(timeout)
        except self.threading.BrokenBarrierError:
            return True

    def wake(self):
        self.barrier.wait(30)


class ThreadJoin(Wait):
    """A join of a thread that ends when it is told to."""

    def make(self):
        self.go = self.threading.Semaphore(0)
        self.thread = self.threading.Thread(target=self.go.acquire, daemon=True)
        self.thread.start()

    def block(self, timeout=None):
        if not self.thread.is_alive():
            self.make()
        self.thread.join(timeout)
        return not self.thread.is_alive()

    def wake(self):
        self.go.release()


WAITS = [
    ConditionWait,
    ConditionOverLock,
    ConditionWaitFor,
    EventWait,
    SemaphoreAcquire,
    BoundedSemaphoreAcquire,
    LockAcquire,
    QueueGet,
    LifoGet,
    PriorityGet,
    SimpleGet,
    QueuePut,
    QueueJoin,
    BarrierWait,
    ThreadJoin,
]
TIMED = [cls for cls in WAITS if cls is not QueueJoin]
# a wake lets one of several waiters go
ONE_BY_ONE = [
    cls for cls in WAITS if cls not in (EventWait, QueueJoin, BarrierWait, ThreadJoin)
]
