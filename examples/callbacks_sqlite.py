"""Analyse files in processes; callbacks save the results in a database.

SQLite takes one writer at a time, so the workers do not write: apply_async
calls back in the parent, which owns the only connection.  A callback runs in
a thread of the pool, hence check_same_thread=False and the lock.  What a task
raises goes to its error_callback, and is saved as well.

    python examples/callbacks_sqlite.py [--files N] [--processes N]
                                        [--start-method METHOD]
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sqlite3
import statistics
import tempfile
import threading
from contextlib import closing
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path


@dataclass
class Result:
    name: str
    values: int
    mean: float
    median: int


def write_sample_files(folder: Path, files: int) -> list[Path]:
    rng = random.Random(4)
    paths = []
    for number in range(files):
        path = folder / f"run-{number:02}.txt"
        values = [str(rng.randrange(10_000)) for _ in range(1000)]
        if number % 8 == 5:
            values[number] = "overflow"
        path.write_text("\n".join(values))
        paths.append(path)
    return paths


def analyse(path: Path) -> Result:
    """Runs in a worker."""
    values = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.isdecimal():
            raise ValueError(f"line {number} says {line!r}")
        values.append(int(line))
    return Result(
        name=path.name,
        values=len(values),
        mean=statistics.fmean(values),
        median=statistics.median_low(values),
    )


class Database:
    def __init__(self, path: Path) -> None:
        self.lock = threading.Lock()
        self.connection = sqlite3.connect(path, check_same_thread=False)
        self.connection.executescript(
            """
            CREATE TABLE results (
                name TEXT PRIMARY KEY, count INTEGER, mean REAL, median INTEGER
            );
            CREATE TABLE failures (name TEXT PRIMARY KEY, reason TEXT);
            """
        )

    def save_result(self, result: Result) -> None:
        with self.lock, self.connection:  # commits, or rolls back
            self.connection.execute(
                "INSERT INTO results VALUES (?, ?, ?, ?)", astuple(result)
            )

    def save_failure(self, name: str, error: BaseException) -> None:
        with self.lock, self.connection:
            self.connection.execute(
                "INSERT INTO failures VALUES (?, ?)",
                (name, f"{type(error).__name__}: {error}"),
            )

    def report(self) -> None:
        with self.lock:
            count, mean, median = self.connection.execute(
                "SELECT count(*), avg(mean), max(median) FROM results"
            ).fetchone()
            failures = self.connection.execute(
                "SELECT name, reason FROM failures ORDER BY name"
            ).fetchall()
        print(f"{count} results, mean {mean:.2f}, greatest median {median}")
        for name, reason in failures:
            print(f"{name}: {reason}")

    def close(self) -> None:
        self.connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Save a pool's results.")
    parser.add_argument("--files", type=int, default=40, metavar="N")
    parser.add_argument("--processes", type=int, default=2, metavar="N")
    parser.add_argument(
        "--start-method", choices=multiprocessing.get_all_start_methods()
    )
    arguments = parser.parse_args()

    context = multiprocessing.get_context(arguments.start_method)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = write_sample_files(folder, arguments.files)
        with (
            closing(Database(folder / "results.db")) as database,
            context.Pool(arguments.processes) as pool,
        ):
            for path in paths:
                pool.apply_async(
                    analyse,
                    [path],
                    callback=database.save_result,
                    # An error does not know which file it is about.
                    error_callback=partial(database.save_failure, path.name),
                )
            pool.close()
            pool.join()  # after this, every callback has returned
            database.report()


if __name__ == "__main__":
    main()
