"""Does the cost of a task stay the same with more tasks, more workers?"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

import harness
import operations
from harness import Case, Goal, Operation, Row, Session

TASK_COUNTS = [1_000, 10_000, 100_000, 1_000_000]
QUICK_TASK_COUNTS = [1_000, 10_000, 100_000]
# More would take the standard library minutes.
MOST_STDLIB_TASKS = 10_000

WORKER_COUNTS = [1, 2, 4, 8, 16, 32]
TASKS_PER_WORKER_COUNT = 5_000
QUICK_TASKS_PER_WORKER_COUNT = 1_000


def spread(name: str, rows: list[Row], limit: float) -> Row:
    """Compare the dearest with the cheapest task of a series."""

    def dearest_to_cheapest(medians: list[float]) -> list[float]:
        return [max(medians) / min(medians)] if medians else []

    return Row(
        name,
        "x",
        Goal("at most", limit),
        stdlib=dearest_to_cheapest(
            [statistics.median(row.stdlib) for row in rows if row.stdlib]
        ),
        candidate=dearest_to_cheapest(
            [statistics.median(row.candidate) for row in rows]
        ),
    )


@dataclass
class Step:
    """One point of a series."""

    row: Row
    tasks: int
    workers: int = 2


def measure_series(
    session: Session, operation: Operation, steps: list[Step], limit: float
) -> Iterator[Row]:
    # Round by round and not step by step: a change of the machine's mood
    # must not look like a difference between the steps.
    for _ in range(session.rounds):
        for step in steps:
            items = list(range(step.tasks))
            session.take_round(
                step.row,
                lambda side, step=step, items=items: (
                    operation.seconds_per_task(side, items, step.workers) * 1e6
                ),
                with_stdlib=step.tasks <= MOST_STDLIB_TASKS,
            )
    rows = [step.row for step in steps]
    yield from rows
    yield spread(f"{operation.name}, dearest to cheapest", rows, limit)


def task_count_case(operation: Operation) -> Case:
    def rows(session: Session) -> Iterator[Row]:
        counts = QUICK_TASK_COUNTS if session.quick else TASK_COUNTS
        if session.candidate.name == "stdlib":
            counts = [n for n in counts if n <= MOST_STDLIB_TASKS]
        steps = [
            Step(Row(f"{operation.name}, tasks: {count:,}", "us"), count)
            for count in counts
        ]
        return measure_series(session, operation, steps, limit=1.5)

    return Case(f"{operation.name}, number of tasks", rows)


def worker_count_case(operation: Operation) -> Case:
    def rows(session: Session) -> Iterator[Row]:
        tasks = (
            QUICK_TASKS_PER_WORKER_COUNT
            if session.quick
            else TASKS_PER_WORKER_COUNT
        )
        steps = [
            Step(
                Row(f"{operation.name}, workers: {workers}", "us"),
                tasks,
                workers,
            )
            for workers in WORKER_COUNTS
        ]
        return measure_series(session, operation, steps, limit=2)

    return Case(f"{operation.name}, number of workers", rows)


def cases() -> list[Case]:
    scaled = [operations.SUBMIT_ALL, operations.MAP_ONE_BY_ONE]
    return [
        *(task_count_case(operation) for operation in scaled),
        *(worker_count_case(operation) for operation in scaled),
    ]


if __name__ == "__main__":
    harness.main({"scaling": cases()})
