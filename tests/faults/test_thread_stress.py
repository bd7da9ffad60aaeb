"""Thread pools: many of everything, at random, and inside of event loops."""

import asyncio
import collections
import functools
import gc
import os
import threading
import time
import weakref

import pytest

from pyconc.errors import PoolTerminatedError
from pyconc.futures import (
    CancelledError,
    ThreadPoolExecutor,
    as_completed,
    as_completed_async,
    wait,
)
from pyconc.multiprocessing.pool import ThreadPool
from support.polling import eventually
from support.procs import native_threads
from support.scripts import run_source
from support.threads import hold, make_executor, make_pool

__all__ = ["hold", "make_executor", "make_pool"]  # fixtures


class Target:
    """Something to refer to a future."""


def by_callback(executor, target):
    future = executor.submit(abs, 1)
    future.add_done_callback(lambda _: target)
    return future


def by_result(executor, target):
    return executor.submit(lambda: target)


def by_error(executor, target):
    def fail():
        error = ValueError()
        error.target = target
        raise error

    return executor.submit(fail)


def by_argument(executor, target):
    return executor.submit(id, target)


@pytest.mark.parametrize(
    "link", [by_callback, by_result, by_error, by_argument]
)
@pytest.mark.parametrize("cancel", [False, True])
def test_a_future_in_a_cycle_is_collected(make_executor, hold, link, cancel):
    executor = make_executor(1)

    def make():
        held = executor.submit(hold)
        target = Target()
        target.future = link(executor, target)
        if cancel:
            assert target.future.cancel()
        hold.let_go.set()
        held.result(30)
        wait([target.future], 30)
        return weakref.ref(target)

    ref = make()
    eventually(lambda: (gc.collect(), ref() is None)[1])


def test_an_idle_thread_keeps_nothing_alive(make_executor, make_pool):
    executor, pool = make_executor(1), make_pool(1)
    for call in (
        lambda target: executor.submit(lambda value: value, target).result(),
        lambda target: pool.apply(lambda value: value, (target,)),
        lambda target: pool.map(lambda value: value, [target]),
        lambda target: list(pool.imap(lambda value: value, [target])),
    ):
        target = Target()
        ref = weakref.ref(target)
        call(target)
        del target
        eventually(lambda ref=ref: (gc.collect(), ref() is None)[1])


def resident():
    gc.collect()
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[1]) * os.sysconf("SC_PAGESIZE")


USES = {
    "unused": (100_000, lambda: ThreadPoolExecutor()),
    "used once": (1000, lambda: ThreadPoolExecutor(1).submit(abs, 1).result()),
    "daemon": (
        1000,
        lambda: ThreadPoolExecutor(1, daemon=True).submit(abs, 1).result(),
    ),
    "exit_timeout": (
        1000,
        lambda: ThreadPoolExecutor(1, exit_timeout=9).submit(abs, 1).result(),
    ),
    "shut down": (1000, lambda: ThreadPoolExecutor(1).shutdown()),
    "pool": (1000, lambda: ThreadPool(1).apply(abs, (1,))),
}


@pytest.mark.parametrize("use", USES)
def test_many_pools_leave_nothing(use):
    count, function = USES[use]
    for _ in range(count // 10):
        function()
    gc.collect()
    threads, before = native_threads(), resident()
    for _ in range(count):
        function()
    eventually(lambda: native_threads() <= threads)
    eventually(lambda: resident() < before + (20 << 20))


def test_a_million_futures_at_once(tmp_path):
    outcome = run_source(
        tmp_path,
        """
from pyconc.futures import ThreadPoolExecutor, as_completed, wait

with ThreadPoolExecutor(2) as executor:
    futures = [executor.submit(int, 1) for _ in range(1_000_000)]
    assert len(wait(futures).done) == len(futures)
    assert sum(future.result() for future in futures) == len(futures)
    assert sum(1 for _ in as_completed(futures)) == len(futures)
""",
    )
    assert outcome.returncode == 0, outcome.stderr


KEYWORDS = [
    {},
    {"idle_timeout": 0.001},
    {"context": True},
    {"daemon": True},
    {"exit_timeout": 1},
]


class Storm:
    """Tasks of random kinds, and what is known of each."""

    def __init__(self, rng):
        self.executors = [
            ThreadPoolExecutor(
                rng.choice([1, 2, 3, 8]), **rng.choice(KEYWORDS)
            )
            for _ in range(2)
        ]
        self.runs = collections.Counter()
        self.futures = []
        self.called_back = []
        self.lock = threading.Lock()

    def submit(self, executor, depth, number):
        with self.lock:
            key = self.runs.total(), len(self.futures), number
            self.futures.append(None)
            place = len(self.futures) - 1
        try:
            future = executor.submit(self.task, key, executor, depth, number)
        except RuntimeError:
            return None
        future.key = key
        future.add_done_callback(lambda future: self.called_back.append(key))
        self.futures[place] = future
        return future

    def task(self, key, executor, depth, number):
        with self.lock:
            self.runs[key] += 1
        kind, number = number % 10, number // 10
        if kind == 0:
            raise ValueError(number)
        if kind == 1:
            list(executor.map(abs, range(5), buffersize=number % 3 or None))
        elif kind < 7 and depth < 4:
            children = [
                self.submit(executor, depth + 1, number // 4 + n)
                for n in range(number % 4 + 1)
            ]
            wait_somehow(kind, [child for child in children if child])

    def user(self, rng):
        for _ in range(100):
            draw, executor = rng.random(), rng.choice(self.executors)
            known = [future for future in self.futures if future]
            some = rng.sample(known, min(len(known), 5))
            timeout = rng.choice([None, 0, 0.001])
            try:
                if draw < 0.5:
                    self.submit(executor, 0, rng.getrandbits(40))
                elif draw < 0.6:
                    for future in some[:2]:
                        future.cancel()
                elif draw < 0.7:
                    wait(some, timeout)
                elif draw < 0.8:
                    list(as_completed(some, timeout))
                elif draw < 0.995:
                    for future in some:
                        future.result(timeout)
                else:
                    executor.shutdown(
                        wait=rng.random() < 0.5,
                        cancel_futures=rng.random() < 0.5,
                    )
            except (CancelledError, RuntimeError, TimeoutError, ValueError):
                pass

    def check(self):
        for executor in self.executors:
            executor.shutdown()
        futures = [future for future in self.futures if future]
        assert [future for future in futures if not future.done()] == []
        for future in futures:
            assert self.runs[future.key] == (not future.cancelled())
        assert sorted(self.called_back) == sorted(f.key for f in futures)


def wait_somehow(kind, futures):
    if kind == 2:
        wait(futures)
    elif kind == 3:
        wait(futures, return_when="FIRST_COMPLETED")
    elif kind == 4:
        wait(futures, return_when="FIRST_EXCEPTION")
    elif kind == 5:
        list(as_completed(futures))
    else:
        for future in futures:
            try:
                future.result()
            except (CancelledError, RuntimeError, ValueError):
                pass


def all_at_once(function, rngs):
    """Call function(rng) in a thread for each; raise what one raised."""
    errors = []

    def call(rng):
        try:
            function(rng)
        except BaseException as error:
            errors.append(error)

    threads = [
        threading.Thread(target=call, args=(rng,), daemon=True)
        for rng in rngs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@pytest.mark.parametrize("number", range(20))
def test_a_storm_of_calls_loses_and_repeats_nothing(rng, number):
    for _ in range(3):
        storm = Storm(rng)
        users = [type(rng)(rng.getrandbits(64)) for _ in range(4)]
        all_at_once(storm.user, users)
        storm.check()


@pytest.mark.parametrize("end", ["close", "terminate"])
@pytest.mark.parametrize("number", range(5))
def test_a_storm_of_calls_on_a_pool_that_ends(make_pool, rng, end, number):
    pool = make_pool(rng.choice([1, 2, 4]))

    def task(number, depth=3):
        kind, rest = number % 12, number // 12
        if depth == 0:
            return
        work = functools.partial(task, depth=depth - 1)
        if kind == 0:
            pool.map(work, [rest, rest + 1, rest + 2])
        elif kind == 1:
            list(pool.imap(work, [rest, rest + 1, rest + 2], 1 + rest % 2))
        elif kind == 2:
            list(pool.imap_unordered(work, [rest, rest + 1, rest + 2]))
        elif kind == 3:
            pool.apply(work, (rest,))
        elif kind == 4:
            results = [pool.apply_async(work, (rest,)) for _ in range(3)]
            results[1].wait()
            results[2].get()

    def user(rng):
        for _ in range(50):
            try:
                if rng.random() < 0.01:
                    getattr(pool, end)()
                task(rng.getrandbits(50) // 12 * 12 + rng.randrange(5))
            except (ValueError, PoolTerminatedError):
                pass

    all_at_once(user, [type(rng)(rng.getrandbits(64)) for _ in range(4)])
    getattr(pool, end)()
    pool.join()


@pytest.mark.parametrize("threads", [1, 2])
def test_a_thread_that_ends_for_idleness_leaves_no_task(
    make_executor, rng, threads
):
    timeout = 0.0005
    executor = make_executor(threads, idle_timeout=timeout)
    for _ in range(2000):
        # come about when the thread goes
        end = time.perf_counter() + rng.uniform(0.5, 1.5) * timeout
        while time.perf_counter() < end:
            pass
        futures = [executor.submit(int) for _ in range(threads)]
        assert wait(futures, 20).not_done == set()


# asyncio


def test_a_loop_uses_an_executor_of_threads():
    async def main():
        executor = ThreadPoolExecutor(2)
        asyncio.get_running_loop().set_default_executor(executor)
        values = await asyncio.gather(
            *(asyncio.to_thread(abs, -n) for n in range(200))
        )
        return values, weakref.ref(executor)

    values, ref = asyncio.run(main())
    assert values == list(range(200))
    eventually(lambda: (gc.collect(), ref() is None)[1])


def test_futures_of_threads_are_awaited(make_executor, hold):
    executor = make_executor(2)

    async def main():
        futures = [executor.submit(abs, -n) for n in range(200)]
        assert await asyncio.gather(*futures) == list(range(200))
        with pytest.raises(ZeroDivisionError):
            await executor.submit(divmod, 1, 0)
        seen = [
            future.result()
            async for future in as_completed_async(
                [executor.submit(abs, -n) for n in range(50)]
            )
        ]
        assert sorted(seen) == list(range(50))
        held = [executor.submit(hold) for _ in range(2)]
        queued = executor.submit(abs, 1)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(queued, 0.05)
        hold.let_go.set()
        assert queued.cancelled()
        assert [await future for future in held] == [None, None]

    asyncio.run(main())
