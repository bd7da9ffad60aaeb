"""Coroutines that wait for a queue, and what could make it forget them."""

import asyncio
import signal
import sys
from contextlib import closing, suppress

import pytest

from pyconc.queue import LifoQueue, PriorityQueue, Queue
from support.blocking import PATIENCE, Call, blocked_calls, when_main_sleeps
from support.coroutines import pending, soon

KINDS = pytest.mark.parametrize("cls", [Queue, LifoQueue, PriorityQueue])


class Loop(asyncio.SelectorEventLoop):
    """A loop where something happens when a thread calls."""

    def before(self):
        pass

    def after(self):
        pass

    def call_soon_threadsafe(self, *args, **kwds):
        self.before()
        handle = super().call_soon_threadsafe(*args, **kwds)
        self.after()
        return handle


def waiting(coroutine, **happens):
    """Start a loop in a thread that waits for the coroutine."""

    def run():
        with closing(Loop()) as loop:
            vars(loop).update(happens)
            return loop.run_until_complete(coroutine)

    return Call(run).blocked()


def first_call_only(action):
    calls = []

    def run():
        calls.append(1)
        if len(calls) == 1:
            action()

    return run


@pytest.fixture
def interrupt():
    """Make the main thread's handler of a signal raise KeyboardInterrupt."""

    def handler(_signal, _frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, handler)
    yield lambda: signal.raise_signal(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)


# --- a put or a get that is interrupted while it wakes a coroutine -----------


@KINDS
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("many", [False, True])
def test_an_interrupted_put_wakes_the_coroutine(interrupt, cls, when, many):
    q = cls()
    getter = waiting(q.aget(), **{when: first_call_only(interrupt)})
    with pytest.raises(KeyboardInterrupt):
        q.put_many(["item"]) if many else q.put("item")
    assert getter.result() == "item"
    assert q.empty()


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_interrupted_get_keeps_the_item(interrupt, when):
    q = Queue(1)
    q.put("first")
    putter = waiting(q.aput("second"), **{when: first_call_only(interrupt)})
    with pytest.raises(KeyboardInterrupt):
        q.get()
    assert q.get() == "first"
    assert q.get(timeout=PATIENCE) == "second"
    putter.result()


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_interrupted_put_into_an_open_queue(interrupt, when):
    q = Queue()
    assert not q.mutex.locked()
    getter = waiting(q.aget(), **{when: first_call_only(interrupt)})
    with pytest.raises(KeyboardInterrupt):
        q.put("item")
    assert getter.result() == "item"
    assert not q.mutex.locked()


@pytest.mark.parametrize("error", [RecursionError, MemoryError])
def test_a_wake_that_fails_is_made_up_for_later(error):
    """RecursionError is a RuntimeError, as is what a closed loop raises."""
    failing = [True]

    def fail():
        if failing:
            raise error("while a coroutine is woken")

    q = Queue()
    getter = waiting(q.aget(), before=fail)
    with suppress(error):
        q.put("first")
    failing.clear()
    q.put("second")
    assert getter.result() == "first"
    assert q.get_nowait() == "second"


def test_a_put_near_the_recursion_limit():
    q = Queue()
    getter = waiting(q.aget())

    def deep(depth):
        if depth:
            deep(depth - 1)
        else:
            q.put("near the limit")

    depth = sys.getrecursionlimit()
    while depth:
        try:
            deep(depth)
            break
        except RecursionError:
            depth -= 1
    assert depth
    q.put("later")
    assert getter.result() == "near the limit"
    items = [q.get_nowait() for _ in range(q.qsize())]
    assert items[-1] == "later"


# --- an open queue -----------------------------------------------------------


@KINDS
@pytest.mark.parametrize("notify", ["notify", "notify_all"])
def test_not_empty_notifies_coroutines(cls, notify):
    q = cls()

    async def run():
        assert not q.mutex.locked()
        getter = await pending(q.aget())
        with q.mutex:
            q.queue.append("item")
            q.unfinished_tasks += 1
            getattr(q.not_empty, notify)()
        return await soon(getter)

    assert asyncio.run(run()) == "item"


@KINDS
@pytest.mark.parametrize("notify", ["notify", "notify_all"])
def test_not_full_notifies_coroutines(cls, notify):
    q = cls(1)
    q.put("first")

    async def run():
        assert not q.mutex.locked()
        putter = await pending(q.aput("second"))
        with q.mutex:
            q.queue.clear()
            getattr(q.not_full, notify)()
        await soon(putter)

    asyncio.run(run())
    assert q.get_nowait() == "second"


def test_notify_all_wakes_all_coroutines():
    q = Queue(2)
    q.put_many("ab")

    async def run():
        assert not q.mutex.locked()
        putters = [await pending(q.aput(item)) for item in "cd"]
        with q.mutex:
            q.queue.clear()
            q.not_full.notify_all()
        await soon(asyncio.gather(*putters))

    asyncio.run(run())
    assert sorted(q.get_many(5)) == ["c", "d"]


def test_a_queue_is_opened_while_a_coroutine_waits():
    q = Queue()

    async def run():
        getter = await pending(q.aget())
        with q.not_empty:
            q.queue.append("item")
            q.not_empty.notify()
        return await soon(getter)

    assert asyncio.run(run()) == "item"


def test_a_notified_thread_and_a_notified_coroutine_share_the_items():
    q = Queue()
    assert not q.mutex.locked()
    threads = blocked_calls(2, q.get)

    async def run():
        getters = [await pending(q.aget()) for _ in range(2)]
        with q.mutex:
            q.queue.extend("abcd")
            q.not_empty.notify_all()
        return await soon(asyncio.gather(*getters))

    found = asyncio.run(run()) + [thread.result() for thread in threads]
    assert sorted(found) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("is_open", [False, True])
@pytest.mark.parametrize("maxsize", [2, 0])
def test_more_room_wakes_coroutines(is_open, maxsize):
    q = Queue(1)
    q.put("first")

    async def run():
        if is_open:
            assert not q.mutex.locked()
        putter = await pending(q.aput("second"))
        q.maxsize = maxsize
        await soon(putter)

    asyncio.run(run())
    assert q.get_many(5) == ["first", "second"]


# --- a loop that does not run ------------------------------------------------


@pytest.fixture
def stopped():
    """Return a function that leaves a coroutine waiting in a stopped loop."""
    loop, tasks = asyncio.new_event_loop(), []

    def start(coroutine):
        tasks.append(loop.create_task(coroutine))
        loop.run_until_complete(asyncio.sleep(0.02))
        assert not tasks[-1].done()
        return loop, tasks[-1]

    yield start
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.close()


def test_a_stopped_loop_keeps_no_thread_from_an_item(stopped):
    q = Queue()
    loop, task = stopped(q.aget())
    getter = Call(q.get).blocked()
    q.put("item")
    assert getter.result() == "item"
    q.put("next")
    assert loop.run_until_complete(soon(task)) == "next"


def test_a_thread_comes_after_a_coroutine_was_woken(stopped):
    q = Queue()
    loop, task = stopped(q.aget())
    q.put("item")
    assert q.get(timeout=PATIENCE) == "item"
    getter = Call(q.get).blocked()
    q.put("next")
    assert getter.result() == "next"
    q.put("last")
    assert loop.run_until_complete(soon(task)) == "last"


def test_a_stopped_loop_keeps_no_thread_from_room(stopped):
    q = Queue(1)
    q.put("first")
    loop, task = stopped(q.aput("of the coroutine"))
    putter = Call(q.put, "of the thread").blocked()
    assert q.get() == "first"
    putter.result()
    assert q.get() == "of the thread"
    loop.run_until_complete(soon(task))
    assert q.get_nowait() == "of the coroutine"


def test_a_stopped_loop_keeps_no_other_loop_from_an_item(stopped):
    q = Queue()
    _, task = stopped(q.aget())
    getter = waiting(q.aget())
    q.put_many(["item", "another"])
    assert getter.result() in ("item", "another")
    assert not task.done()
    assert q.qsize() == 1


def test_a_get_in_a_coroutine_blocks_a_loop_where_another_waits():
    q = Queue()

    async def run():
        task = await pending(q.aget())
        helper = when_main_sleeps(lambda: q.put("item"))
        assert q.get(timeout=PATIENCE) == "item"
        helper.result()
        q.put("next")
        return await soon(task)

    assert asyncio.run(run()) == "next"
