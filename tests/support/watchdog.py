"""Fail a test that hangs, before the run's own watchdog ends the run."""

import contextlib
import faulthandler
import signal
import sys
from pathlib import Path

import pytest

from support.procs import children, describe


class StillRunning(BaseException):
    """The time is up; no `except Exception` shall take it for a result."""


@contextlib.contextmanager
def guarded(seconds):
    """Raise in the main thread after `seconds`, with all stacks shown.

    What waits in C without looking at signals is left to the watchdog
    of the whole run, which ends it.
    """

    def expire(_signal, _frame):
        faulthandler.dump_traceback(sys.__stderr__)
        for pid in sorted(children()):
            print(describe(pid), file=sys.__stderr__)
        raise StillRunning(f"watchdog: still running after {seconds} s")

    previous = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def limit_items(items, conftest, seconds):
    """Give the tests beside a conftest file a limit that ends the run."""
    directory = Path(conftest).parent
    for item in items:
        if directory in item.path.parents:
            item.add_marker(pytest.mark.watchdog(seconds))
