"""Look at a file every now and then, in a thread that can be stopped.

A service reloads its configuration when the file changes.  Event.wait with a
timeout is both the pause between two looks and the way to end at once: no
sleep has to be sat out.  A look that fails is reported, and the next one
comes on time.  A Timer takes a change back after a while.

    python examples/periodic.py [--interval SECONDS]
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

PATIENCE = 30  # seconds until a change that is not seen is an error


class Periodic(threading.Thread):
    """Calls job() every `interval` seconds between `with` and its end."""

    def __init__(
        self,
        interval: float,
        job: Callable[[], object],
        on_error: Callable[[Exception], object],
    ) -> None:
        super().__init__(name=f"every {interval} s")
        self.interval = interval
        self.job = job
        self.on_error = on_error
        self.stopping = threading.Event()

    def run(self) -> None:
        due = time.monotonic()
        while not self.stopping.wait(max(0, due - time.monotonic())):
            try:
                self.job()
            except Exception as error:
                self.on_error(error)
            # From the time it was due, not from now: that would drift.  But
            # what a slow job has missed is not made up for.
            due = max(due + self.interval, time.monotonic())

    def __enter__(self) -> Periodic:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stopping.set()
        self.join()


class Configuration:
    """What a file says, and news of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.news: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.seen = (0, 0)

    def look(self) -> None:
        with self.path.open() as file:
            status = os.stat(file.fileno())  # of what is read below
            version = (status.st_ino, status.st_mtime_ns)
            if version != self.seen:
                self.seen = version
                level = json.load(file)["log level"]
                self.news.put(f"log level is {level}")

    def complain(self, error: Exception) -> None:
        self.news.put(f"kept as it was: {type(error).__name__}")


def replace(path: Path, text: str) -> None:
    """Write a file in such a way that nobody sees half of it."""
    draft = path.with_suffix(".new")
    draft.write_text(text)
    os.replace(draft, path)


def main() -> None:
    parser = argparse.ArgumentParser(description="Watch a configuration file.")
    parser.add_argument(
        "--interval", type=float, default=0.05, metavar="SECONDS"
    )
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "service.json"
        info = json.dumps({"log level": "info"})
        debug = json.dumps({"log level": "debug"})
        replace(path, info)
        configuration = Configuration(path)
        with Periodic(
            arguments.interval, configuration.look, configuration.complain
        ) as watcher:
            print("started:", configuration.news.get(timeout=PATIENCE))

            replace(path, debug)
            print("changed:", configuration.news.get(timeout=PATIENCE))
            delay = 4 * arguments.interval
            threading.Timer(delay, replace, [path, info]).start()
            print("by itself:", configuration.news.get(timeout=PATIENCE))

            replace(path, "{")
            print("damaged:", configuration.news.get(timeout=PATIENCE))

            replace(path, debug)
            print("mended:", configuration.news.get(timeout=PATIENCE))
            never = threading.Timer(3600, replace, [path, info])
            never.start()
            never.cancel()
            never.join()
        print("watcher runs:", watcher.is_alive())
        print("news nobody has read:", configuration.news.qsize())


if __name__ == "__main__":
    main()
