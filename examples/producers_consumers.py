"""Read several logs at once; report the urgent lines first.

One thread per log puts lines in a bounded queue: when the parsers fall
behind, the readers wait instead of filling the memory.  Several parsers take
the lines and put what somebody should see in a PriorityQueue, the most urgent
first.  Queue.join() tells when every line has been parsed; a sentinel for
each parser ends it.

    python examples/producers_consumers.py [--logs N] [--lines N] [--parsers N]
"""

from __future__ import annotations

import argparse
import queue
import random
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

# Lower is more urgent.
URGENCY = {"CRITICAL": 0, "ERROR": 1}

END = None  # what a parser gets when there will be no more lines


@dataclass(order=True, frozen=True)
class Alert:
    urgency: int
    time: str
    text: str


def write_sample_logs(folder: Path, logs: int, lines: int) -> list[Path]:
    rng = random.Random(2)
    levels = ["DEBUG"] * 60 + ["INFO"] * 37 + ["ERROR"] * 2 + ["CRITICAL"]
    paths = []
    for number in range(logs):
        path = folder / f"server-{number}.log"
        with path.open("w") as log:
            for second in range(lines):
                clock = f"{second // 60:02}:{second % 60:02}"
                level = rng.choice(levels)
                print(clock, level, f"server-{number} job {second}", file=log)
            print("(truncated", file=log)
        paths.append(path)
    return paths


def read(path: Path, lines: queue.Queue[str | None]) -> None:
    with path.open() as log:
        for line in log:
            lines.put(line)  # waits while the queue is full


def parse(
    lines: queue.Queue[str | None],
    alerts: queue.PriorityQueue[Alert],
    counts: queue.SimpleQueue[Counter[str]],
) -> None:
    seen: Counter[str] = Counter()
    while (line := lines.get()) is not END:
        try:
            clock, level, text = line.split(maxsplit=2)
            seen[level] += 1
            if level in URGENCY:
                alerts.put(Alert(URGENCY[level], clock, text.strip()))
        except ValueError:
            seen["malformed"] += 1
        finally:
            lines.task_done()  # whatever happened: join() counts these
    lines.task_done()
    counts.put(seen)


def main() -> None:
    parser = argparse.ArgumentParser(description="Parse logs with threads.")
    parser.add_argument("--logs", type=int, default=4, metavar="N")
    parser.add_argument("--lines", type=int, default=1000, metavar="N")
    parser.add_argument("--parsers", type=int, default=3, metavar="N")
    arguments = parser.parse_args()

    lines: queue.Queue[str | None] = queue.Queue(maxsize=100)
    alerts: queue.PriorityQueue[Alert] = queue.PriorityQueue()
    counts: queue.SimpleQueue[Counter[str]] = queue.SimpleQueue()
    parsers = [
        threading.Thread(target=parse, args=(lines, alerts, counts))
        for _ in range(arguments.parsers)
    ]
    for thread in parsers:
        thread.start()

    with tempfile.TemporaryDirectory() as folder:
        logs = write_sample_logs(
            Path(folder), arguments.logs, arguments.lines
        )
        readers = [
            threading.Thread(target=read, args=(path, lines)) for path in logs
        ]
        for thread in readers:
            thread.start()
        for thread in readers:
            thread.join()

    lines.join()  # now every alert is there, and get() gives them in order
    print(f"{alerts.qsize()} alerts, the most urgent first:")
    for _ in range(5):
        try:
            alert = alerts.get_nowait()
        except queue.Empty:
            break
        print(f"  {alert.urgency} {alert.time} {alert.text}")

    for _ in parsers:
        lines.put(END)
    for thread in parsers:
        thread.join()
    total: Counter[str] = Counter()
    while not counts.empty():
        total += counts.get()
    for level, count in sorted(total.items()):
        print(f"{level:10}{count:6,}")


if __name__ == "__main__":
    main()
