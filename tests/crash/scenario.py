"""Use a pool in every way until its crash point has fired, and after that.

    python scenario.py KIND METHOD ROLE POINT PASSES

KIND is "pool", "replace" (an executor that replaces lost workers) or "break"
(an executor as documented); the rest is a case of points.py.  The environment
says where processes die (check.h), and CRASH_DIRECTORY where tasks leave
their traces.  Exits with 0 if everything held; with ROLE parent it lives
until it dies.
"""

import collections
import concurrent.futures
import contextlib
import faulthandler
import functools
import gc
import itertools
import multiprocessing.forkserver
import multiprocessing.resource_tracker
import os
import signal
import sys
import time
from pathlib import Path

import pyconc
import pyconc.futures
import pyconc.multiprocessing
from crash.points import LEAVING, LOSSLESS
from pyconc import _core
from support.polling import eventually
from support.procs import alive, children, descriptors, python_threads

DIRECTORY = Path(os.environ["CRASH_DIRECTORY"])
LOG = Path(os.environ["PYCONC_CRASH_LOG"])

# One more than CPUs, so that some worker always has to watch the queue.
WORKERS = 3
CPUS = 2

# Rounds until a point must have fired; what is rare comes within a few.
ROUNDS = 200
# A pool has 16384 cells.
MORE_THAN_CELLS = 17_000
# For waits that must end.
PATIENCE = 20
# Under spawn some cases start sixty workers, one after another.
WATCHDOG = 240

# --- tasks ------------------------------------------------------------------


@functools.cache
def _started(_pid):
    path = DIRECTORY / "started"
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def start(number):
    """Leave a trace; appending so few bytes is one step."""
    os.write(_started(os.getpid()), number.to_bytes(4, "little"))


class Item:
    """What only pickle can send."""

    def __init__(self, number, text):
        self.number = number
        self.text = text

    def __eq__(self, other):
        return (self.number, self.text) == (other.number, other.text)


def small(number):
    start(number)
    return -number


def pickled(item):
    start(item.number)
    return Item(-item.number, item.text[::-1])


def large(number, data):
    start(number)
    return data + data


def slow(number):
    start(number)
    time.sleep(0.002)
    return -number


def die(number):
    start(number)
    os.kill(os.getpid(), signal.SIGKILL)


# --- what became of them ----------------------------------------------------


class Task:
    """Tasks that end together: one call, or all items of a map."""

    def __init__(self, numbers, expected):
        self.numbers = numbers
        self.expected = expected
        self.handle = None
        self.calls = 0  # of callbacks: exactly one is due
        self.verdict = None

    def called(self, _outcome):
        self.calls += 1


def verdict_on(get, expected):
    """Name the outcome; what is not documented is raised."""
    try:
        value = get()
    except pyconc.WorkerLostError as error:
        return "broken" if "in a row" in str(error) else "lost"
    except concurrent.futures.BrokenExecutor:
        return "broken"
    except concurrent.futures.CancelledError:
        return "cancelled"
    except pyconc.PoolTerminatedError:
        return "terminated"
    assert value == expected, "a wrong value"
    return "value"


class Refused(Exception):
    """The pool is broken and takes nothing more."""


class Users:
    """Tasks and their outcomes, for either kind of pool."""

    def __init__(self):
        self.numbers = itertools.count(1)
        self.open = []
        self.verdicts = collections.Counter()
        self.may_run = set()  # handed over
        self.must_run = set()  # answered with their value
        self.must_not_run = set()  # cancelled

    def submit(self, function, *rest, expected=None):
        """Submit function(number, *rest), or function(Item)."""
        number = next(self.numbers)
        task = Task([number], -number if expected is None else expected)
        arguments = (number, *rest)
        if function is pickled:
            arguments = (Item(number, *rest),)
            task.expected = Item(-number, rest[0][::-1])
        return self._add(task, lambda: self._call(task, function, arguments))

    def _add(self, task, submit):
        self.may_run.update(task.numbers)
        try:
            task.handle = submit()
        except concurrent.futures.BrokenExecutor as error:
            raise Refused from error
        self.open.append(task)
        return task

    def _block(self, count):
        return list(itertools.islice(self.numbers, count))

    def settle(self):
        """Wait for every outcome and judge it."""
        tasks, self.open = self.open, []
        for task in tasks:
            self._judge(
                task,
                verdict_on(lambda task=task: self.result(task), task.expected),
            )
        for task in tasks:
            eventually(lambda task=task: task.calls == 1, PATIENCE, "one callback")

    def _judge(self, task, verdict):
        task.verdict = verdict
        self.verdicts[verdict] += 1
        if verdict == "value":
            self.must_run.update(task.numbers)
        if verdict == "cancelled":
            self.must_not_run.update(task.numbers)

    def all_ready(self):
        return all(self.ready(task) for task in self.open)


class PoolUser(Users):
    def __init__(self, context, max_tasks):
        super().__init__()
        self.pool = context.Pool(WORKERS, maxtasksperchild=max_tasks)

    def _call(self, task, function, arguments):
        return self.pool.apply_async(
            function,
            arguments,
            callback=task.called,
            error_callback=task.called,
        )

    def result(self, task):
        return task.handle.get(PATIENCE)

    def ready(self, task):
        return task.handle.ready()

    def cancel(self, task):
        """Pools do not cancel."""

    def submit_many(self, count):
        numbers = self._block(count)
        task = Task(numbers, [-number for number in numbers])
        self._add(
            task,
            lambda: self.pool.map_async(
                small, numbers, 3, task.called, task.called
            ),
        )

    def iterate(self, count):
        numbers = self._block(count)
        self.may_run.update(numbers)
        try:
            results = self.pool.imap(small, numbers)
        except concurrent.futures.BrokenExecutor as error:
            raise Refused from error
        for number in numbers:
            verdict = verdict_on(lambda: results.next(PATIENCE), -number)
            self._judge(Task([number], None), verdict)
        try:
            results.next(PATIENCE)
        except StopIteration:
            return
        raise AssertionError("more results than tasks")

    def living(self):
        return len(self.pool._pool)

    def close_only(self):
        self.pool.close()

    def close(self):
        self.close_only()
        self.pool.join()

    def terminate(self):
        self.pool.terminate()
        self.pool.join()


class ExecutorUser(Users):
    def __init__(self, context, max_tasks, on_worker_lost):
        super().__init__()
        if context.get_start_method() == "fork":
            max_tasks = None  # as documented
        self.pool = pyconc.futures.ProcessPoolExecutor(
            WORKERS,
            context,
            max_tasks_per_child=max_tasks,
            on_worker_lost=on_worker_lost,
        )

    def _call(self, task, function, arguments):
        future = self.pool.submit(function, *arguments)
        future.add_done_callback(task.called)
        return future

    def result(self, task):
        return task.handle.result(PATIENCE)

    def ready(self, task):
        return task.handle.done()

    def cancel(self, task):
        if task.handle.cancel():
            self.must_not_run.update(task.numbers)

    def submit_many(self, count):
        for _ in range(count):
            self.submit(small)

    def iterate(self, count):
        numbers = self._block(count)
        self.may_run.update(numbers)
        try:
            results = self.pool.map(small, numbers, timeout=PATIENCE)
        except concurrent.futures.BrokenExecutor as error:
            raise Refused from error
        for number in numbers:
            verdict = verdict_on(lambda: next(results), -number)
            self._judge(Task([number], None), verdict)
            if verdict != "value":
                return  # the first error ends it, and cancels the rest

    def living(self):
        return len(self.pool._processes)

    def close_only(self):
        self.pool.shutdown(wait=False)

    def close(self):
        self.pool.shutdown()

    def terminate(self):
        self.pool.terminate_workers()
        self.pool.shutdown()


# --- the script -------------------------------------------------------------


def deaths():
    try:
        return len(LOG.read_text().splitlines())
    except FileNotFoundError:
        return 0


def submit_round(user, index, size):
    """Submit tasks of each kind; some of them are cancelled."""
    for _ in range(size):
        user.submit(small)
    for _ in range(size // 2):
        user.submit(pickled, "argument and result " * 3)
    for i in range(max(1, size // 4)):
        # Growing, so that heaps grow as well.
        data = bytes(100_000 * (1 + (index + i) % 8))
        user.submit(large, data, expected=data + data)
    for _ in range(size // 2):
        user.submit(slow)
    user.submit_many(2 * size)
    for task in [user.submit(small) for _ in range(size)]:
        user.cancel(task)


def play_round(user, index, size):
    submit_round(user, index, size)
    user.settle()
    user.iterate(size)
    # One by one while others block: the next one needs a sentinel.
    for _ in range(2 * WORKERS):
        user.submit(slow)
        time.sleep(0.0004)
    user.settle()
    # Alone, so that the workers fall idle before and after.
    for pause in (0, 0.0001, 0.001):
        time.sleep(pause)
        user.submit(small)
        user.settle()


def check_history(user):
    """No task ran twice; what has a value ran; what was cancelled did not."""
    path = DIRECTORY / "started"
    data = path.read_bytes() if path.exists() else b""
    started = collections.Counter(
        int.from_bytes(data[i : i + 4], "little")
        for i in range(0, len(data), 4)
    )
    assert set(started.values()) <= {1}, "a task ran twice"
    assert started.keys() <= user.may_run, "a task that nobody submitted"
    assert user.must_run <= started.keys(), "a value of a task that never ran"
    assert not user.must_not_run & started.keys(), "a cancelled task ran"


def make_user(kind, method, role, point, passes):
    context = pyconc.multiprocessing.get_context(method)
    # With some limit workers also leave one by one; but then few of them
    # live to see a rare point, fewest where starting one takes long.
    leave = point in LEAVING or (
        method == "fork" and role == "sibling" and passes == 1
    )
    max_tasks = 9 if leave else None
    if kind == "pool":
        return PoolUser(context, max_tasks)
    return ExecutorUser(context, max_tasks, kind)


def check_refusal(user):
    """A pool that is broken says so every time."""
    for _ in range(2):
        try:
            user.submit(small)
        except Refused:
            continue
        raise AssertionError("a broken pool takes tasks")


def live_until_dead(kind, method, role, point, passes):
    """The parent dies, at the latest while one of its pools ends."""
    for life in range(ROUNDS):
        user = make_user(kind, method, role, point, passes)
        if life == 0 and passes == 3:
            user.submit_many(MORE_THAN_CELLS)
        for index in range(2):
            play_round(user, index, 8)
        try:
            for _ in range(passes):
                user.submit(die)
                # results that nobody has fetched when their worker is gone
                for _ in range(WORKERS):
                    user.submit(large, bytes(100_000), expected=bytes(200_000))
                user.settle()
        except Refused:
            assert kind == "break"
        if life % 2:
            user.close()
        else:
            with contextlib.suppress(Refused):
                user.submit_many(100)
            user.terminate()
            user.settle()
    raise AssertionError("the point was not reached")


def live_beside_frozen(user, point, size):
    """Workers stop in the middle; everything ends all the same."""
    for index in range(2 if point in LEAVING else ROUNDS):
        submit_round(user, index, size)
        eventually(lambda: user.all_ready() or deaths(), PATIENCE)
        if deaths():
            break
    submit_round(user, 0, size)
    if point in LEAVING:
        user.close_only()
        eventually(deaths, PATIENCE, "a worker that leaves")
    user.terminate()
    assert user.all_ready()
    user.settle()


def live_beside_dead(user, kind, role, point, passes, size):
    """Workers die; every task has its outcome, the pool goes on or breaks."""
    rounds = 2 if point in LEAVING else ROUNDS
    refused = False
    try:
        if role == "sibling" and passes == 3:
            user.submit_many(MORE_THAN_CELLS)
        for index in range(rounds):
            play_round(user, index, size)
            if deaths():
                break
        play_round(user, 0, size)
    except Refused:
        refused = True
        user.settle()
        check_refusal(user)
    verdicts = user.verdicts
    broken = refused or "broken" in verdicts
    if kind == "break":
        assert not verdicts["lost"]
    if kind == "break" and deaths() and point not in LEAVING:
        assert broken
    if broken and kind != "break":
        assert role == "worker", "one death has broken the pool"
    if not broken and role == "sibling":
        # The dead has its successor, and each of the pool works.
        if kind == "pool":
            eventually(lambda: user.living() == WORKERS, PATIENCE)
        before = verdicts["value"]
        for _ in range(3 * WORKERS):
            user.submit(slow)
        user.settle()
        assert verdicts["value"] == before + 3 * WORKERS
    user.close()
    assert verdicts["lost"] <= deaths()
    if point in LOSSLESS:
        assert not verdicts["lost"], "a finished or untouched task is lost"
    assert not verdicts["terminated"]


def state_of_process():
    gc.collect()
    maps = Path("/proc/self/maps").read_text().splitlines()
    return {
        "children": len(children()),
        "descriptors": len(descriptors()),
        "threads": python_threads(),
        "shared mappings": sum("rw-s" in line for line in maps),
    }


def main(kind, method, role, point, passes):
    faulthandler.dump_traceback_later(WATCHDOG, exit=True)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CPUS])
    # Helpers of the standard library that stay for the rest of a life.
    if method != "fork":
        multiprocessing.resource_tracker.ensure_running()
    if method == "forkserver":
        multiprocessing.forkserver.ensure_running()
    if role == "parent":
        _core.crash_role("parent")
        live_until_dead(kind, method, role, point, passes)
    before = state_of_process()
    user = make_user(kind, method, role, point, passes)
    size = 8 if method == "fork" or role != "worker" else 4
    if role == "frozen":
        live_beside_frozen(user, point, size)
    else:
        live_beside_dead(user, kind, role, point, passes, size)
    check_history(user)
    print(f"deaths {deaths()}, {dict(user.verdicts)}")
    assert deaths(), "the point was not reached"
    assert not any(alive(int(pid)) for pid in LOG.read_text().split())
    del user
    eventually(
        lambda: state_of_process() == before,
        PATIENCE,
        f"{before}, not {state_of_process()}: what there was before",
    )


if __name__ == "__main__":
    main(*sys.argv[1:5], int(sys.argv[5]))
