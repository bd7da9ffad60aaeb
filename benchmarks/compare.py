"""Compare saved results: two commits, or two files of results.

    python benchmarks/compare.py OLD NEW [--case NAME]

OLD and NEW are commits (a prefix will do; figures come from results/*.jsonl)
or paths of .jsonl files.  Of a case measured several times the last counts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"

Key = tuple[str, str]
Record = dict[str, Any]


def read_records(path: Path) -> list[Record]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def find_records(which: str) -> dict[Key, Record]:
    if which.endswith(".jsonl"):
        records = read_records(Path(which))
    else:
        records = [
            record
            for path in sorted(RESULTS.glob("*.jsonl"))
            for record in read_records(path)
            if record["commit"].startswith(which)
        ]
    # Quick runs are for a first look: too short to be compared.
    return {
        (record["theme"], record["case"]): record
        for record in records
        if record["candidate"] and not record["quick"]
    }


def describe(which: str, records: dict[Key, Record]) -> str:
    def join(values: set[str]) -> str:
        return ", ".join(sorted(values))

    return f"{which}: commit " + "; ".join(
        [
            join({record["commit"] for record in records.values()}),
            join(
                {
                    f"{record['machine']['cpu']}, "
                    f"Python {record['machine']['python']}"
                    for record in records.values()
                }
            ),
        ]
    )


def median_of(record: Record, key: str) -> float | None:
    return statistics.median(record[key]) if record[key] else None


def change(old: float | None, new: float | None) -> str:
    if not old or new is None:
        return ""
    return f"{100 * (new - old) / old:+.0f} %"


def figure(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:.2f} {unit}".rstrip()


def print_changes(old: dict[Key, Record], new: dict[Key, Record]) -> None:
    print(
        f"{'':44}{'old':>12}{'new':>12}{'change':>9}"
        f"{'old ratio':>11}{'new ratio':>11}{'old probe':>11}{'new probe':>11}"
    )
    for key in [key for key in new if key in old]:
        before, after = old[key], new[key]
        values = [median_of(record, "candidate") for record in (before, after)]
        ratios = [
            figure(record["ratio"], "x") if record["ratio"] else ""
            for record in (before, after)
        ]
        probes = [
            figure(median_of(record, "probes_ns"), "ns")
            for record in (before, after)
        ]
        print(
            f"{after['case']:44}"
            + "".join(
                f"{figure(value, after['unit']):>12}" for value in values
            )
            + f"{change(*values):>9}"
            + "".join(f"{text:>11}" for text in ratios + probes)
        )


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare saved results.")
    parser.add_argument("old", metavar="OLD", help="commit or .jsonl file")
    parser.add_argument("new", metavar="NEW", help="commit or .jsonl file")
    parser.add_argument("--case", default="", metavar="NAME")
    arguments = parser.parse_args()
    sides = []
    for which in (arguments.old, arguments.new):
        records = {
            key: record
            for key, record in find_records(which).items()
            if arguments.case in record["case"]
        }
        if not records:
            print(f"no results of {which}", file=sys.stderr)
            return 1
        print(describe(which, records))
        sides.append(records)
    print()
    print_changes(*sides)
    return 0


if __name__ == "__main__":
    sys.exit(main())
