"""Timers: how much one costs among 10^5, and how late it fires.

The standard library has no counterpart of ScheduledThreadPoolExecutor: it is
held against `threading.Timer`, a thread for each timer, and against
`sched.scheduler`, which runs its tasks in the thread that waits for them.
"""

from __future__ import annotations

import random
import sched
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import harness
import machine
from harness import Case, Goal, Implementation, Row, Session

PENDING = 100_000
QUICK_PENDING = 10_000
# sched.scheduler's cancel() searches the list: 40 ms each.
MOST_SCHED_CANCELS = 200
MOST_TIMER_THREADS = 200

FIRINGS = 1000
QUICK_FIRINGS = 200
PER_SECOND = 200
THREADS = 4
HEAD_START = 0.3

NEVER = 1e6


def delays(count: int) -> list[float]:
    source = random.Random(1)
    return [NEVER + NEVER * source.random() for _ in range(count)]


def note_mood(rows: list[Row]) -> None:
    probe = machine.probe_ns()
    for row in rows:
        if probe is not None:
            row.probes_ns.append(probe)


def has_timers(session: Session) -> bool:
    if hasattr(session.candidate.futures, "ScheduledThreadPoolExecutor"):
        return True
    print(f"{session.candidate.name} has no such executor: skipped")
    return False


# Insertion and cancel, in seconds each, with `pending` others about


def ours(side: Implementation, pending: int) -> tuple[float, float]:
    executor = side.futures.ScheduledThreadPoolExecutor(1)
    others = [executor.schedule(delay, int) for delay in delays(pending)]
    times = delays(pending)
    start = time.perf_counter()
    futures = [executor.schedule(delay, int) for delay in times]
    inserted = time.perf_counter() - start
    random.Random(2).shuffle(futures)
    start = time.perf_counter()
    for future in futures:
        future.cancel()
    cancelled = time.perf_counter() - start
    del others
    executor.shutdown(cancel_futures=True)
    return inserted / pending, cancelled / pending


def with_sched(_: Implementation, pending: int) -> tuple[float, float]:
    scheduler = sched.scheduler()
    for delay in delays(pending):
        scheduler.enter(delay, 0, int)
    times = delays(pending)
    start = time.perf_counter()
    events = [scheduler.enter(delay, 0, int) for delay in times]
    inserted = time.perf_counter() - start
    few = random.Random(2).sample(events, MOST_SCHED_CANCELS)
    start = time.perf_counter()
    for event in few:
        scheduler.cancel(event)
    return inserted / pending, (time.perf_counter() - start) / len(few)


def with_timers(_: Implementation, __: int) -> tuple[float, float]:
    """A thread each: 10^5 of them there cannot be."""
    timers = [threading.Timer(NEVER, int) for _ in range(MOST_TIMER_THREADS)]
    start = time.perf_counter()
    for timer in timers:
        timer.start()
    inserted = time.perf_counter() - start
    start = time.perf_counter()
    for timer in timers:
        timer.cancel()
    cancelled = time.perf_counter() - start
    for timer in timers:
        timer.join()
    return inserted / len(timers), cancelled / len(timers)


def cost_rows(
    name: str, theirs: Callable[[Implementation, int], tuple[float, float]]
) -> Callable[[Session], Iterator[Row]]:
    def rows(session: Session) -> Iterator[Row]:
        if not has_timers(session):
            return
        pending = QUICK_PENDING if session.quick else PENDING
        both = [
            Row(f"timer {what}, instead of {name}", "us", Goal("at most", 1))
            for what in ("set", "cancelled")
        ]
        for _ in range(session.rounds):
            for side, work, values in (
                (session.stdlib, theirs, [row.stdlib for row in both]),
                (session.candidate, ours, [row.candidate for row in both]),
            ):
                for value, seconds in zip(values, work(side, pending), strict=True):
                    value.append(1e6 * seconds)
            note_mood(both)
        yield from both

    return rows


# Lateness


def targets(count: int) -> list[float]:
    start = time.monotonic() + HEAD_START
    return [start + i / PER_SECOND for i in range(count)]


def our_lateness(side: Implementation, count: int) -> list[float]:
    late: list[float] = []
    with side.futures.ScheduledThreadPoolExecutor(THREADS) as executor:
        for due in targets(count):
            executor.schedule(due - time.monotonic(), note_lateness, late, due)
    return late


def lateness_of_sched(_: Implementation, count: int) -> list[float]:
    late: list[float] = []
    scheduler = sched.scheduler(time.monotonic)
    for due in targets(count):
        scheduler.enterabs(due, 0, note_lateness, (late, due))
    scheduler.run()
    return late


def lateness_of_timers(_: Implementation, count: int) -> list[float]:
    late: list[float] = []
    timers = []
    for due in targets(count):
        # Not all at once: so many threads are not what anybody would start.
        time.sleep(max(0.0, due - HEAD_START - time.monotonic()))
        timer = threading.Timer(due - time.monotonic(), note_lateness, (late, due))
        timer.start()
        timers.append(timer)
    for timer in timers:
        timer.join()
    return late


def note_lateness(late: list[float], due: float) -> None:
    late.append(time.monotonic() - due)


def lateness_rows(
    name: str, theirs: Callable[[Implementation, int], list[float]]
) -> Callable[[Session], Iterator[Row]]:
    def rows(session: Session) -> Iterator[Row]:
        if not has_timers(session):
            return
        count = QUICK_FIRINGS if session.quick else FIRINGS
        both: list[tuple[Row, int]] = [
            (
                Row(f"timer lateness p{p}, beside {name}", "us", Goal("ratio", 1)),
                p,
            )
            for p in (50, 99)
        ]
        for _ in range(session.rounds):
            for side, work in (
                (session.stdlib, theirs),
                (session.candidate, our_lateness),
            ):
                late: Any = statistics.quantiles(work(side, count), n=100)
                for row, percent in both:
                    values = row.stdlib if side is session.stdlib else row.candidate
                    values.append(1e6 * late[percent - 1])
            note_mood([row for row, _ in both])
        for row, _ in both:
            yield row

    return rows


def cases() -> list[Case]:
    return [
        Case("timers beside sched", cost_rows("sched", with_sched)),
        Case(
            "timers beside threading.Timer",
            cost_rows("threading.Timer", with_timers),
        ),
        Case("lateness beside sched", lateness_rows("sched", lateness_of_sched)),
        Case(
            "lateness beside threading.Timer",
            lateness_rows("threading.Timer", lateness_of_timers),
        ),
    ]


if __name__ == "__main__":
    harness.main({"scheduler": cases()})
