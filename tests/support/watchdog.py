"""Fail a test that hangs, before the run's own watchdog ends the run."""

import contextlib
import faulthandler
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from support.procs import children, describe

# Has a process print its stacks, also one that waits in C for ever.
SHOW_STACKS = signal.SIGRTMAX
faulthandler.register(SHOW_STACKS, sys.__stderr__)


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
            print(describe(pid), file=sys.__stderr__, flush=True)
            # Forked children inherited the handler; others are ended by it.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, SHOW_STACKS)
        time.sleep(1)  # for them to print
        raise StillRunning(f"watchdog: still running after {seconds} s")

    previous = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@pytest.fixture(autouse=True)
def watchdog(request):
    """Fail the test that hangs, some time before it would end the run."""
    with guarded(0.75 * request.node.get_closest_marker("watchdog").args[0]):
        yield


def limit_items(items, conftest, seconds):
    """Give the tests beside a conftest file a limit that ends the run."""
    directory = Path(conftest).parent
    for item in items:
        if directory in item.path.parents:
            item.add_marker(pytest.mark.watchdog(seconds))
