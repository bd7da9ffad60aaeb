"""A rendezvous of tasks and tests that works under every start method."""

import itertools
import os
import threading
from pathlib import Path

from support.polling import eventually

_sequence = itertools.count()


class Gate:
    """A directory whose files say who came and what happened.

    It pickles as a path, so one gate can be given to tasks of forked and
    of spawned workers, and it outlives a worker that is killed.
    """

    def __init__(self, directory):
        self.directory = str(directory)

    def mark(self, name, text=""):
        """Leave a mark; the text is complete before the mark is seen."""
        path = Path(self.directory, name)
        draft = Path(self.directory, f".{name}.{os.getpid()}")
        draft.write_text(text)
        draft.rename(path)

    def has(self, name):
        return Path(self.directory, name).exists()

    def read(self, name):
        """Wait for a mark and return its text."""
        path = Path(self.directory, name)
        eventually(path.exists, what=f"mark {name}")
        return path.read_text()

    def marks(self, prefix=""):
        return sorted(
            path.name
            for path in Path(self.directory).iterdir()
            if path.name.startswith(prefix) and path.name[0] != "."
        )

    def arrive(self):
        """Count one arrival without waiting."""
        ident = f"{os.getpid()}-{threading.get_ident()}-{next(_sequence)}"
        self.mark(f"in-{ident}", str(os.getpid()))

    def arrived_pids(self):
        return [int(self.read(name)) for name in self.marks("in-")]

    def enter(self, value=None):
        """Arrive, wait until the gate is open and return the value."""
        self.arrive()
        eventually(lambda: self.has("open"), what="open gate")
        return value

    def meet(self, count):
        """Arrive, wait for count arrivals in all and return our pid."""
        self.arrive()
        self.wait_arrived(count)
        return os.getpid()

    def wait_arrived(self, count):
        eventually(
            lambda: len(self.marks("in-")) >= count,
            what=f"{count} arrivals",
        )

    def open(self):
        self.mark("open")


def worker_pids(pool, count, directory):
    """Return the pids of count workers that were all alive at once."""
    gate = Gate(directory)
    results = [pool.apply_async(gate.meet, (count,)) for _ in range(count)]
    pids = {result.get(50) for result in results}
    assert len(pids) == count
    return pids
