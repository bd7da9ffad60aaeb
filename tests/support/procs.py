"""Look at processes, descriptors, threads and shared memory."""

import os
import threading
from pathlib import Path


def alive(pid):
    """Say whether a process runs; a zombie is dead."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def any_alive(pids):
    return any(alive(pid) for pid in pids)


def children(pid=None):
    """Return the pids of the children of a process, zombies included."""
    found = set()
    for task in Path(f"/proc/{pid or os.getpid()}/task").iterdir():
        try:
            found.update(map(int, (task / "children").read_text().split()))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def descriptors():
    """Return what each open descriptor of this process refers to."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue
    return found


def native_threads():
    return len(os.listdir("/proc/self/task"))


def python_threads():
    return threading.active_count()


def mappings():
    return len(Path("/proc/self/maps").read_text().splitlines())


def shared_names():
    return set(os.listdir("/dev/shm"))
