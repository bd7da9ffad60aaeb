"""Parse files in processes, write the results in threads: two pools in a row.

Parsing costs CPU time, so it is done by processes; writing waits for the
disk, so threads do it.  imap_unordered ties them together: the thread pool
takes each result of the process pool as soon as it is there, in any order,
and nobody waits for a whole stage to end.

    python examples/pipeline.py [--files N] [--lines N] [--processes N]
                                [--threads N] [--start-method METHOD]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import tempfile
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any, TypedDict


class Summary(TypedDict):
    name: str
    readings: int
    rejected: int
    stations: dict[str, dict[str, int]]


def write_sample_files(folder: Path, files: int, lines: int) -> list[Path]:
    """Write what weather stations measured: station, tenths of a degree."""
    rng = random.Random(3)
    heights = {"harbour": 0, "hill": 40, "mast": 15, "summit": 120}
    paths = []
    for day in range(1, files + 1):
        path = folder / f"day-{day:02}.csv"
        with path.open("w") as csv:
            for _ in range(lines):
                station = rng.choice(list(heights))
                value = rng.randrange(-50, 300) - heights[station]
                reading = value if value % 50 else "n/a"
                print(station, reading, sep=",", file=csv)
        paths.append(path)
    return paths


def parse(path: Path) -> Summary:
    """Summarize one file; runs in a process."""
    values: dict[str, list[int]] = {}
    rejected = 0
    with path.open() as csv:
        for line in csv:
            station, _, reading = line.strip().partition(",")
            try:
                values.setdefault(station, []).append(int(reading))
            except ValueError:
                rejected += 1
    return Summary(
        name=path.stem,
        readings=sum(map(len, values.values())),
        rejected=rejected,
        stations={
            station: {"lowest": min(found), "highest": max(found)}
            for station, found in sorted(values.items())
            if found
        },
    )


def write(folder: Path, summary: Summary) -> Path:
    """Write one summary; runs in a thread."""
    path = folder / f"{summary['name']}.json"
    path.write_text(json.dumps(summary))
    return path


def print_report(paths: list[Path]) -> None:
    summaries: list[Any] = [json.loads(path.read_text()) for path in paths]
    readings = sum(summary["readings"] for summary in summaries)
    rejected = sum(summary["rejected"] for summary in summaries)
    print(f"{len(paths)} files written")
    print(f"{readings:,} readings, {rejected:,} lines rejected")
    for station in sorted(set().union(*(s["stations"] for s in summaries))):
        found = [
            summary["stations"][station]
            for summary in summaries
            if station in summary["stations"]
        ]
        lowest = min(each["lowest"] for each in found) / 10
        highest = max(each["highest"] for each in found) / 10
        print(f"{station:8}{lowest:7.1f} to{highest:6.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Chain two pools.")
    parser.add_argument("--files", type=int, default=30, metavar="N")
    parser.add_argument("--lines", type=int, default=2000, metavar="N")
    parser.add_argument("--processes", type=int, default=2, metavar="N")
    parser.add_argument("--threads", type=int, default=4, metavar="N")
    parser.add_argument(
        "--start-method", choices=multiprocessing.get_all_start_methods()
    )
    arguments = parser.parse_args()

    context = multiprocessing.get_context(arguments.start_method)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = write_sample_files(folder, arguments.files, arguments.lines)
        with (
            context.Pool(arguments.processes) as parsers,
            ThreadPool(arguments.threads) as writers,
        ):
            summaries = parsers.imap_unordered(parse, sources)
            written = writers.imap_unordered(partial(write, folder), summaries)
            print_report(sorted(written))


if __name__ == "__main__":
    main()
