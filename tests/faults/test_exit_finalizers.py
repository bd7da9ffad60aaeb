"""Finalizers wake what daemon threads waited for when the interpreter ended.

A daemon thread whose wait ends after the interpreter has begun to end leaves
where it stands, its stack with it; what it waited for still knows of it.
"""

import pytest

from support.scripts import run_source

SCRIPT = """
import os
import sys
import threading
import time
import types

from pyconc import futures, queue
from pyconc.futures import Future
from pyconc.threading import Barrier, Condition, Event, Semaphore

SECONDS = 0.3
waiting = threading.Semaphore(0)
target = {make}


def wait():
    waiting.release()
    try:
        {wait}
    except (TimeoutError, queue.Empty, queue.Full, threading.BrokenBarrierError):
        pass


class Last:
    def __init__(self):
        self.target, self.wake = target, wake
        self.listdir, self.sleep, self.write = os.listdir, time.sleep, os.write

    def __del__(self):
        # until the threads have given up and left
        for _ in range(200):
            if len(self.listdir("/proc/self/task")) == 1:
                break
            self.sleep(0.01)
        self.wake(self.target)
        self.write(1, b"woken\\n")


def wake(target):
    {wake}


COUNT = 30
for _ in range(COUNT):
    threading.Thread(target=wait, daemon=True).start()
for _ in range(COUNT):
    waiting.acquire()
# Ours would be kept by the frames of the threads.
sys.modules["holder"] = types.ModuleType("holder")
sys.modules["holder"].last = Last()
print("end", flush=True)
"""

# how to make the target, wait for it, and let all go who wait
WAITS = {
    "result": (
        "Future()",
        "target.result(SECONDS)",
        "target.set_result(1)",
    ),
    "exception": (
        "Future()",
        "target.exception(SECONDS)",
        "target.set_exception(ValueError())",
    ),
    "wait": (
        "[Future(), Future()]",
        "futures.wait(target, SECONDS)",
        "[future.set_result(1) for future in target]",
    ),
    "as_completed": (
        "[Future(), Future()]",
        "list(futures.as_completed(target, SECONDS))",
        "[future.set_result(1) for future in target]",
    ),
    "Event": (
        "Event()",
        "target.wait(SECONDS)",
        "target.set()",
    ),
    "Condition": (
        "Condition(threading.Lock())",
        "target.acquire() and target.wait(SECONDS)",
        # who has left for ever may hold the lock
        "target.acquire(timeout=0.1) and target.notify_all()",
    ),
    "Semaphore": (
        "Semaphore(0)",
        "target.acquire(timeout=SECONDS)",
        "target.release(30)",
    ),
    "Barrier": (
        "Barrier(99)",
        "target.wait(SECONDS)",
        "target.abort()",
    ),
    "Queue.get": (
        "queue.Queue()",
        "target.get(timeout=SECONDS)",
        "[target.put(n) for n in range(40)]",
    ),
    "SimpleQueue.get": (
        "queue.SimpleQueue()",
        "target.get(timeout=SECONDS)",
        "[target.put(n) for n in range(40)]",
    ),
    "Queue.put": (
        "queue.Queue(1)",
        # whoever finds it full, and that are all but one
        "target.put(0, timeout=SECONDS)",
        "target.get_nowait()",
    ),
}


@pytest.mark.parametrize("name", WAITS)
def test_a_finalizer_may_wake_threads_that_have_left(tmp_path, name):
    make, wait, wake = WAITS[name]
    source = SCRIPT.format(make=make, wait=wait, wake=wake)
    outcome = run_source(tmp_path, source, timeout=20)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout == "end\nwoken\n"
    assert outcome.stderr == ""
