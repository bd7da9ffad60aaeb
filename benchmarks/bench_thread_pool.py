"""Threads: tiny tasks, tasks that block, tasks that hold the GIL."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import bench_process_pool
import bench_resources
import bench_scaling
import harness
import operations
from bench_process_pool import QUICK_DIVISOR, make_integers, ratio_case
from bench_resources import BLOCKING_SECONDS, Opener
from harness import Case, Goal, Implementation, Operation, Row, Session
from operations import in_threads, open_thread_executor, open_thread_pool
from tasks import identity, loop_in_python, sleep_in_a_row

THREADS = 4

# A batch takes the standard library about a second.
# (operation, tasks, target)
CASES = [
    (operations.SUBMIT_ALL, 40_000, 20),
    (operations.SUBMIT_ONE, 20_000, 30),
    (operations.EXECUTOR_MAP, 40_000, 20),
    (operations.MAP_ONE_BY_ONE, 100_000, 8),
    (operations.IMAP, 50_000, None),
    (operations.APPLY, 15_000, 50),
    (operations.APPLY_ASYNC, 30_000, None),
    (operations.MAP, bench_process_pool.DEFAULT_CHUNKS_TASKS, 1),
]

MANY_THREADS = 64

THREAD_COUNTS = [1, 2, 4, 8, 16, 32, 64]
TASKS_PER_THREAD_COUNT = 20_000
QUICK_TASKS_PER_THREAD_COUNT = 5_000

FUTURE_COUNTS = [100_000, 1_000_000]
QUICK_FUTURE_COUNTS = [10_000, 100_000]
# More would take the standard library a minute.
MOST_STDLIB_FUTURES = 100_000

# More than a second of work, with dozens of pauses.
LOOPS = 640
# Less than a tenth of the interval at which threads take turns: a shorter
# gap is no turn of another thread.
SHORTEST_PAUSE = 0.0005

PEER_TASKS = 20_000


# Tasks that block


def sleep_in_threads(
    _: Implementation, threads: int, times: int
) -> list[float]:
    slept: list[float] = []
    sleepers = [
        threading.Thread(
            target=lambda: slept.append(
                sleep_in_a_row(times, BLOCKING_SECONDS)
            )
        )
        for _ in range(threads)
    ]
    for sleeper in sleepers:
        sleeper.start()
    for sleeper in sleepers:
        sleeper.join()
    return slept


# Tasks that hold the GIL


def map_async(
    _: Implementation,
    pool: Any,
    items: list[Any],
    function: Callable[[Any], Any],
) -> object:
    return pool.map_async(function, items, chunksize=1)


def pause_ms(
    side: Implementation,
    opened: Opener,
    start: Callable[..., object],
    items: list[int],
    choose: Callable[[list[float]], float],
) -> float:
    """Return for how long this thread stands still beside busy ones."""
    finished: list[int] = []

    def work(item: int) -> None:
        finished.append(loop_in_python(item))

    pauses = []
    with opened(side, THREADS) as pool:
        list(pool.map(identity, range(1000)))
        pending = start(side, pool, items, function=work)
        last = time.perf_counter()
        while len(finished) < len(items):
            now = time.perf_counter()
            if now - last > SHORTEST_PAUSE:
                pauses.append(now - last)
            last = now
        del pending
    if sorted(finished) != items:
        raise AssertionError(f"{side.name}: wrong results beside a busy loop")
    return 1e3 * choose(pauses or [SHORTEST_PAUSE])


def pause_rows(session: Session) -> Iterator[Row]:
    items = make_integers(LOOPS // QUICK_DIVISOR if session.quick else LOOPS)
    for name, opened, start in [
        ("thread executor", open_thread_executor, operations.submit_each),
        ("ThreadPool", open_thread_pool, map_async),
    ]:
        for which, choose in [("longest", max), ("median", statistics.median)]:
            yield session.measure(
                Row(
                    f"main's {which} pause beside loops, {name}",
                    "ms",
                    Goal("ratio", 1),
                ),
                functools.partial(
                    pause_ms,
                    opened=opened,
                    start=start,
                    items=items,
                    choose=choose,
                ),
            )


# What a user might take instead

MAP_ONE_BY_ONE = in_threads(operations.MAP_ONE_BY_ONE)
SUBMIT_ONE = in_threads(operations.SUBMIT_ONE)

# (the peer's operation, ours)
Rivals = list[tuple[Operation, Operation]]


def joblib_rivals(joblib: Any) -> Rivals:
    parallel = Operation(
        "joblib Parallel",
        lambda _, threads: joblib.Parallel(threads, backend="threading"),
        lambda _, parallel, items: parallel(
            joblib.delayed(identity)(item) for item in items
        ),
    )
    return [(parallel, MAP_ONE_BY_ONE)]


def pebble_rivals(pebble: Any) -> Rivals:
    def opened(_: Implementation, threads: int) -> Any:
        return pebble.ThreadPool(threads)

    return [
        (
            Operation(
                "pebble map",
                opened,
                lambda _, pool, items: list(
                    pool.map(identity, items).result()
                ),
            ),
            MAP_ONE_BY_ONE,
        ),
        (
            dataclasses.replace(
                SUBMIT_ONE, name="pebble round trip", open=opened
            ),
            SUBMIT_ONE,
        ),
    ]


def peer_case(name: str, rivals: Callable[[Any], Rivals]) -> Case:
    def rows(session: Session) -> Iterator[Row]:
        try:
            module = importlib.import_module(name)
        except ImportError:
            print(f"{name} is not installed: skipped")
            return
        items = make_integers(
            PEER_TASKS // QUICK_DIVISOR if session.quick else PEER_TASKS
        )
        for theirs, ours in rivals(module):
            yield session.measure(
                Row(f"instead of stdlib: {theirs.name}", "us"),
                lambda side, theirs=theirs, ours=ours: (
                    1e6
                    * (
                        theirs if side is session.stdlib else ours
                    ).seconds_per_task(side, items, THREADS)
                ),
            )

    return Case(f"beside {name}", rows)


def cases() -> list[Case]:
    ratio_in_threads = functools.partial(
        ratio_case,
        kind="int",
        make_items=make_integers,
        workers=THREADS,
    )
    return [
        *(
            ratio_in_threads(in_threads(operation), count=count, target=target)
            for operation, count, target in CASES
        ),
        Case(
            "blocking tasks in threads",
            functools.partial(
                bench_resources.throughput_rows,
                sleep_abreast=sleep_in_threads,
                workers=MANY_THREADS,
                pools=[
                    (
                        "thread executor submit",
                        bench_resources.executor_submit_all,
                        open_thread_executor,
                    ),
                    (
                        "ThreadPool.map",
                        bench_resources.pool_map,
                        open_thread_pool,
                    ),
                ],
                target=95,
            ),
        ),
        bench_scaling.task_count_case(
            in_threads(operations.AS_COMPLETED),
            bench_scaling.last_to_first(limit=1.5),
            workers=THREADS,
            counts=FUTURE_COUNTS,
            quick_counts=QUICK_FUTURE_COUNTS,
            most_stdlib_tasks=MOST_STDLIB_FUTURES,
        ),
        *(
            bench_scaling.worker_count_case(
                in_threads(operation),
                worker_counts=THREAD_COUNTS,
                tasks=TASKS_PER_THREAD_COUNT,
                quick_tasks=QUICK_TASKS_PER_THREAD_COUNT,
            )
            for operation in [operations.SUBMIT_ALL, operations.MAP_ONE_BY_ONE]
        ),
        Case(
            "idle threads",
            functools.partial(
                bench_resources.idle_rows,
                workers=MANY_THREADS,
                pools=[
                    ("thread executor", open_thread_executor),
                    ("ThreadPool", open_thread_pool),
                ],
            ),
        ),
        *(
            ratio_in_threads(in_threads(operation), count=LOOPS, target=1)
            for operation in [
                operations.SUBMIT_ALL_LOOPS,
                operations.MAP_LOOPS,
            ]
        ),
        Case("pauses beside loops", pause_rows),
        peer_case("joblib", joblib_rivals),
        peer_case("pebble", pebble_rivals),
    ]


if __name__ == "__main__":
    harness.main({"thread_pool": cases()})
