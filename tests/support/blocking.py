"""Threads that are known to be blocked, and what becomes of them."""

import signal
import threading
import time
from pathlib import Path

PATIENCE = 30


def _activity(native_id):
    path = Path(f"/proc/self/task/{native_id}/status")
    try:
        lines = path.read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        raise AssertionError("the thread ended instead of waiting") from None
    fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    return (
        fields["State"][0],
        fields["voluntary_ctxt_switches"],
        fields["nonvoluntary_ctxt_switches"],
    )


def wait_asleep(native_id):
    """Wait until a thread sleeps and nothing wakes it from time to time.

    Who waits for the GIL does not sleep in that sense: it looks again
    every few milliseconds, and gets it while we sleep.
    """
    deadline = time.monotonic() + PATIENCE
    before = None
    while True:
        now = _activity(native_id)
        if now == before and now[0] == "S":
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"the thread never went to sleep: {now}")
        before = now
        time.sleep(0.01)


class Call(threading.Thread):
    """A call in a thread of its own."""

    def __init__(self, function, *args, **kwds):
        super().__init__(daemon=True)
        self.call = lambda: function(*args, **kwds)
        self.value = self.error = None
        self.start()

    def run(self):
        try:
            self.value = self.call()
        except BaseException as error:
            self.error = error

    def blocked(self):
        """Wait until the call blocks and return the thread."""
        wait_asleep(self.native_id)
        assert self.is_alive(), "the call returned instead of waiting"
        return self

    def ended(self):
        """Wait for the end and return the exception, or None."""
        self.join(PATIENCE)
        assert not self.is_alive(), "the call still blocks"
        return self.error

    def result(self):
        """Wait for the end; return the value or raise the exception."""
        if self.ended() is not None:
            raise self.error
        return self.value


def blocked_calls(count, function, *args, **kwds):
    """Return threads that came to block in this order."""
    return [Call(function, *args, **kwds).blocked() for _ in range(count)]


def at_once(count, function):
    """Run function(index) in many threads that start together."""
    line = threading.Barrier(count)

    def run(index):
        line.wait(PATIENCE)
        return function(index)

    calls = [Call(run, index) for index in range(count)]
    return [call.result() for call in calls]


def when_main_sleeps(*actions):
    """Do each action when the main thread is asleep (again)."""
    main = threading.main_thread().native_id

    def run():
        for action in actions:
            wait_asleep(main)
            action()

    return Call(run)


def signal_main():
    signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
