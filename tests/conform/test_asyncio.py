"""Futures and executors inside asyncio."""

import asyncio
import threading

import pytest

from support.impls import all_methods, only_pyconc
from support.polling import eventually
from support.tasks import fail, identity, square


@all_methods
def test_run_in_executor(executor):
    async def main():
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(executor, square, 7)

    assert asyncio.run(main()) == 49


def test_gather_over_run_in_executor(executor):
    async def main():
        loop = asyncio.get_running_loop()
        return await asyncio.gather(
            *(loop.run_in_executor(executor, square, i) for i in range(50))
        )

    assert asyncio.run(main()) == [n * n for n in range(50)]


def test_run_in_executor_raises_the_tasks_error(executor):
    async def main():
        loop = asyncio.get_running_loop()
        with pytest.raises(ValueError, match="in the worker") as caught:
            await loop.run_in_executor(executor, fail, "in the worker")
        assert "in fail" in str(caught.value.__cause__)

    asyncio.run(main())


def test_wrap_future_gives_result_exception_and_cancel(impl):
    async def main():
        one, two, three = (impl.futures.Future() for _ in range(3))
        wrapped = [asyncio.wrap_future(f) for f in (one, two, three)]

        def finish():
            one.set_result("r")
            two.set_exception(OSError("e"))
            three.cancel()

        thread = threading.Thread(target=finish)
        thread.start()
        assert await wrapped[0] == "r"
        with pytest.raises(OSError, match="e"):
            await wrapped[1]
        with pytest.raises(asyncio.CancelledError):
            await wrapped[2]
        thread.join()

    asyncio.run(main())


def test_wrap_future_of_a_finished_future(impl):
    async def main():
        future = impl.futures.Future()
        future.set_result(3)
        assert await asyncio.wrap_future(future) == 3

    asyncio.run(main())


def test_cancelling_the_wrapper_cancels_a_pending_future(impl):
    async def main():
        future = impl.futures.Future()
        wrapped = asyncio.wrap_future(future)
        wrapped.cancel()
        with pytest.raises(asyncio.CancelledError):
            await wrapped
        await asyncio.sleep(0)  # the wrapper's callback
        assert future.cancelled()

    asyncio.run(main())


def test_cancelling_the_wrapper_leaves_a_running_future(impl):
    async def main():
        future = impl.futures.Future()
        future.set_running_or_notify_cancel()
        wrapped = asyncio.wrap_future(future)
        wrapped.cancel()
        with pytest.raises(asyncio.CancelledError):
            await wrapped
        await asyncio.sleep(0)
        assert future.running()
        future.set_result(1)
        assert future.result() == 1
        await asyncio.sleep(0)

    asyncio.run(main())


def test_cancelling_a_queued_task_keeps_it_from_running(make_executor, gate):
    executor = make_executor(1)

    async def main():
        loop = asyncio.get_running_loop()
        held = loop.run_in_executor(executor, gate.enter, "held")
        queued = [
            loop.run_in_executor(executor, gate.mark, f"ran{i}")
            for i in range(6)
        ]
        queued[-1].cancel()
        with pytest.raises(asyncio.CancelledError):
            await queued[-1]
        await asyncio.sleep(0)  # the wrapper's callback
        gate.open()
        assert await held == "held"
        await asyncio.gather(*queued[:-1])

    asyncio.run(main())
    executor.shutdown()
    assert not gate.has("ran5")


def test_wait_for_times_out_and_the_loop_goes_on(executor, gate):
    async def main():
        loop = asyncio.get_running_loop()
        held = loop.run_in_executor(executor, gate.enter)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(held, 0.05)
        assert await loop.run_in_executor(executor, square, 3) == 9
        gate.open()

    asyncio.run(main())


def test_asyncio_as_completed(executor):
    async def main():
        loop = asyncio.get_running_loop()
        pending = [
            loop.run_in_executor(executor, square, i) for i in range(10)
        ]
        return [await f for f in asyncio.as_completed(pending)]

    assert sorted(asyncio.run(main())) == [n * n for n in range(10)]


def test_loops_in_several_threads_share_an_executor(executor):
    outcome = {}

    def run(number):
        async def main():
            loop = asyncio.get_running_loop()
            return await asyncio.gather(
                *(loop.run_in_executor(executor, square, i) for i in range(20))
            )

        outcome[number] = asyncio.run(main())

    threads = [threading.Thread(target=run, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcome == {i: [n * n for n in range(20)] for i in range(3)}


def test_a_loop_that_is_closed_early_does_no_harm(executor, gate):
    async def main():
        loop = asyncio.get_running_loop()
        loop.run_in_executor(executor, gate.enter)

    asyncio.run(main())
    gate.open()
    assert executor.submit(square, 2).result() == 4


@only_pyconc
class TestAwait:
    def test_a_pending_future(self, executor, gate):
        async def main():
            future = executor.submit(gate.enter, "value")
            asyncio.get_running_loop().call_later(0.05, gate.open)
            assert not future.done()
            return await future

        assert asyncio.run(main()) == "value"

    def test_a_finished_future(self, impl):
        async def main():
            future = impl.futures.Future()
            future.set_result(5)
            return await future

        assert asyncio.run(main()) == 5

    def test_a_failing_future(self, executor):
        async def main():
            with pytest.raises(ValueError, match="oops"):
                await executor.submit(fail, "oops")

        asyncio.run(main())

    def test_a_cancelled_future(self, impl):
        async def main():
            future = impl.futures.Future()
            future.cancel()
            with pytest.raises(asyncio.CancelledError):
                await future

        asyncio.run(main())

    def test_a_future_set_by_a_thread(self, impl):
        async def main():
            for i in range(100):
                future = impl.futures.Future()
                thread = threading.Thread(target=future.set_result, args=(i,))
                thread.start()
                assert await future == i
                thread.join()

        asyncio.run(main())

    def test_gather_and_wait_for(self, executor):
        async def main():
            futures = [executor.submit(square, i) for i in range(30)]
            assert await asyncio.gather(*futures) == [n * n for n in range(30)]
            return await asyncio.wait_for(executor.submit(square, 6), 30)

        assert asyncio.run(main()) == 36

    def test_several_awaiters(self, impl):
        async def main():
            future = impl.futures.Future()

            async def wait():
                return await future

            waiters = [asyncio.ensure_future(wait()) for _ in range(5)]
            await asyncio.sleep(0)
            threading.Thread(target=future.set_result, args=(1,)).start()
            return await asyncio.gather(*waiters)

        assert asyncio.run(main()) == [1] * 5

    def test_awaiters_in_several_loops(self, impl):
        future = impl.futures.Future()
        seen = []
        ready = threading.Barrier(4)

        def run():
            async def main():
                ready.wait()
                seen.append(await future)

            asyncio.run(main())

        threads = [threading.Thread(target=run) for _ in range(3)]
        for thread in threads:
            thread.start()
        ready.wait()
        future.set_result("all")
        for thread in threads:
            thread.join()
        assert seen == ["all"] * 3

    def test_cancelling_the_awaiter_cancels_a_queued_future(
        self, make_executor, gate
    ):
        executor = make_executor(1)

        async def main():
            held = executor.submit(gate.enter)
            gate.wait_arrived(1)
            queued = [executor.submit(identity, i) for i in range(6)]

            async def wait():
                await queued[-1]

            waiter = asyncio.ensure_future(wait())
            await asyncio.sleep(0)
            waiter.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiter
            assert queued[-1].cancelled()
            gate.open()
            await held

        asyncio.run(main())

    def test_cancelling_the_awaiter_leaves_a_running_future(
        self, executor, gate
    ):
        async def main():
            future = executor.submit(gate.enter, "kept")
            gate.wait_arrived(1)

            async def wait():
                await future

            waiter = asyncio.ensure_future(wait())
            await asyncio.sleep(0)
            waiter.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiter
            assert not future.cancelled()
            gate.open()
            return await future

        assert asyncio.run(main()) == "kept"

    def test_a_loop_closed_while_waiting_does_no_harm(self, executor, gate):
        async def main():
            future = executor.submit(gate.enter)
            gate.wait_arrived(1)

            async def wait():
                await future

            task = asyncio.ensure_future(wait())
            await asyncio.sleep(0)
            return task

        asyncio.run(main())
        gate.open()
        assert executor.submit(square, 2).result() == 4


@only_pyconc
class TestAsCompletedAsync:
    def test_every_future_once_in_the_order_of_ends(self, impl):
        async def main():
            futures = [impl.futures.Future() for _ in range(4)]
            order = [2, 0, 3, 1]
            seen = []
            futures[order[0]].set_result(order[0])
            async for future in impl.futures.as_completed_async(futures):
                seen.append(future.result())
                if len(seen) < 4:
                    i = order[len(seen)]
                    threading.Thread(
                        target=futures[i].set_result, args=(i,)
                    ).start()
            return seen

        assert asyncio.run(main()) == [2, 0, 3, 1]

    def test_futures_of_an_executor(self, impl, executor):
        async def main():
            futures = [executor.submit(square, i) for i in range(50)]
            futures.append(executor.submit(fail))
            seen = []
            async for future in impl.futures.as_completed_async(futures):
                assert future.done()
                seen.append(future)
            assert len(seen) == 51
            assert set(seen) == set(futures)

        asyncio.run(main())

    def test_nothing_and_duplicates(self, impl):
        async def main():
            future = impl.futures.Future()
            future.set_result(1)
            as_completed_async = impl.futures.as_completed_async
            assert [f async for f in as_completed_async([])] == []
            assert [f async for f in as_completed_async([future] * 3)] == [
                future
            ]

        asyncio.run(main())

    def test_the_loop_runs_meanwhile(self, impl, executor, gate):
        async def main():
            ticks = 0

            async def tick():
                nonlocal ticks
                while not gate.has("open"):
                    ticks += 1
                    if ticks == 20:
                        gate.open()
                    await asyncio.sleep(0.001)

            ticker = asyncio.ensure_future(tick())
            held = executor.submit(gate.enter, "v")
            async for future in impl.futures.as_completed_async([held]):
                assert future.result() == "v"
            await ticker
            return ticks

        assert asyncio.run(main()) >= 20


def test_an_executor_outlives_its_loops(executor):
    for i in range(3):

        async def main(i=i):
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(executor, square, i)

        assert asyncio.run(main()) == i * i
    future = executor.submit(square, 9)
    eventually(future.done)
    assert future.result(0) == 81
