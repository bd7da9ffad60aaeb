"""What `python -m pyconc run` costs a program before it does anything."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import harness
from harness import Case, Goal, Implementation, Row, Session

# Not the source tree, whose folder `pyconc` has no extension modules.
ELSEWHERE = tempfile.gettempdir()

STARTS = 20
QUICK_STARTS = 4

TIME_IMPORT = """
import timeit
def function():
    {statement}
print(min(timeit.repeat(function, number=20000, repeat=5)) / 20000)
"""


def command(side: Implementation, code: str) -> list[str]:
    run = [] if side.name == "stdlib" else ["-m", "pyconc", "run"]
    return [sys.executable, *run, "-c", code]


def start_case(code: str, most: float | None) -> Case:
    name = f"python -c {code!r}"

    def rows(session: Session) -> Iterator[Row]:
        def milliseconds(side: Implementation) -> float:
            times = []
            for _ in range(QUICK_STARTS if session.quick else STARTS):
                start = time.perf_counter()
                subprocess.run(command(side, code), check=True, cwd=ELSEWHERE)
                times.append(time.perf_counter() - start)
            return statistics.median(times) * 1e3

        row = session.measure(Row(name, "ms"), milliseconds)
        yield row
        more = Row(f"{name}, more than without", "ms")
        if most is not None:
            more.goal = Goal("at most", most)
        more.probes_ns = row.probes_ns
        more.candidate = [
            candidate - stdlib
            for stdlib, candidate in zip(
                row.stdlib, row.candidate, strict=False
            )
        ]
        yield more

    return Case(name, rows)


def import_case(statement: str) -> Case:
    name = f"{statement}, in a function, again"

    def rows(session: Session) -> Iterator[Row]:
        def microseconds(side: Implementation) -> float:
            code = TIME_IMPORT.format(statement=statement)
            done = subprocess.run(
                command(side, code),
                check=True,
                cwd=ELSEWHERE,
                capture_output=True,
                text=True,
            )
            return float(done.stdout) * 1e6

        yield session.measure(Row(name, "us"), microseconds)

    return Case(name, rows)


def cases() -> list[Case]:
    return [
        start_case("pass", most=30),
        start_case("import threading", most=None),
        start_case("import multiprocessing", most=None),
        import_case("import json"),
        import_case("import queue"),
    ]


if __name__ == "__main__":
    harness.main({"launch": cases()})
