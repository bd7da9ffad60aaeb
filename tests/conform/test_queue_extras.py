"""put_many, get_many, aput and aget, which Python's own queues do not have."""

import asyncio

import pytest

from support.blocking import PATIENCE, Call, at_once, blocked_calls
from support.coroutines import pending, soon
from support.sync import only_pyconc

pytestmark = only_pyconc
KINDS = ["Queue", "LifoQueue", "PriorityQueue"]


@pytest.fixture
def mod(sync):
    return sync.queue


@pytest.fixture(params=KINDS)
def cls(request, mod):
    return getattr(mod, request.param)


@pytest.fixture
def q(mod):
    return mod.Queue()


def test_put_many_and_get_many(q):
    assert q.put_many(range(10)) is None
    assert q.qsize() == 10
    assert q.unfinished_tasks == 10
    assert q.get_many(4) == [0, 1, 2, 3]
    assert q.get_many(100) == [4, 5, 6, 7, 8, 9]
    assert q.empty()


def test_the_order_is_that_of_the_queue(cls):
    one_by_one, together = cls(), cls()
    for item in (3, 1, 2, 5, 4):
        one_by_one.put(item)
    together.put_many(iter((3, 1, 2, 5, 4)))
    expected = [one_by_one.get() for _ in range(5)]
    assert together.get_many(2) + together.get_many(9) == expected


def test_put_many_of_nothing(q):
    q.put_many([])
    q.put_many(())
    assert q.empty()
    assert q.unfinished_tasks == 0
    q.join()


@pytest.mark.parametrize("count", [0, -1])
def test_get_many_of_less_than_one_is_an_error(q, count):
    q.put(1)
    with pytest.raises(ValueError):
        q.get_many(count)
    assert q.get_many(1) == [1]


def test_get_many_waits_for_the_first_item_only(cls):
    q = cls()
    for timeout in (None, PATIENCE):
        getter = Call(q.get_many, 10, timeout=timeout).blocked()
        q.put("item")
        assert getter.result() == ["item"]


def test_get_many_gives_up(mod, cls):
    for timeout in (0, 0.01):
        with pytest.raises(mod.Empty):
            cls().get_many(3, timeout)
    with pytest.raises(ValueError):
        cls().get_many(3, timeout=-1)


def test_put_many_waits_for_room(mod):
    q = mod.Queue(2)
    putter = Call(q.put_many, range(7)).blocked()
    assert q.qsize() == 2
    found = []
    while len(found) < 7:
        found += q.get_many(2, timeout=PATIENCE)
    putter.result()
    assert found == list(range(7))


def test_put_many_without_room(mod):
    q = mod.Queue(2)
    q.put_many([1, 2], block=False)
    with pytest.raises(mod.Full):
        q.put_many([3], block=False)
    with pytest.raises(mod.Full):
        q.put_many([3], timeout=0.01)
    with pytest.raises(ValueError):
        q.put_many([3], timeout=-1)
    assert q.get_many(9) == [1, 2]


def test_put_many_wakes_several(q):
    getters = blocked_calls(3, q.get)
    q.put_many("abc")
    assert sorted(getter.result() for getter in getters) == ["a", "b", "c"]


def test_get_many_wakes_several(mod):
    q = mod.Queue(3)
    q.put_many("abc")
    putters = blocked_calls(3, q.put, "late")
    assert q.get_many(3) == ["a", "b", "c"]
    for putter in putters:
        putter.result()
    assert q.get_many(3) == ["late"] * 3


def test_the_items_of_put_many_may_fail(q):
    def items():
        yield 1
        raise KeyError("items")

    with pytest.raises(KeyError, match="items"):
        q.put_many(items())
    with pytest.raises(TypeError):
        q.put_many(5)
    q.put_many([2])
    assert q.get_many(9)[-1] == 2
    assert not q.mutex.locked()


def test_the_overrides_of_a_subclass_are_used(mod):
    class Shouting(mod.Queue):
        def _put(self, item):
            super()._put(item.upper())

        def _get(self):
            return super()._get() + "!"

    q = Shouting()
    q.put_many("ab")
    assert q.get_many(5) == ["A!", "B!"]


def test_many_at_once_lose_nothing(mod):
    q = mod.Queue(10)

    def run(index):
        found = []
        if index < 3:
            for number in range(0, 300, 5):
                q.put_many([(index, number + i) for i in range(5)], timeout=PATIENCE)
            return found
        while len(found) < 300:
            found += q.get_many(min(7, 300 - len(found)), timeout=PATIENCE)
        return found

    lists = at_once(6, run)
    found = sorted(item for items in lists for item in items)
    assert found == [(i, n) for i in range(3) for n in range(300)]


@pytest.mark.parametrize("immediate", [False, True])
def test_shutdown_ends_put_many_and_get_many(mod, immediate):
    empty, full = mod.Queue(), mod.Queue(1)
    full.put("held")
    getter = Call(empty.get_many, 5).blocked()
    putter = Call(full.put_many, ["more"]).blocked()
    for q in (empty, full):
        q.shutdown(immediate)
    assert type(getter.ended()) is mod.ShutDown
    assert type(putter.ended()) is mod.ShutDown
    if not immediate:
        assert full.get_many(5) == ["held"]
    with pytest.raises(mod.ShutDown):
        full.get_many(5)
    with pytest.raises(mod.ShutDown):
        full.put_many([1])


def test_aput_and_aget(cls):
    async def run():
        q = cls()
        assert await q.aput(1) is None
        assert q.qsize() == q.unfinished_tasks == 1
        return await q.aget()

    assert asyncio.run(run()) == 1


def test_aget_waits_for_a_thread(q):
    async def run():
        getter = await pending(q.aget())
        Call(q.put, "from a thread")
        return await soon(getter)

    assert asyncio.run(run()) == "from a thread"


def test_aput_waits_for_a_thread(mod):
    q = mod.Queue(1)
    q.put("first")

    async def run():
        putter = await pending(q.aput("second"))
        assert Call(q.get).result() == "first"
        await soon(putter)

    asyncio.run(run())
    assert q.get_nowait() == "second"


def test_the_loop_goes_on_while_a_coroutine_waits(q):
    async def run():
        getter = await pending(q.aget())
        await q.aput("from the same loop")
        return await soon(getter)

    assert asyncio.run(run()) == "from the same loop"


def test_a_thread_waits_for_a_coroutine(q):
    getter = Call(q.get).blocked()
    asyncio.run(q.aput("from a coroutine"))
    assert getter.result() == "from a coroutine"


def test_one_item_for_one_coroutine(q):
    async def run():
        getters = [await pending(q.aget()) for _ in range(3)]
        q.put_many("abc")
        return await soon(asyncio.gather(*getters))

    assert sorted(asyncio.run(run())) == ["a", "b", "c"]
    assert q.empty()


def test_a_cancelled_aget_takes_no_item(q):
    async def run():
        gone, stays = await pending(q.aget()), await pending(q.aget())
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        q.put("item")
        return await soon(stays)

    assert asyncio.run(run()) == "item"
    q.put("next")
    assert q.get_nowait() == "next"


def test_a_cancelled_aput_puts_nothing(mod):
    q = mod.Queue(1)
    q.put("first")

    async def run():
        gone, stays = await pending(q.aput("gone")), await pending(q.aput("stays"))
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert q.get_nowait() == "first"
        await soon(stays)

    asyncio.run(run())
    assert q.get_nowait() == "stays"
    assert q.empty()
    assert q.unfinished_tasks == 2


def test_a_cancel_in_the_moment_of_a_put_loses_no_item(q):
    async def run():
        got = []
        for number in range(100):
            getter = asyncio.ensure_future(q.aget())
            await asyncio.sleep(0)
            q.put(number)
            if number % 3:
                await asyncio.sleep(0)
            getter.cancel()
            try:
                got.append(await getter)
            except asyncio.CancelledError:
                pass
        return got

    got = asyncio.run(run())
    left = [q.get_nowait() for _ in range(q.qsize())]
    assert sorted(got + left) == list(range(100))


def test_an_aget_with_a_timeout(q):
    async def run():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(q.aget(), 0.01)
        q.put("late")
        return await soon(q.aget())

    assert asyncio.run(run()) == "late"


@pytest.mark.parametrize("immediate", [False, True])
def test_shutdown_ends_coroutines(mod, immediate):
    empty, full = mod.Queue(), mod.Queue(1)
    full.put("held")

    async def run():
        waiting = [await pending(empty.aget()), await pending(full.aput("more"))]
        Call(empty.shutdown, immediate).result()
        Call(full.shutdown, immediate).result()
        for task in waiting:
            with pytest.raises(mod.ShutDown):
                await soon(task)
        with pytest.raises(mod.ShutDown):
            await empty.aget()
        with pytest.raises(mod.ShutDown):
            await full.aput("more")

    asyncio.run(run())
    assert full.qsize() == (0 if immediate else 1)


def test_two_loops_in_two_threads(mod):
    there, back = mod.Queue(3), mod.Queue(3)

    async def answer():
        for _ in range(200):
            await back.aput(await soon(there.aget()) + 1)

    async def ask():
        found = []
        for number in range(200):
            await soon(there.aput(number))
            found.append(await soon(back.aget()))
        return found

    _, found = at_once(2, lambda index: asyncio.run(ask() if index else answer()))
    assert found == list(range(1, 201))


def test_coroutines_and_threads_share_the_items(mod):
    q = mod.Queue(4)

    async def consume():
        return [await soon(q.aget()) for _ in range(150)]

    def run(index):
        if index < 2:
            for number in range(150):
                q.put((index, number), timeout=PATIENCE)
            return []
        if index == 2:
            return asyncio.run(consume())
        return [q.get(timeout=PATIENCE) for _ in range(150)]

    found = sorted(item for items in at_once(4, run) for item in items)
    assert found == [(i, n) for i in range(2) for n in range(150)]
