"""The crash points of the process engine and who passes them.

The names are those of the source; a test compares.  "N-th pass" is counted
in each process for itself.
"""

import itertools
import re
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).resolve().parents[2] / "csrc"
METHODS = ["fork", "spawn", "forkserver"]

PARENT = {
    "arena.return",
    "arena.returned",
    "board.cancelled",
    "board.filled",
    "board.published",
    "board.queued",
    "eventcount.announced",
    "eventcount.moved",
    "eventcount.woken",
    "idlers.moved",
    "idlers.named",
    "idlers.picked",
    "idlers.sentinel",
    "idlers.woken",
    "memfd.made",
    "reap.evacuated",
    "reap.sweeping",
    "region.committed",
}

WORKER = {
    "arena.taken",
    "board.claim.before",
    "board.claimed",
    "board.done",
    "board.done.before",
    "board.head_moved",
    "donestack.linked",
    "donestack.pushed",
    "eventcount.moved",
    "eventcount.woken",
    "idlers.announced",
    "idlers.attached",
    "idlers.detached",
    "idlers.left",
    "idlers.moved",
    "idlers.named",
    "idlers.picked",
    "idlers.resigned",
    "idlers.sentinel",
    "idlers.spinning",
    "idlers.spun",
    "idlers.unnamed",
    "idlers.woken",
    "region.committed",
    "worker.answered",
    "worker.attached",
    "worker.called",
    "worker.decoded",
    "worker.finished",
    "worker.leaving",
}

# A worker comes by once in its life, so there is no second pass to die at.
ONCE_IN_A_LIFE = {
    "idlers.attached",
    "idlers.detached",
    "worker.attached",
    "worker.leaving",
}

# Nobody spins where a spinner would keep the others from the only CPU.
NEEDS_TWO_CPUS = {"idlers.spinning", "idlers.spun"}

# Whoever dies here holds no task without an answer: nothing may be lost.
LOSSLESS = {
    "board.claim.before",
    "board.done",
    "donestack.linked",
    "donestack.pushed",
    "eventcount.moved",
    "eventcount.woken",
    "idlers.announced",
    "idlers.attached",
    "idlers.detached",
    "idlers.left",
    "idlers.resigned",
    "idlers.unnamed",
    "worker.attached",
    "worker.finished",
    "worker.leaving",
}

# Only passed when a worker leaves, which most do at the end of the pool.
LEAVING = {"idlers.detached", "worker.leaving"}


class Case(NamedTuple):
    """One cell of the matrix.

    role: "worker", every worker dies at its N-th pass; "sibling", one does
    and the others go on; "frozen", as sibling, but stopped; "parent".
    """

    method: str
    role: str
    point: str
    passes: int

    def __str__(self):
        return f"{self.method}-{self.role}-{self.point}-{self.passes}"


def names_in_source():
    pattern = re.compile(r'CONC_CRASH_POINT\("([^"]+)"\)')
    found = set()
    for path in SOURCE.rglob("*.c"):
        found.update(pattern.findall(path.read_text()))
    return found


def _passes(role, point):
    if role == "frozen" or (role != "parent" and point in ONCE_IN_A_LIFE):
        return [1]
    return [1, 2, 3]


def matrix():
    """Return every case: point x role x pass x start method."""
    reached = {
        "worker": WORKER,
        "sibling": WORKER,
        "frozen": WORKER,
        "parent": PARENT,
    }
    return [
        Case(method, role, point, passes)
        for method, role in itertools.product(METHODS, reached)
        for point in sorted(reached[role])
        for passes in _passes(role, point)
    ]
