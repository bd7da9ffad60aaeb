"""Tasks that block, pools that idle, and the memory that work leaves."""

from __future__ import annotations

import functools
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import harness
import operations
from harness import Case, Goal, Implementation, Row, Session
from tasks import identity, sleep_in_a_row, stamp_and_sleep

BLOCKING_WORKERS = 32
BLOCKING_SECONDS = 0.001
BLOCKING_TASKS_PER_WORKER = 500
QUICK_BLOCKING_TASKS_PER_WORKER = 50

# Longer than the workers need to start: none can take a second task.
STARTED_TASKS_SECONDS = 0.03
STARTED_TASKS_TRIALS = 10

IDLE_SECONDS = 2.0
QUICK_IDLE_SECONDS = 0.5

FINISHED_TASKS = 1_000_000
# More would take the standard library a minute.
FINISHED_STDLIB_TASKS = 50_000
QUICK_DIVISOR = 10

Opener = Callable[[Implementation, int], Any]


# Blocking tasks


def share_of_ideal(
    implementation: Implementation,
    map_all: Callable[[Any, list[float]], object],
    opened: Opener,
    workers: int,
    times: int,
    bare_seconds: float,
) -> float:
    """Return the throughput in percent of that of bare loops."""
    naps = [BLOCKING_SECONDS] * (times * workers)
    with opened(implementation, workers) as pool:
        map_all(pool, naps[: len(naps) // 10])
        start = time.perf_counter()
        map_all(pool, naps)
        seconds = time.perf_counter() - start
    return 100 * times * bare_seconds / seconds


def pool_map(pool: Any, naps: list[float]) -> object:
    return pool.map(time.sleep, naps, chunksize=1)


def executor_submit_all(executor: Any, naps: list[float]) -> object:
    futures = [executor.submit(time.sleep, nap) for nap in naps]
    return [future.result() for future in futures]


def sleep_in_processes(
    side: Implementation, processes: int, times: int
) -> list[float]:
    naps = [(times, BLOCKING_SECONDS)] * processes
    with side.pool(processes) as pool:
        slept: list[float] = pool.starmap(sleep_in_a_row, naps, chunksize=1)
    return slept


def throughput_rows(
    session: Session,
    sleep_abreast: Callable[[Implementation, int, int], list[float]],
    workers: int,
    pools: list[tuple[str, Callable[[Any, list[float]], object], Opener]],
    target: float,
) -> Iterator[Row]:
    times = (
        QUICK_BLOCKING_TASKS_PER_WORKER
        if session.quick
        else BLOCKING_TASKS_PER_WORKER
    )

    # What the machine makes of as many sleepers with no pool between the
    # sleeps.  That, and not the nominal millisecond, is the ideal: the
    # kernel adds its timer slack to each sleep, and dozens of workers that
    # wake get in each other's way on few cores.
    bare = session.measure(
        Row(f"bare loop of sleep(0.001), {workers} abreast", "ms"),
        lambda side: (
            1e3 * statistics.mean(sleep_abreast(side, workers, times))
        ),
    )
    yield bare
    for name, map_all, opened in pools:
        yield session.measure(
            Row(
                f"sleep(0.001) x {workers}, {name}",
                "%",
                Goal("at least", target),
            ),
            functools.partial(
                share_of_ideal,
                map_all=map_all,
                opened=opened,
                workers=workers,
                times=times,
                bare_seconds=statistics.median(bare.stdlib + bare.candidate)
                / 1e3,
            ),
        )


def last_start_ms(
    implementation: Implementation,
    map_all: Callable[[Any, list[float]], Any],
    opened: Opener,
) -> float:
    """Return how long after the call the last of 32 tasks started."""
    naps = [STARTED_TASKS_SECONDS] * BLOCKING_WORKERS
    delays = []
    with opened(implementation, BLOCKING_WORKERS) as pool:
        map_all(pool, naps)
        for _ in range(STARTED_TASKS_TRIALS):
            # Time for every worker to fall asleep.
            time.sleep(STARTED_TASKS_SECONDS)
            called = time.monotonic()
            delays.append(max(map_all(pool, naps)) - called)
    return statistics.median(delays) * 1e3


def start_rows(session: Session) -> Iterator[Row]:
    def pool_stamps(pool: Any, naps: list[float]) -> Any:
        return pool.map(stamp_and_sleep, naps, chunksize=1)

    def executor_stamps(executor: Any, naps: list[float]) -> Any:
        futures = [executor.submit(stamp_and_sleep, nap) for nap in naps]
        return [future.result() for future in futures]

    for name, map_all, opened in [
        ("Pool.map", pool_stamps, operations.open_pool),
        ("executor submit", executor_stamps, operations.open_executor),
    ]:
        yield session.measure(
            Row(
                f"32 blocking tasks started, {name}", "ms", Goal("at most", 2)
            ),
            functools.partial(last_start_ms, map_all=map_all, opened=opened),
        )


# Idle pools


def family() -> list[str]:
    """List this process and its children."""
    pids = [str(os.getpid())]
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parent = stat_fields(entry)[1]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent == pids[0]:
                pids.append(entry)
    return pids


def stat_fields(pid: str) -> list[str]:
    """Return the fields of /proc/pid/stat from the state (3) on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def cpu_ticks(pids: list[str]) -> int:
    """Add up utime (14) and stime (15)."""
    return sum(int(ticks) for pid in pids for ticks in stat_fields(pid)[11:13])


def wakeups(pids: list[str]) -> int:
    """Count how often a thread of these processes went to sleep."""
    total = 0
    for pid in pids:
        for status in Path(f"/proc/{pid}/task").glob("*/status"):
            for line in status.read_text().splitlines():
                if line.startswith("voluntary_ctxt_switches"):
                    total += int(line.split()[1])
    return total


def idle_rows(
    session: Session, workers: int, pools: list[tuple[str, Opener]]
) -> Iterator[Row]:
    seconds = QUICK_IDLE_SECONDS if session.quick else IDLE_SECONDS
    for name, opened in pools:
        label = f"idle {name}({workers})"
        ticks = Row(f"{label}, CPU ticks", "", Goal("at most", 0))
        sleeps = Row(f"{label}, wake-ups", "")
        for side, seen_ticks, seen_sleeps in [
            (session.stdlib, ticks.stdlib, sleeps.stdlib),
            (session.candidate, ticks.candidate, sleeps.candidate),
        ]:
            with opened(side, workers) as pool:
                # So long that none takes a second task: all are started.
                naps = [QUICK_IDLE_SECONDS] * workers
                list(pool.map(time.sleep, naps, chunksize=1))
                list(pool.map(identity, range(1000)))
                time.sleep(QUICK_IDLE_SECONDS)
                pids = family()
                # Counting wake-ups takes time: not between the ticks.
                sleeps_before = wakeups(pids)
                ticks_before = cpu_ticks(pids)
                time.sleep(seconds)
                ticks_after = cpu_ticks(pids)
                sleeps_after = wakeups(pids)
            seen_ticks.append(ticks_after - ticks_before)
            # Less our own sleep just now.
            seen_sleeps.append(sleeps_after - sleeps_before - 1)
        yield ticks
        yield sleeps


# Memory


def resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def send_growth(connection: Connection, name: str, count: int) -> None:
    """Run in a fresh process, whose memory nobody has used before."""
    implementation = Implementation(name)
    with implementation.executor(2) as executor:
        operations.SUBMIT_ALL.run(implementation, executor, [1] * 1000)
        before = resident_megabytes()
        operations.SUBMIT_ALL.run(implementation, executor, [1] * count)
        # Some allocators give memory back a little later.
        time.sleep(1)
        connection.send(resident_megabytes() - before)


def growth(implementation: Implementation, count: int) -> float:
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(
        target=send_growth, args=(sender, implementation.name, count)
    )
    process.start()
    sender.close()
    with receiver:
        megabytes: float = receiver.recv()
    process.join()
    return megabytes


def memory_rows(session: Session) -> Iterator[Row]:
    divisor = QUICK_DIVISOR if session.quick else 1
    for side, count, goal in [
        (session.stdlib, FINISHED_STDLIB_TASKS, None),
        (session.candidate, FINISHED_TASKS, Goal("at most", 20)),
    ]:
        if side.name == "stdlib":
            count = FINISHED_STDLIB_TASKS
        count //= divisor
        row = Row(f"memory kept after {count:,} tasks", "MB", goal)
        figures = row.candidate if goal else row.stdlib
        figures.append(growth(side, count))
        yield row


def cases() -> list[Case]:
    return [
        Case(
            "blocking tasks, throughput",
            functools.partial(
                throughput_rows,
                sleep_abreast=sleep_in_processes,
                workers=BLOCKING_WORKERS,
                pools=[
                    ("Pool.map", pool_map, operations.open_pool),
                    (
                        "executor submit",
                        executor_submit_all,
                        operations.open_executor,
                    ),
                ],
                target=90,
            ),
        ),
        Case("blocking tasks, start", start_rows),
        Case(
            "idle pool",
            functools.partial(
                idle_rows,
                workers=2,
                pools=[
                    ("Pool", operations.open_pool),
                    ("executor", operations.open_executor),
                ],
            ),
        ),
        Case("memory kept", memory_rows),
    ]


if __name__ == "__main__":
    harness.main({"resources": cases()})
