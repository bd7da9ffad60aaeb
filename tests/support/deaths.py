"""Ways for a worker to die, and objects that kill whoever handles them."""

import ctypes
import os
import signal
from typing import NamedTuple

from support.polling import eventually


class Death(NamedTuple):
    name: str
    kill: object
    says: str


def by_sigkill():
    os.kill(os.getpid(), signal.SIGKILL)


def by_sigterm():
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)


def by_segfault():
    import faulthandler

    faulthandler.disable()
    ctypes.string_at(0)


def by_exit():
    os._exit(3)


def by_exec():
    os.execv("/bin/sleep", ["sleep", "300"])


def by_abort():
    import faulthandler

    faulthandler.disable()
    os.abort()


# how the message names each; the exit code stands alone as a number
DEATHS = {
    "sigkill": Death("sigkill", by_sigkill, r"SIGKILL"),
    "segfault": Death("segfault", by_segfault, r"SIGSEGV"),
    "abort": Death("abort", by_abort, r"SIGABRT"),
    "exit": Death("exit", by_exit, r"(?i)exit.*\b3\b"),
}


def die(how="sigkill"):
    """Die in the given way; the name is what messages must show."""
    DEATHS[how].kill()
    raise AssertionError("this process should be dead")


def die_known(gate, how="sigkill"):
    """Leave our pid at the gate, then die."""
    gate.arrive()
    die(how)


def die_if(value, bad, how="sigkill"):
    if value in bad:
        die(how)
    return value


def die_by_exec():
    by_exec()


class DiesWhenDecoded:
    """Kills the process that unpickles it."""

    def __init__(self, how):
        self.how = how

    def __reduce__(self):
        return die, (self.how,)


class DiesWhenEncoded:
    """Kills the process that pickles it."""

    def __init__(self, how):
        self.how = how

    def __reduce__(self):
        die(self.how)


def return_deadly(how):
    """Return a result that kills the worker while it answers."""
    return DiesWhenEncoded(how)


def raise_deadly(how):
    error = ValueError("deadly")
    error.poison = DiesWhenEncoded(how)
    raise error


def take(_value):
    """Take an argument that never arrives."""


def ignore_sigterm_and_enter(gate):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    gate.enter()


def fork_and_enter(gate):
    """Leave a child of the worker's own that sleeps and ignores SIGTERM."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            signal.pause()
    gate.mark("grandchild", str(child))
    gate.enter()


def fork_and_die(gate):
    """Leave a child that holds everything the worker had, then die."""
    child = os.fork()
    if child == 0:
        while True:
            signal.pause()
    gate.mark("grandchild", str(child))
    die("sigkill")


def kill_when_arrived(gate, count=1):
    """Kill the workers whose tasks have come to the gate."""
    gate.wait_arrived(count)
    pids = gate.arrived_pids()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return pids


def refills(impl, count):
    """Wait until this process has `count` live multiprocessing children."""
    eventually(
        lambda: len(impl.multiprocessing.active_children()) == count,
        what=f"{count} workers",
    )
