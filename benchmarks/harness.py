"""Measure two implementations in turn and print them side by side.

Both sides run the same function with the same arguments through the same
calls, on a pool started and warmed up in the same way.  The sides alternate
(stdlib, candidate, stdlib, candidate, ...), so that a change of the
machine's mood meets both; a figure is the median of its rounds.  Only one
side has a pool at a time.  The garbage collector is left as it is.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import machine

RESULTS = Path(__file__).parent / "results"

ROUNDS = 3

# A batch that is over sooner is repeated, and its median taken: a few
# milliseconds are at the mercy of one preemption.  The rule is the same for
# both sides.
SHORTEST_MEASUREMENT = 0.2
MOST_BATCHES = 100

MODULES = {
    "stdlib": ("multiprocessing", "concurrent.futures", "threading", "queue"),
    "pyconc": (
        "pyconc.multiprocessing",
        "pyconc.futures",
        "pyconc.threading",
        "pyconc.queue",
    ),
}

# Units in which less is faster.
TIMES = {"us", "ms"}


class Implementation:
    """The modules that a side takes its pools from."""

    def __init__(self, name: str) -> None:
        multiprocessing, futures, threading, queue = MODULES[name]
        self.name = name
        self.multiprocessing: Any = importlib.import_module(multiprocessing)
        self.pools: Any = importlib.import_module(f"{multiprocessing}.pool")
        self.futures: Any = importlib.import_module(futures)
        self.threading: Any = importlib.import_module(threading)
        self.queue: Any = importlib.import_module(queue)

    def pool(self, processes: int = 2) -> Any:
        return self.multiprocessing.get_context("fork").Pool(processes)

    def executor(self, processes: int = 2) -> Any:
        return self.futures.ProcessPoolExecutor(
            processes, mp_context=self.multiprocessing.get_context("fork")
        )

    def thread_pool(self, threads: int) -> Any:
        return self.pools.ThreadPool(threads)

    def thread_executor(self, threads: int) -> Any:
        return self.futures.ThreadPoolExecutor(threads)


@dataclass
class Goal:
    """What is asked of a figure of the candidate."""

    kind: Literal["ratio", "at least", "at most"]
    value: float

    def __str__(self) -> str:
        if self.kind == "ratio":
            return f"{self.value:g}x"
        return f"{'>=' if self.kind == 'at least' else '<='} {self.value:g}"


@dataclass
class Row:
    """One line of a table: the rounds of both sides."""

    case: str
    unit: str
    goal: Goal | None = None
    # Empty where a side was not measured: what takes pyconc a second may
    # take the standard library a minute.
    stdlib: list[float] = field(default_factory=list)
    candidate: list[float] = field(default_factory=list)
    probes_ns: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float | None:
        """How many times faster the candidate is; None if no times."""
        if self.unit not in TIMES or not self.stdlib or not self.candidate:
            return None
        return statistics.median(self.stdlib) / statistics.median(
            self.candidate
        )

    @property
    def verdict(self) -> str:
        if self.goal is None or not self.candidate:
            return ""
        if self.goal.kind == "ratio":
            reached = self.ratio is not None and self.ratio >= self.goal.value
        elif self.goal.kind == "at least":
            reached = statistics.median(self.candidate) >= self.goal.value
        else:
            reached = statistics.median(self.candidate) <= self.goal.value
        return "OK" if reached else "short"


@dataclass
class Session:
    """The two sides and how thoroughly to measure them."""

    stdlib: Implementation
    candidate: Implementation
    quick: bool
    rounds: int

    def measure(
        self, row: Row, measure_once: Callable[[Implementation], float]
    ) -> Row:
        for _ in range(self.rounds):
            self.take_round(row, measure_once)
        return row

    def take_round(
        self,
        row: Row,
        measure_once: Callable[[Implementation], float],
        with_stdlib: bool = True,
    ) -> None:
        """Measure both sides once, and the machine's mood between them."""
        if with_stdlib:
            row.stdlib.append(measure_once(self.stdlib))
        probe = machine.probe_ns()
        if probe is not None:
            row.probes_ns.append(probe)
        row.candidate.append(measure_once(self.candidate))


@dataclass
class Case:
    """Something to measure; it may take several rows to say it."""

    name: str
    rows: Callable[[Session], Iterator[Row]]


def _items_as_they_are(
    _: Implementation, __: Any, items: list[Any]
) -> list[Any]:
    return items


@dataclass
class Operation:
    """A way to give a pool many small tasks: timed as a batch of them."""

    name: str
    open: Callable[[Implementation, int], AbstractContextManager[Any]]
    # Returns the results, which are checked once the clock has stopped.
    run: Callable[[Implementation, Any, list[Any]], list[Any]]
    in_order: bool = True
    # Makes of the items what run gets; the clock has not started yet.
    prepare: Callable[[Implementation, Any, list[Any]], list[Any]] = (
        _items_as_they_are
    )

    def seconds_per_task(
        self,
        implementation: Implementation,
        items: list[Any],
        processes: int = 2,
    ) -> float:
        """Open a pool, warm it up with a tenth of the items, measure."""
        with self.open(implementation, processes) as pool:
            results: list[Any] = []

            def prepare(items: list[Any] = items) -> list[Any]:
                return self.prepare(implementation, pool, items)

            def batch(prepared: list[Any]) -> None:
                results[:] = self.run(implementation, pool, prepared)

            batch(prepare(items[: max(len(items) // 10, 1)]))
            seconds = median_of_batches(prepare, batch)
        if results != items and (self.in_order or sorted(results) != items):
            raise AssertionError(
                f"{implementation.name}: {self.name}: wrong results"
            )
        return seconds / len(items)


def median_of_batches(
    prepare: Callable[[], list[Any]], batch: Callable[[list[Any]], object]
) -> float:
    times: list[float] = []
    while sum(times) < SHORTEST_MEASUREMENT and len(times) < MOST_BATCHES:
        prepared = prepare()
        start = time.perf_counter()
        batch(prepared)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main(themes: dict[str, list[Case]]) -> None:
    arguments = _parse_arguments(themes)
    session = Session(
        stdlib=Implementation("stdlib"),
        candidate=Implementation(arguments.candidate),
        quick=arguments.quick,
        rounds=arguments.rounds or (1 if arguments.quick else ROUNDS),
    )
    for theme, cases in themes.items():
        chosen = [
            case
            for case in cases
            if not arguments.case
            or any(part in case.name for part in arguments.case)
        ]
        if chosen:
            _run_theme(session, theme, chosen, arguments.save)


def _run_theme(
    session: Session, theme: str, cases: list[Case], save: bool
) -> None:
    where = machine.describe()
    commit = machine.commit()
    print(
        f"\n{theme}: stdlib against {session.candidate.name}, "
        f"commit {commit}\n"
        f"{where['cpu']}, {where['usable_cores']} of {where['cores']} cores, "
        f"Linux {where['kernel']}, Python {where['python']}, "
        f"load {where['load']}\n"
    )
    print(
        f"{'':54}{'stdlib':>13}{session.candidate.name:>13}"
        f"{'ratio':>9}{'target':>10}{'':6}{'probe':>8}"
    )
    probes: list[float] = []
    for case in cases:
        for row in case.rows(session):
            _print_row(row)
            probes += row.probes_ns
            if save:
                _save_row(session, theme, case, row, where, commit)
    print(
        "\nspin ping-pong probe, one way: "
        + (
            f"median {statistics.median(probes):.0f} ns, "
            f"{min(probes):.0f} to {max(probes):.0f} ns"
            if probes
            else "n/a"
        )
    )


def _print_row(row: Row) -> None:
    def figure(values: list[float]) -> str:
        if not values:
            return "-"
        median = statistics.median(values)
        return f"{median:.2f} {row.unit}" if row.unit else f"{median:g}"

    goal = str(row.goal) if row.goal else ""
    ratio = f"{row.ratio:.1f}x" if row.ratio else ""
    probe = (
        f"{statistics.median(row.probes_ns):.0f} ns" if row.probes_ns else ""
    )
    print(
        f"{row.case:54}{figure(row.stdlib):>13}{figure(row.candidate):>13}"
        f"{ratio:>9}{goal:>10} {row.verdict:5}{probe:>8}",
        flush=True,
    )


def _save_row(
    session: Session,
    theme: str,
    case: Case,
    row: Row,
    where: dict[str, object],
    commit: str,
) -> None:
    RESULTS.mkdir(exist_ok=True)
    record = {
        "theme": theme,
        "case": row.case,
        "unit": row.unit,
        "stdlib": row.stdlib,
        "candidate": row.candidate,
        "candidate_name": session.candidate.name,
        "ratio": row.ratio,
        "goal": str(row.goal) if row.goal else None,
        "verdict": row.verdict,
        "probes_ns": row.probes_ns,
        "quick": session.quick,
        "commit": commit,
        "machine": where,
        "time": datetime.datetime.now(datetime.UTC).isoformat("T", "seconds"),
    }
    with open(RESULTS / f"{theme}.jsonl", "a") as results:
        results.write(json.dumps(record) + "\n")


def _parse_arguments(themes: dict[str, list[Case]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Measure the standard library's pools and pyconc's.",
        epilog="cases: "
        + "; ".join(case.name for cases in themes.values() for case in cases),
    )
    parser.add_argument(
        "--quick", action="store_true", help="one round of small batches"
    )
    parser.add_argument(
        "--case",
        action="append",
        metavar="NAME",
        help="measure only the cases with this in their name (repeatable)",
    )
    parser.add_argument(
        "--candidate",
        choices=sorted(MODULES),
        default="pyconc",
        help="what to hold against the stdlib; the stdlib itself shows how "
        "far apart two measurements of the same thing are",
    )
    parser.add_argument("--rounds", type=int, metavar="N")
    parser.add_argument(
        "--save", action="store_true", help="append to results/THEME.jsonl"
    )
    return parser.parse_args()
