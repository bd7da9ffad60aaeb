"""Does the cost of a task stay the same with more tasks, more workers?"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
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


@dataclass
class Comparison:
    """What is made of the costs of a series, and how much it may be."""

    name: str
    compare: Callable[[list[float]], float]
    limit: float

    def row(self, series: str, rows: list[Row]) -> Row:
        def compared(medians: list[float]) -> list[float]:
            return [self.compare(medians)] if len(medians) > 1 else []

        return Row(
            f"{series}, {self.name}",
            "x",
            Goal("at most", self.limit),
            stdlib=compared(
                [statistics.median(row.stdlib) for row in rows if row.stdlib]
            ),
            candidate=compared(
                [statistics.median(row.candidate) for row in rows]
            ),
        )


def dearest_to_cheapest(limit: float) -> Comparison:
    return Comparison(
        "dearest to cheapest", lambda costs: max(costs) / min(costs), limit
    )


def last_to_first(limit: float) -> Comparison:
    return Comparison(
        "last to first", lambda costs: costs[-1] / costs[0], limit
    )


@dataclass
class Step:
    """One point of a series."""

    row: Row
    tasks: int
    workers: int
    with_stdlib: bool = True


def measure_series(
    session: Session,
    operation: Operation,
    steps: list[Step],
    comparison: Comparison,
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
                with_stdlib=step.with_stdlib,
            )
    rows = [step.row for step in steps]
    yield from rows
    yield comparison.row(operation.name, rows)


def task_count_case(
    operation: Operation,
    comparison: Comparison,
    workers: int = 2,
    counts: Sequence[int] = TASK_COUNTS,
    quick_counts: Sequence[int] = QUICK_TASK_COUNTS,
    most_stdlib_tasks: int = MOST_STDLIB_TASKS,
) -> Case:
    def rows(session: Session) -> Iterator[Row]:
        steps = [
            Step(
                Row(f"{operation.name}, tasks: {count:,}", "us"),
                count,
                workers,
                with_stdlib=count <= most_stdlib_tasks,
            )
            for count in (quick_counts if session.quick else counts)
        ]
        if session.candidate.name == "stdlib":
            steps = [step for step in steps if step.with_stdlib]
        return measure_series(session, operation, steps, comparison)

    return Case(f"{operation.name}, number of tasks", rows)


def worker_count_case(
    operation: Operation,
    worker_counts: Sequence[int] = WORKER_COUNTS,
    tasks: int = TASKS_PER_WORKER_COUNT,
    quick_tasks: int = QUICK_TASKS_PER_WORKER_COUNT,
) -> Case:
    def rows(session: Session) -> Iterator[Row]:
        steps = [
            Step(
                Row(f"{operation.name}, workers: {workers}", "us"),
                quick_tasks if session.quick else tasks,
                workers,
            )
            for workers in worker_counts
        ]
        return measure_series(
            session, operation, steps, dearest_to_cheapest(limit=2)
        )

    return Case(f"{operation.name}, number of workers", rows)


def cases() -> list[Case]:
    scaled = [operations.SUBMIT_ALL, operations.MAP_ONE_BY_ONE]
    return [
        *(
            task_count_case(operation, dearest_to_cheapest(limit=1.5))
            for operation in scaled
        ),
        *(worker_count_case(operation) for operation in scaled),
    ]


if __name__ == "__main__":
    harness.main({"scaling": cases()})
