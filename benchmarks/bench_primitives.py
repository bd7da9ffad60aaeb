"""Locks, conditions and queues: alone, between two threads, among many."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import harness
from harness import Case, Goal, Implementation, Row, Session

OPERATIONS = 100_000
HAND_OVERS = 10_000
QUICK_DIVISOR = 10
STREAMED = 100_000
HEAP_ITEMS = 1000
MANY_THREADS = 64
STEPS_AT_A_TIME = 100
WARM_UP_SECONDS = 0.5
CROWD_SECONDS = 1.0
THREADS_STARTED = 1000

# Both sides run the standard library's code: not slower, but for noise.
SAME_OBJECT = 0.9

Work = Callable[[Implementation, int], None]


def seconds_each(side: Implementation, work: Work, count: int) -> float:
    """Return the seconds of one of `count` operations."""
    return harness.median_of_batches(lambda: [], lambda _: work(side, count)) / count


def beside(work: Callable[[], object], other: Callable[[], object]) -> None:
    """Run `work` here and `other` in a thread of the standard library."""
    thread = threading.Thread(target=other)
    thread.start()
    work()
    thread.join()


# One thread


def put_and_get(kind: str) -> Work:
    def work(side: Implementation, count: int) -> None:
        queue = getattr(side.queue, kind)()
        for i in range(count):
            queue.put(i)
            queue.get()

    return work


def fill_and_empty_heap(side: Implementation, count: int) -> None:
    queue = side.queue.PriorityQueue()
    source = random.Random(1)
    items = [(source.random(), i) for i in range(HEAP_ITEMS)]
    for _ in range(count // HEAP_ITEMS):
        for item in items:
            queue.put(item)
        for _ in items:
            queue.get()


def set_wait_clear(side: Implementation, count: int) -> None:
    event = side.threading.Event()
    for _ in range(count):
        event.set()
        event.wait()
        event.clear()


def with_semaphore(side: Implementation, count: int) -> None:
    semaphore = side.threading.Semaphore()
    for _ in range(count):
        with semaphore:
            pass


def with_condition(side: Implementation, count: int) -> None:
    condition = side.threading.Condition()
    for _ in range(count):
        with condition:
            condition.notify()


def with_lock(kind: str) -> Work:
    def work(side: Implementation, count: int) -> None:
        lock = getattr(side.threading, kind)()
        for _ in range(count):
            with lock:
                pass

    return work


def read_local(side: Implementation, count: int) -> None:
    local = side.threading.local()
    local.value = 1
    for _ in range(count):
        _ = local.value


def start_and_join(side: Implementation, count: int) -> None:
    for _ in range(count):
        thread = side.threading.Thread(target=int)
        thread.start()
        thread.join()


# Two threads


def queue_to_and_fro(side: Implementation, count: int) -> None:
    there, back = side.queue.Queue(), side.queue.Queue()

    def answer() -> None:
        for _ in range(count):
            back.put(there.get())

    def ask() -> None:
        for i in range(count):
            there.put(i)
            back.get()

    beside(ask, answer)


def stream(maxsize: int) -> Work:
    def work(side: Implementation, count: int) -> None:
        queue = side.queue.Queue(maxsize)

        def produce() -> None:
            for i in range(count):
                queue.put(i)

        def consume() -> None:
            for _ in range(count):
                queue.get()

        beside(produce, consume)

    return work


def event_to_and_fro(side: Implementation, count: int) -> None:
    there, back = side.threading.Event(), side.threading.Event()

    def answer() -> None:
        for _ in range(count):
            there.wait()
            there.clear()
            back.set()

    def ask() -> None:
        for _ in range(count):
            there.set()
            back.wait()
            back.clear()

    beside(ask, answer)


def take_turns(side: Implementation, count: int) -> None:
    condition = side.threading.Condition()
    turn = [0]

    def play(me: int) -> None:
        with condition:
            for _ in range(count):
                while turn[0] != me:
                    condition.wait()
                turn[0] = 1 - me
                condition.notify()

    beside(lambda: play(0), lambda: play(1))


def meet(side: Implementation, count: int) -> None:
    barrier = side.threading.Barrier(2)

    def come() -> None:
        for _ in range(count):
            barrier.wait()

    beside(come, come)


# Many threads


def seconds_among(
    side: Implementation,
    threads: int,
    make: Callable[[Implementation], Callable[[], None]],
) -> float:
    """Let threads repeat a step for a while; return seconds per step."""
    step = make(side)
    done = [0] * threads
    gate, stop = threading.Event(), threading.Event()

    def repeat(me: int) -> None:
        gate.wait()
        while not stop.is_set():
            for _ in range(STEPS_AT_A_TIME):
                step()
            done[me] += STEPS_AT_A_TIME

    workers = [threading.Thread(target=repeat, args=(i,)) for i in range(threads)]
    for worker in workers:
        worker.start()
    gate.set()
    time.sleep(WARM_UP_SECONDS)  # all of them have begun
    before, start = sum(done), time.perf_counter()
    time.sleep(CROWD_SECONDS)
    steps, seconds = sum(done) - before, time.perf_counter() - start
    stop.set()
    for worker in workers:
        worker.join()
    return seconds / steps


def queue_step(side: Implementation) -> Callable[[], None]:
    queue = side.queue.Queue()

    def step() -> None:
        queue.put(None)
        queue.get()

    return step


def semaphore_step(side: Implementation) -> Callable[[], None]:
    semaphore = side.threading.Semaphore(2)

    def step() -> None:
        with semaphore:
            pass

    return step


def condition_step(side: Implementation) -> Callable[[], None]:
    condition = side.threading.Condition()

    def step() -> None:
        with condition:
            condition.notify()

    return step


def case_of(name: str, work: Work, count: int, target: float | None = None) -> Case:
    def rows(session: Session) -> Iterator[Row]:
        tasks = count // (QUICK_DIVISOR if session.quick else 1)
        goal = None if target is None else Goal("ratio", target)
        yield session.measure(
            Row(name, "us", goal),
            lambda side: 1e6 * seconds_each(side, work, tasks),
        )

    return Case(name, rows)


def crowd_case(name: str, make: Callable[[Implementation], Any]) -> Case:
    """How much of its throughput with 2 threads is left with 64."""

    def rows(session: Session) -> Iterator[Row]:
        few = Row(f"{name}, 2 threads", "us")
        many = Row(f"{name}, {MANY_THREADS} threads", "us")
        left = Row(
            f"{name}, throughput of 64 threads over that of 2",
            "",
            Goal("at least", 1),
        )
        for row, threads in ((few, 2), (many, MANY_THREADS)):
            yield session.measure(
                row,
                lambda side, threads=threads: 1e6 * seconds_among(side, threads, make),
            )
        left.stdlib = [a / b for a, b in zip(few.stdlib, many.stdlib, strict=True)]
        left.candidate = [
            a / b for a, b in zip(few.candidate, many.candidate, strict=True)
        ]
        yield left

    return Case(name, rows)


def cases() -> list[Case]:
    return [
        case_of("Queue put+get", put_and_get("Queue"), OPERATIONS, 10),
        case_of("LifoQueue put+get", put_and_get("LifoQueue"), OPERATIONS),
        case_of(
            "PriorityQueue put+get",
            put_and_get("PriorityQueue"),
            OPERATIONS,
            6,
        ),
        case_of(
            "PriorityQueue, 1000 tuples in and out",
            fill_and_empty_heap,
            OPERATIONS,
        ),
        case_of(
            "SimpleQueue put+get (the stdlib's)",
            put_and_get("SimpleQueue"),
            OPERATIONS,
            SAME_OBJECT,
        ),
        case_of("Event set+wait+clear", set_wait_clear, OPERATIONS, 8),
        case_of("with Semaphore", with_semaphore, OPERATIONS, 8),
        case_of("with Condition: notify", with_condition, OPERATIONS),
        case_of("with Lock", with_lock("Lock"), OPERATIONS, 1),
        case_of("with RLock", with_lock("RLock"), OPERATIONS, 1),
        case_of("read a local (the stdlib's)", read_local, OPERATIONS, SAME_OBJECT),
        case_of("Thread start+join", start_and_join, THREADS_STARTED, SAME_OBJECT),
        case_of("Queue, one way, two threads", stream(0), STREAMED, 5),
        case_of("Queue(100), one way, two threads", stream(100), STREAMED, 5),
        case_of("Queue(1), one way, two threads", stream(1), HAND_OVERS, 5),
        case_of("two Queues, to and fro", queue_to_and_fro, HAND_OVERS, 5),
        case_of("two Events, to and fro", event_to_and_fro, HAND_OVERS),
        case_of("Condition, taking turns", take_turns, HAND_OVERS, 2.5),
        case_of("Barrier of two", meet, HAND_OVERS, 5),
        crowd_case("Queue put+get", queue_step),
        crowd_case("with Semaphore(2)", semaphore_step),
        crowd_case("with Condition: notify", condition_step),
    ]


if __name__ == "__main__":
    harness.main({"primitives": cases()})
