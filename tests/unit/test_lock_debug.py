"""PYCONC_DEBUG_LOCKS=1: locks that know who waits for whom."""

import os
import subprocess
import sys

import pytest

START = """
import pyconc.threading as threading
ready = threading.Barrier(2)
first, second = threading.{first}(), threading.{second}()

def cross():
    with second:
        ready.wait()
        try:
            with first:
                print("worker has both")
        except threading.DeadlockError as error:
            print("worker:", error)

worker = threading.Thread(target=cross, name="worker")
"""


def run(script, limit="60"):
    """Run a script whose locks are watched; limit None: they are not."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYCONC_DEBUG_LOCKS")
    }
    if limit is not None:
        environment["PYCONC_DEBUG_LOCKS"] = "1"
        environment["PYCONC_DEBUG_LOCKS_AFTER"] = limit
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.mark.parametrize("first", ["Lock", "RLock"])
@pytest.mark.parametrize("second", ["Lock", "RLock"])
def test_a_circle_of_two_raises_in_one_and_names_both(first, second):
    output, errors = run(
        START.format(first=first, second=second)
        + """
worker.start()
with first:
    ready.wait()
    try:
        with second:
            print("main has both")
    except threading.DeadlockError as error:
        print("main:", error)
worker.join()
"""
    )
    assert output.count("these threads wait for each other") == 1
    assert output.count("has both") == 1
    assert "thread 'worker'" in output
    assert "thread 'MainThread'" in output
    assert "in cross" in output
    assert "in <module>" in output
    assert output.count("  holds ") == 2
    assert errors == ""


def test_a_thread_that_waits_for_itself():
    output, _ = run(
        """
import pyconc.threading as threading
lock = threading.Lock()
lock.acquire()
try:
    lock.acquire()
except threading.DeadlockError as error:
    print("raised")
print(lock.acquire(timeout=0.01), lock.acquire(False), lock.locked())
"""
    )
    assert output == "raised\nFalse False True\n"


def test_a_join_may_close_the_circle():
    output, _ = run(
        START.format(first="Lock", second="Lock")
        + """
worker.start()
with first:
    ready.wait()
    try:
        worker.join()
        print("joined")
    except threading.DeadlockError as error:
        print("main:", error)
worker.join()
"""
    )
    assert output.count("these threads wait for each other") == 1


def test_a_wait_with_a_timeout_is_no_deadlock():
    output, _ = run(
        START.format(first="Lock", second="Lock")
        + """
worker.start()
with first:
    ready.wait()
    print(second.acquire(timeout=0.05))
worker.join()
"""
    )
    assert output == "False\nworker has both\n"


def test_a_long_wait_says_who_holds_what():
    output, errors = run(
        """
import sys
import pyconc.threading as threading

class Watched:
    def write(self, text):
        sys.__stderr__.write(text)
        if "a long wait" in text:
            printed.set()
    def flush(self):
        sys.__stderr__.flush()

printed, held = threading.Event(), threading.Event()
lock = threading.RLock()

def hold():
    with lock:
        held.set()
        printed.wait()

holder = threading.Thread(target=hold, name="holder")
holder.start()
held.wait()
sys.stderr = Watched()
with lock:
    print("got it")
""",
        limit="0.05",
    )
    assert output == "got it\n"
    assert "pyconc: a long wait" in errors
    assert "held by thread 'holder'" in errors
    assert "thread 'holder'\n  holds <locked pyconc.threading.RLock" in errors
    assert "in hold" in errors


def test_misuse_raises_what_the_standard_library_raises():
    output, _ = run(
        """
import threading as standard
import pyconc.threading as ours

def outcome(call):
    try:
        return repr(call())
    except Exception as error:
        return f"{type(error).__name__}: {error}"

for kind in ("Lock", "RLock"):
    for call in (
        lambda lock: lock.release(),
        lambda lock: lock.acquire(False, 1),
        lambda lock: lock.acquire(timeout=-2),
        lambda lock: lock.acquire(timeout="1"),
        lambda lock: (lock.acquire(), lock.release()),
    ):
        ours_says = outcome(lambda: call(getattr(ours, kind)()))
        assert ours_says == outcome(lambda: call(getattr(standard, kind)())), (
            kind, ours_says)
taken = [ours.Lock(), standard.Lock()]
for lock in taken:
    lock.acquire()
for call in (
    lambda lock: lock.acquire(False, 1),
    lambda lock: lock.acquire(timeout=-2),
    lambda lock: lock.acquire(True, 1e30),
):
    one, other = (outcome(lambda: call(lock)) for lock in taken)
    assert one.split(":")[0] == other.split(":")[0], (one, other)
print("same")
"""
    )
    assert output == "same\n"


def test_a_condition_waits_with_such_a_lock():
    output, _ = run(
        """
import pyconc.threading as threading
condition = threading.Condition()
state = []

def other():
    with condition:
        state.append("there")
        condition.notify()

with condition, condition:
    thread = threading.Thread(target=other)
    thread.start()
    print(condition.wait_for(lambda: state, 30))
    print(condition._lock._recursion_count())
thread.join()
"""
    )
    assert output == "['there']\n2\n"


def test_without_the_variable_locks_are_the_fast_ones():
    output, _ = run(
        "from pyconc import _core, threading\n"
        "print(type(threading.Lock()) is _core.Lock, threading.RLock is _core.RLock)",
        limit=None,
    )
    assert output == "True True\n"
