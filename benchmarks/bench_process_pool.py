"""Cost of a tiny task on two workers, per task, under fork."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
from collections.abc import Callable, Iterator
from typing import Any

import harness
import operations
from harness import Case, Goal, Implementation, Operation, Row, Session
from operations import open_pool
from tasks import Point

QUICK_DIVISOR = 10

# A batch takes the standard library about a second.
# (operation, tasks, target for ints, target for small objects)
CASES = [
    (operations.SUBMIT_ALL, 8_000, 100, 30),
    (operations.SUBMIT_ONE, 3_000, 80, 40),
    (operations.EXECUTOR_MAP, 8_000, 100, 40),
    (operations.MAP_ONE_BY_ONE, 20_000, 25, 12),
    (operations.IMAP, 20_000, 25, 12),
    (operations.IMAP_UNORDERED, 20_000, 25, 12),
    (operations.STARMAP, 20_000, 20, 10),
    (operations.APPLY, 2_500, 60, 40),
    (operations.APPLY_ASYNC, 15_000, 30, 15),
]

DEFAULT_CHUNKS_TASKS = 1_000_000


def make_points(count: int) -> list[Point]:
    return [Point(number, -number) for number in range(count)]


def make_integers(count: int) -> list[int]:
    return list(range(count))


def ratio_case(
    operation: Operation,
    kind: str,
    make_items: Callable[[int], list[Any]],
    count: int,
    target: float | None,
    workers: int = 2,
) -> Case:
    name = f"{operation.name}, {kind}"

    def rows(session: Session) -> Iterator[Row]:
        items = make_items(count // QUICK_DIVISOR if session.quick else count)
        yield session.measure(
            Row(name, "us", Goal("ratio", target) if target else None),
            lambda side: (
                operation.seconds_per_task(side, items, workers) * 1e6
            ),
        )

    return Case(name, rows)


def _burn_cpu() -> None:
    while True:
        pass


@contextlib.contextmanager
def open_pool_beside_hog(
    implementation: Implementation, processes: int
) -> Iterator[Any]:
    # Started by the standard library for both sides: it is no part of
    # what is measured.
    hog = multiprocessing.get_context("fork").Process(
        target=_burn_cpu, daemon=True
    )
    hog.start()
    try:
        with open_pool(implementation, processes) as pool:
            yield pool
    finally:
        hog.kill()
        hog.join()


def cases() -> list[Case]:
    beside_hog = dataclasses.replace(
        operations.MAP,
        name=f"{operations.MAP.name}, CPU hog beside",
        open=open_pool_beside_hog,
    )
    return [
        *(
            ratio_case(operation, "int", make_integers, count, target)
            for operation, count, target, _ in CASES
        ),
        *(
            ratio_case(operation, "object", make_points, count, target)
            for operation, count, _, target in CASES
        ),
        ratio_case(
            operations.MAP, "int", make_integers, DEFAULT_CHUNKS_TASKS, 2
        ),
        ratio_case(beside_hog, "int", make_integers, DEFAULT_CHUNKS_TASKS, 1),
    ]


if __name__ == "__main__":
    harness.main({"process_pool": cases()})
