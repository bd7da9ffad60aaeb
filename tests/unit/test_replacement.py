"""Classes that stand for the standard library's: kinship and subclasses."""

import abc
import concurrent.futures
import multiprocessing
import multiprocessing.pool
import pickle
import queue
import threading
from typing import Generic, TypeVar

import pytest

import pyconc.futures
import pyconc.multiprocessing.pool
import pyconc.queue
import pyconc.threading

PAIRS = [
    (pyconc.threading.Thread, threading.Thread),
    (pyconc.threading.Event, threading.Event),
    (pyconc.threading.Condition, threading.Condition),
    (pyconc.threading.Semaphore, threading.Semaphore),
    (pyconc.threading.BoundedSemaphore, threading.BoundedSemaphore),
    (pyconc.threading.Barrier, threading.Barrier),
    (pyconc.queue.Queue, queue.Queue),
    (pyconc.queue.LifoQueue, queue.LifoQueue),
    (pyconc.queue.PriorityQueue, queue.PriorityQueue),
    (pyconc.futures.Future, concurrent.futures.Future),
    (pyconc.futures.ThreadPoolExecutor, concurrent.futures.ThreadPoolExecutor),
    (
        pyconc.futures.ProcessPoolExecutor,
        concurrent.futures.ProcessPoolExecutor,
    ),
    (pyconc.multiprocessing.pool.Pool, multiprocessing.pool.Pool),
    (pyconc.multiprocessing.pool.ThreadPool, multiprocessing.pool.ThreadPool),
]
all_pairs = pytest.mark.parametrize(
    ("ours", "theirs"), PAIRS, ids=[ours.__name__ for ours, _ in PAIRS]
)


@all_pairs
def test_theirs_count_as_ours(ours, theirs):
    assert issubclass(theirs, ours)
    assert issubclass(type("Derived", (theirs,), {}), ours)
    assert not issubclass(int, ours)
    assert not isinstance(5, ours)


@all_pairs
def test_theirs_are_no_subclass_of_what_derives_from_ours(ours, theirs):
    derived = type("Derived", (ours,), {})
    assert issubclass(derived, ours)
    assert not issubclass(theirs, derived)
    assert not issubclass(ours, derived)
    assert derived.__mro__[1] is ours


def test_objects_count_too():
    assert isinstance(threading.Event(), pyconc.threading.Event)
    assert isinstance(threading.current_thread(), pyconc.threading.Thread)
    assert isinstance(concurrent.futures.Future(), pyconc.futures.Future)
    assert isinstance(queue.LifoQueue(), pyconc.queue.Queue)
    assert not isinstance(queue.Queue(), pyconc.queue.LifoQueue)
    assert not isinstance(pyconc.threading.Event(), pyconc.threading.Barrier)


@all_pairs
def test_classes_may_be_abstract_generic_and_pickled(ours, theirs):
    class Abstract(ours, abc.ABC):
        pass

    assert issubclass(Abstract, ours)
    if not issubclass(ours, Generic):

        class Both(ours, Generic[TypeVar("item")]):
            pass

        assert issubclass(Both[int].__origin__, ours)
    assert pickle.loads(pickle.dumps(ours)) is ours


class QueuesOfItsOwn(pyconc.multiprocessing.pool.Pool):
    def _setup_queues(self):
        super()._setup_queues()
        self.were_set_up = True


class Derived(QueuesOfItsOwn):
    pass


class Queues:
    def _setup_queues(self):
        super()._setup_queues()
        self.were_set_up = True


class Mixed(Queues, pyconc.multiprocessing.pool.Pool):
    pass


class ThreadsOfItsOwn(pyconc.futures.ThreadPoolExecutor):
    def _adjust_thread_count(self):
        self.was_asked = True
        super()._adjust_thread_count()


class ManagerOfItsOwn(pyconc.futures.ProcessPoolExecutor):
    def _start_executor_manager_thread(self):
        self.was_asked = True
        super()._start_executor_manager_thread()


class CallsOfItsOwn(pyconc.futures.Future):
    def _invoke_callbacks(self):
        self.was_asked = True
        super()._invoke_callbacks()


class OwnershipOfItsOwn(pyconc.threading.Condition):
    def _is_owned(self):
        self.was_asked = True
        return super()._is_owned()


class Between(pyconc.futures.ThreadPoolExecutor):
    pass


class LateThreadsOfItsOwn(Between):
    def _adjust_thread_count(self):
        self.was_asked = True
        super()._adjust_thread_count()


class PoolBetween(pyconc.multiprocessing.pool.Pool):
    pass


class LateQueuesOfItsOwn(PoolBetween):
    def _setup_queues(self):
        super()._setup_queues()
        self.were_set_up = True


@pytest.mark.parametrize("cls", [QueuesOfItsOwn, Derived, Mixed, LateQueuesOfItsOwn])
def test_a_pool_that_sets_up_its_queues(cls):
    assert pyconc.multiprocessing.pool.Pool not in cls.__mro__
    assert multiprocessing.pool.Pool in cls.__mro__
    assert issubclass(cls, pyconc.multiprocessing.pool.Pool)
    with cls(2, context=multiprocessing.get_context("fork")) as pool:
        assert pool.were_set_up
        assert isinstance(pool, pyconc.multiprocessing.pool.Pool)
        assert pool.map(abs, [-1, 2, -3]) == [1, 2, 3]
        assert type(pool.apply_async(abs, (1,))) is multiprocessing.pool.ApplyResult


@pytest.mark.parametrize(
    "cls", [ThreadsOfItsOwn, ManagerOfItsOwn, LateThreadsOfItsOwn]
)
def test_an_executor_that_starts_what_it_needs(cls):
    with cls(2) as executor:
        assert executor.submit(abs, -3).result(30) == 3
        assert list(executor.map(abs, [-1, -2])) == [1, 2]
        assert executor.was_asked
        assert isinstance(executor, concurrent.futures.Executor)


def test_a_future_that_invokes_its_callbacks():
    future, seen = CallsOfItsOwn(), []
    future.add_done_callback(seen.append)
    future.set_result(1)
    assert seen == [future]
    assert future.was_asked
    assert isinstance(future, pyconc.futures.Future)


def test_a_condition_that_knows_its_owner():
    condition = OwnershipOfItsOwn(threading.Lock())
    with condition:
        condition.notify()
    assert condition.was_asked


def test_documented_overrides_keep_the_engine():
    class Executor(pyconc.futures.ThreadPoolExecutor):
        def submit(self, fn, /, *args, **kwargs):
            return super().submit(fn, *args, **kwargs)

    class Queue(pyconc.queue.Queue):
        def _put(self, item):
            self.queue.appendleft(item)

    class Thread(pyconc.threading.Thread):
        def _bootstrap_inner(self):
            super()._bootstrap_inner()

    with Executor(1) as executor:
        assert type(executor.submit(abs, -1)) is pyconc.futures.Future
    q = Queue()
    q.put(1)
    q.put(2)
    assert [q.get(), q.get()] == [2, 1]
    assert pyconc.queue.Queue in Queue.__mro__
    assert pyconc.threading.Thread in Thread.__mro__


def test_a_barrier_of_its_own():
    class Barrier(pyconc.threading.Barrier):
        def _release(self):
            super()._release()

    assert Barrier(1).wait() == 0


def is_barrier(cls, kind):
    try:
        return issubclass(cls, kind)
    except TypeError as error:
        return str(error)


def test_what_is_no_class():
    theirs = is_barrier(list[int], threading.Barrier)
    assert is_barrier(list[int], pyconc.threading.Barrier) == theirs
