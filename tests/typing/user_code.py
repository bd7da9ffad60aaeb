"""Typed code as users write it: read by mypy, never run.

An ignore that is not needed is an error, so each stands for a mistake that
has to be found.
"""

import datetime
from concurrent.futures import Executor
from concurrent.futures import Future as StdlibFuture
from typing import Any, NoReturn, assert_type

import pyconc
from pyconc import futures, multiprocessing, native, queue, threading
from pyconc.multiprocessing.pool import (
    ApplyResult,
    AsyncResult,
    IMapIterator,
    MapResult,
    Pool,
)


def halve(number: int) -> float:
    return number / 2


def use_executor() -> None:
    with futures.ProcessPoolExecutor(2, reseed=False) as executor:
        future = executor.submit(halve, 1)
        assert_type(future, futures.Future[float])
        assert_type(future.result(timeout=1), float)
        assert_type(future.exception(), BaseException | None)
        assert_type(list(executor.map(halve, [1], buffersize=1)), list[float])
        executor.submit(halve, "1")  # type: ignore[arg-type]
        executor.submit(halve)  # type: ignore[call-arg]
    old: Executor = executor
    old.submit(halve, 1)
    futures.ProcessPoolExecutor(on_worker_lost="x")  # type: ignore[arg-type]


def use_scheduled_executor(when: datetime.datetime) -> None:
    with futures.ScheduledThreadPoolExecutor(2, daemon=True) as executor:
        assert_type(executor.submit(halve, 1), futures.Future[float])
        assert_type(executor.schedule(1, halve, 1), futures.Future[float])
        assert_type(executor.schedule_at(when, halve, 1), futures.Future[float])
        future = executor.schedule_at_fixed_rate(0, 0.5, halve, 1)
        assert_type(future, futures.Future[NoReturn])
        executor.schedule_with_fixed_delay(0, 0.5, print, "x", sep="")
        executor.schedule(1, halve, "1")  # type: ignore[arg-type]
        executor.schedule_at(1.0, halve, 1)  # type: ignore[arg-type]
        executor.schedule_at_fixed_rate(0, halve, 1)  # type: ignore[arg-type]


def use_native(function: object, numbers: bytearray) -> None:
    with futures.ThreadPoolExecutor(2) as executor:
        assert_type(executor.submit_native(function, 1, 2), futures.Future[Any])
        native.parallel_for(function, 10, numbers, grain=5, executor=executor)
        native.parallel_for(function, "10")  # type: ignore[arg-type]
    native.map(function, (numbers, numbers), numbers)
    native.parallel_for(function, 10, executor=1)  # type: ignore[arg-type]
    path: str = pyconc.get_include()
    print(path)


def use_futures(given: list[futures.Future[float]]) -> None:
    done, not_done = futures.wait(given, return_when=futures.FIRST_COMPLETED)
    assert_type([future.result() for future in done | not_done], list[float])
    for future in futures.as_completed(given, timeout=1):
        assert_type(future.result(), float)
    old: StdlibFuture[float] = given[0]
    old.add_done_callback(lambda future: print(future.result()))
    made: futures.Future[int] = futures.Future()
    made.set_result("1")  # type: ignore[arg-type]


async def use_asyncio(given: list[futures.Future[float]]) -> None:
    assert_type(await given[0], float)
    async for future in futures.as_completed_async(given):
        assert_type(future.result(), float)


def use_pool() -> None:
    with multiprocessing.Pool(2) as pool:
        assert_type(pool, Pool)
        assert_type(pool.apply(halve, (1,)), float)
        assert_type(pool.map(halve, [1]), list[float])
        assert_type(pool.starmap(halve, [(1,)]), list[float])
        assert_type(pool.apply_async(halve, (1,)), ApplyResult[float])
        assert_type(pool.apply_async(halve, (1,)).get(timeout=1), float)
        assert_type(pool.map_async(halve, [1]), MapResult[float])
        assert_type(pool.map_async(halve, [1]).get(), list[float])
        assert_type(pool.starmap_async(halve, [(1,)]).get(), list[float])
        assert_type(pool.imap(halve, [1]), IMapIterator[float])
        assert_type(pool.imap(halve, [1]).next(timeout=1), float)
        assert_type(list(pool.imap_unordered(halve, [1])), list[float])
        pool.map(halve, ["1"])  # type: ignore[arg-type]
        result: AsyncResult[float] = pool.apply_async(halve, (1,))
        result.wait()
    old: multiprocessing.pool.Pool = pool
    old.terminate()


def use_queues(numbers: queue.Queue[int]) -> None:
    numbers.put(1, timeout=0.5)
    assert_type(numbers.get(), int)
    assert_type(numbers.get_many(3), list[int])
    numbers.put("1")  # type: ignore[arg-type]
    try:
        queue.PriorityQueue[tuple[int, str]](3).get_nowait()
    except (queue.Empty, queue.ShutDown):
        pass


async def use_queues_in_coroutines(names: queue.LifoQueue[str]) -> None:
    await names.aput("a")
    assert_type(await names.aget(), str)


def use_threads(lock: threading.Lock) -> None:
    condition = threading.Condition(lock)
    with condition:
        assert_type(condition.wait(0.5), bool)
        assert_type(condition.wait_for(lambda: 1), int)
    with threading.BoundedSemaphore(2), threading.Semaphore(3):
        pass
    event = threading.Event()
    event.set()
    count = threading.AtomicInt()
    count += 1
    assert_type(count.add(2), int)
    assert_type(threading.Barrier(1, timeout=3).wait(), int)
    thread = threading.Thread(target=event.wait, daemon=True)
    thread.start()
    thread.join(timeout=1)
    threading.Event(1)  # type: ignore[call-arg]
