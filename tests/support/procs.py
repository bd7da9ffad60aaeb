"""Look at processes, descriptors, threads and shared memory."""

import os
import threading
from multiprocessing import forkserver, resource_tracker
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


def stdlib_helpers():
    """Return the pids of the server and the tracker that live on."""
    return {
        forkserver._forkserver._forkserver_pid,
        resource_tracker._resource_tracker._pid,
    }


def children(pid=None):
    """Return the pids of the children of a process, zombies included.

    Without the standard library's own long-lived helper processes.
    """
    found = set()
    for task in Path(f"/proc/{pid or os.getpid()}/task").iterdir():
        try:
            found.update(map(int, (task / "children").read_text().split()))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found - stdlib_helpers()


def describe(pid):
    """Say what a process is doing, as far as others may look."""
    facts = []
    for name in ("stat", "wchan", "syscall"):
        try:
            facts.append(Path(f"/proc/{pid}/{name}").read_text().strip())
        except OSError as error:
            facts.append(f"{name}: {error.strerror}")
    return f"child {pid}: " + "; ".join(facts)


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
    """Return the names in /dev/shm, but for what the stdlib makes there.

    Those come and go with whatever else runs on the machine.
    """
    names = os.listdir("/dev/shm")
    return {name for name in names if not name.startswith(("sem.", "psm_"))}
