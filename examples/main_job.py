"""Read the whole standard library with process pools, twice.

One job, written once, runs on the standard library's pools and on
pyconc's.  Over every .py file of the running interpreter's standard
library it

  (a) hashes each file and counts its words, with Pool.imap_unordered;
  (b) counts the same words line by line, one task a line, with Pool.imap
      at chunksize=1: a line costs about a microsecond to count, so the
      time is the pool's own;
  (c) merges the word counts of all files with ProcessPoolExecutor and
      as_completed.

Both runs must give the same results; their times are printed side by side.
A time includes starting and ending the pool of its step.  Each run has an
interpreter of its own, so that neither works beside what the other has left
in memory.

    python examples/main_job.py [--limit FILES] [--processes N]
                                [--only stdlib|pyconc]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import pickle
import platform
import re
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

WORD = re.compile(rb"[A-Za-z_]+")

# Third-party packages live below the standard library's folder, too.
FOREIGN_FOLDERS = {"site-packages", "dist-packages", "__pycache__"}

# Counts merged by one task of step (c).
MERGE_WIDTH = 16


@dataclass
class Implementation:
    """The two modules that a run takes its pools from."""

    name: str
    multiprocessing: ModuleType
    futures: ModuleType


@dataclass
class FileSummary:
    path: str
    sha256: str
    words: Counter[bytes]


@dataclass
class Results:
    """What a run found out: equal for every correct implementation."""

    sha256: dict[str, str] = field(default_factory=dict)
    words_per_file: dict[str, int] = field(default_factory=dict)
    words_by_line: dict[str, int] = field(default_factory=dict)
    words: Counter[bytes] = field(default_factory=Counter)


@dataclass
class Run:
    results: Results
    seconds: list[float]


# What the workers do.


def summarize_file(path: str) -> FileSummary:
    content = Path(path).read_bytes()
    return FileSummary(
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        words=Counter(WORD.findall(content)),
    )


def count_words(line: bytes) -> int:
    return len(WORD.findall(line))


def merge_counts(counts: list[Counter[bytes]]) -> Counter[bytes]:
    merged: Counter[bytes] = Counter()
    for count in counts:
        merged.update(count)
    return merged


# What the parent does.


def find_sources(limit: int | None) -> list[str]:
    """List the standard library's .py files, its tests too if present."""
    root = sysconfig.get_paths()["stdlib"]
    sources = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(set(subfolders) - FOREIGN_FOLDERS)
        for name in sorted(names):
            path = os.path.join(folder, name)
            # Some systems leave links to files that are not installed.
            if name.endswith(".py") and os.path.isfile(path):
                sources.append(path)
    return sources[:limit]


def read_lines(sources: Iterable[str]) -> dict[str, list[bytes]]:
    return {path: Path(path).read_bytes().splitlines() for path in sources}


def summarize_files(
    implementation: Implementation, processes: int, sources: list[str]
) -> list[FileSummary]:
    with implementation.multiprocessing.Pool(processes) as pool:
        return list(pool.imap_unordered(summarize_file, sources))


def count_line_by_line(
    implementation: Implementation,
    processes: int,
    lines: dict[str, list[bytes]],
) -> dict[str, int]:
    every_line = (line for content in lines.values() for line in content)
    with implementation.multiprocessing.Pool(processes) as pool:
        counts = pool.imap(count_words, every_line, chunksize=1)
        # imap keeps the order, so each file takes the next len(content).
        return {
            path: sum(next(counts) for _ in content)
            for path, content in lines.items()
        }


def in_batches(
    counts: list[Counter[bytes]],
) -> Iterator[list[Counter[bytes]]]:
    for start in range(0, len(counts), MERGE_WIDTH):
        yield counts[start : start + MERGE_WIDTH]


def merge_as_tree(
    implementation: Implementation,
    processes: int,
    counts: list[Counter[bytes]],
) -> Counter[bytes]:
    futures = implementation.futures
    with futures.ProcessPoolExecutor(processes) as executor:
        while len(counts) > 1:
            merges = [
                executor.submit(merge_counts, batch)
                for batch in in_batches(counts)
            ]
            counts = [merge.result() for merge in futures.as_completed(merges)]
    return merge_counts(counts)


def run_job(
    implementation: Implementation,
    processes: int,
    sources: list[str],
    lines: dict[str, list[bytes]],
) -> Run:
    results = Results()
    seconds = []

    start = time.perf_counter()
    summaries = summarize_files(implementation, processes, sources)
    seconds.append(time.perf_counter() - start)
    # Unordered results are put in order to compare them.
    summaries.sort(key=lambda summary: summary.path)
    for summary in summaries:
        results.sha256[summary.path] = summary.sha256
        results.words_per_file[summary.path] = summary.words.total()

    start = time.perf_counter()
    results.words_by_line = count_line_by_line(
        implementation, processes, lines
    )
    seconds.append(time.perf_counter() - start)

    counts = [summary.words for summary in summaries]
    start = time.perf_counter()
    results.words = merge_as_tree(implementation, processes, counts)
    seconds.append(time.perf_counter() - start)

    return Run(results, seconds)


def run_in_own_interpreter(
    implementation: str, arguments: argparse.Namespace
) -> Run:
    """Have this script run the job; return what it found out."""
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "run"
        command = [sys.executable, __file__, "--save", str(saved)]
        command += ["--only", implementation]
        command += ["--processes", str(arguments.processes)]
        if arguments.limit is not None:
            command += ["--limit", str(arguments.limit)]
        subprocess.run(command, check=True)
        run: Run = pickle.loads(saved.read_bytes())
        return run


def find_mistakes(results: Results, sources: list[str]) -> list[str]:
    """Check a run against itself: three ways to count the same words."""
    mistakes = []
    if sorted(results.sha256) != sorted(sources):
        mistakes.append("a file was lost or summarized twice")
    if results.words_by_line != results.words_per_file:
        mistakes.append("line by line the files have other word counts")
    if results.words.total() != sum(results.words_per_file.values()):
        mistakes.append("words were lost or counted twice in the merge")
    return mistakes


def load_implementation(name: str) -> Implementation:
    if name == "stdlib":
        import concurrent.futures
        import multiprocessing

        return Implementation(name, multiprocessing, concurrent.futures)

    from pyconc import futures
    from pyconc import multiprocessing as pyconc_multiprocessing

    return Implementation(name, pyconc_multiprocessing, futures)


def print_times(runs: dict[str, Run], files: int, lines: int) -> None:
    steps = [
        f"(a) {files:,} files, imap_unordered",
        f"(b) {lines:,} lines, imap chunksize=1",
        f"(c) merge {files:,} word counts, as_completed",
        "total",
    ]
    columns = [[*run.seconds, sum(run.seconds)] for run in runs.values()]
    print(f"{'':44}" + "".join(f"{name:>11}" for name in runs), end="")
    print(f"{'ratio':>9}" if len(runs) == 2 else "")
    for step, *times in zip(steps, *columns, strict=True):
        print(f"{step:44}" + "".join(f"{t:9.2f} s" for t in times), end="")
        print(f"{times[0] / times[1]:8.1f}x" if len(times) == 2 else "")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Hash the standard library and count its words with "
        "process pools of the standard library and of pyconc."
    )
    parser.add_argument(
        "--limit", type=int, metavar="FILES", help="read only so many files"
    )
    parser.add_argument(
        "--processes",
        type=int,
        default=len(os.sched_getaffinity(0)),
        metavar="N",
        help="workers per pool (default: the CPUs we may use)",
    )
    parser.add_argument("--only", choices=["stdlib", "pyconc"])
    parser.add_argument(
        "--save",
        type=Path,
        metavar="FILE",
        help="with --only: save the results there and print nothing",
    )
    arguments = parser.parse_args()
    if arguments.save and not arguments.only:
        parser.error("--save goes with --only")
    return arguments


def main() -> int:
    arguments = parse_arguments()
    # Before anything is timed: this also brings every file into the page
    # cache, so that the first run does not read the disk for the second.
    sources = find_sources(arguments.limit)
    lines = read_lines(sources)
    number_of_lines = sum(len(content) for content in lines.values())
    runs: dict[str, Run] = {}
    if arguments.only:
        runs[arguments.only] = run_job(
            load_implementation(arguments.only),
            arguments.processes,
            sources,
            lines,
        )
    if arguments.save:
        arguments.save.write_bytes(pickle.dumps(runs[arguments.only]))
        return 0

    print(
        f"Python {platform.python_version()}, {arguments.processes} workers, "
        f"{os.cpu_count()} CPUs"
    )
    if not arguments.only:
        for name in ["stdlib", "pyconc"]:
            print(f"running on {name} ...", flush=True)
            runs[name] = run_in_own_interpreter(name, arguments)

    print()
    print_times(runs, len(sources), number_of_lines)
    print()

    failed = False
    for name, run in runs.items():
        for mistake in find_mistakes(run.results, sources):
            print(f"{name}: WRONG RESULT: {mistake}")
            failed = True
    first, *others = (run.results for run in runs.values())
    for other in others:
        failed = failed or other != first
        print(f"same results: {'yes' if other == first else 'NO'}")
    frequent = ", ".join(
        f"{word.decode()} {count:,}"
        for word, count in sorted(
            first.words.items(), key=lambda item: (-item[1], item[0])
        )[:5]
    )
    print(f"{first.words.total():,} words; most frequent: {frequent}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
