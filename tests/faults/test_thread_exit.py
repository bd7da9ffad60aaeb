"""The interpreter ends while threads of pools are at work.

PYCONC_EXIT_ROUNDS says how often each end is tried.
"""

import os

import pytest

from support.scripts import run_source

ROUNDS = int(os.environ.get("PYCONC_EXIT_ROUNDS", "2"))

PREAMBLE = """
import atexit
import faulthandler
import os
import signal
import sys
import threading
import time
import warnings

from pyconc import futures
from pyconc.multiprocessing import dummy
from pyconc.multiprocessing.pool import ThreadPool

# of os.fork() with threads about
warnings.simplefilter("ignore", DeprecationWarning)
started = threading.Event()
never = threading.Lock()
never.acquire()
ran = []


def nap(_value=None):
    started.set()
    time.sleep(0.001)
    ran.append(1)


def sleep(_value=None):
    started.set()
    time.sleep(600)


def lock(_value=None):
    started.set()
    never.acquire()


def spin(_value=None):
    started.set()
    while True:
        pass


def wait_inside(_value=None):
    started.set()
    try:
        pending = [executor.submit(time.sleep, 0.001) for _ in range(3)]
        pending[1].result()
        futures.wait(pending)
        list(executor.map(abs, range(3)))
    finally:
        ran.append(1)


def get_inside(_value=None):
    started.set()
    pending = [pool.apply_async(time.sleep, (0.001,)) for _ in range(3)]
    pending[1].get()
    list(pool.imap(abs, range(3)))
    pool.map(abs, range(3))


def all_ran():
    print(len(ran))


T = futures.ThreadPoolExecutor
"""

# all submitted tasks run before the end
FINISHING = {
    "executor": """
executor = T(2)
kept = [executor.submit(nap) for _ in range(40)]
""",
    "executor, dropped": """
executor = T(2)
for _ in range(40):
    executor.submit(nap)
del executor
""",
    "executor, with": """
with T(2) as executor:
    kept = [executor.submit(nap) for _ in range(40)]
    started.wait()
""",
    "executor, shut down": """
executor = T(2)
kept = [executor.submit(nap) for _ in range(40)]
executor.shutdown(wait=False)
""",
    "executor, idle_timeout": """
executor = T(2, idle_timeout=0.001)
kept = [executor.submit(nap) for _ in range(40)]
""",
    "executor, exit_timeout is long": """
executor = T(2, exit_timeout=500)
kept = [executor.submit(nap) for _ in range(40)]
""",
    "executor, tasks wait": """
executor = T(2)
kept = [executor.submit(wait_inside) for _ in range(40)]
""",
    "executor, tasks wait, with": """
with T(1) as executor:
    kept = [executor.submit(wait_inside) for _ in range(40)]
""",
    "executor, callbacks": """
executor = T(2)
for _ in range(40):
    executor.submit(abs, 1).add_done_callback(nap)
""",
}

# whatever is left is abandoned
ABANDONING = {
    "daemon": """
executor = T(2, daemon=True)
kept = [executor.submit({task}) for _ in range(40)]
""",
    "daemon, dropped": """
executor = T(2, daemon=True)
for _ in range(40):
    executor.submit({task})
del executor
""",
    "daemon, shut down": """
executor = T(2, daemon=True)
kept = [executor.submit({task}) for _ in range(40)]
executor.shutdown(wait=False)
""",
    "exit_timeout": """
executor = T(2, exit_timeout=0.05)
kept = [executor.submit({task}) for _ in range(40)]
""",
    "exit_timeout, callbacks": """
executor = T(2, exit_timeout=0.01)
for _ in range(40):
    executor.submit({task}).add_done_callback(nap)
""",
    "pool": """
pool = ThreadPool(2)
kept = [pool.apply_async({task}) for _ in range(40)]
""",
    "pool, callbacks": """
pool = ThreadPool(2)
for _ in range(40):
    pool.apply_async(abs, (1,), callback=nap)
kept = pool.map_async({task}, range(9), callback=nap)
""",
    "pool, with": """
with ThreadPool(2) as pool:
    kept = [pool.apply_async({task}) for _ in range(40)]
    started.wait()
""",
    "pool, terminated": """
pool = ThreadPool(2)
kept = pool.imap({task}, range(40))
started.wait()
pool.terminate()
""",
    "pool, closed": """
pool = ThreadPool(2)
kept = pool.map_async({task}, range(40))
pool.close()
""",
    "dummy, dropped": """
kept = dummy.Pool(2).map_async({task}, range(40))
""",
}

ENDS = {
    "falls off": ("", 0, ""),
    "sys.exit": ("sys.exit(3)", 3, ""),
    "raises": ("raise ValueError('own')", 1, "ValueError: own"),
}


def run(tmp_path, body, end="falls off", expect=None):
    statement, code, error = ENDS[end]
    source = PREAMBLE + body + "\nstarted.wait()\n" + statement + "\n"
    for _ in range(ROUNDS):
        outcome = run_source(tmp_path, source, timeout=20)
        assert outcome.returncode == code, outcome.stderr
        if error:
            assert outcome.stderr.count("Traceback") == 1, outcome.stderr
            assert outcome.stderr.endswith(error + "\n"), outcome.stderr
        else:
            assert outcome.stderr == ""
        if expect is not None:
            assert outcome.stdout == expect


@pytest.mark.parametrize("body", FINISHING)
def test_what_was_submitted_is_done_first(tmp_path, body):
    run(
        tmp_path,
        "atexit.register(all_ran)\n" + FINISHING[body],
        expect="40\n",
    )


@pytest.mark.parametrize("end", ["sys.exit", "raises"])
@pytest.mark.parametrize("body", ["executor", "executor, tasks wait, with"])
def test_it_is_done_first_whatever_the_end(tmp_path, body, end):
    body = "atexit.register(all_ran)\n" + FINISHING[body]
    run(tmp_path, body, end, "40\n")


@pytest.mark.parametrize("body", ABANDONING)
def test_sleeping_threads_do_not_keep_the_interpreter(tmp_path, body):
    run(tmp_path, ABANDONING[body].format(task="sleep"))


@pytest.mark.parametrize("task", ["lock", "spin", "nap"])
@pytest.mark.parametrize("body", ["daemon", "exit_timeout", "pool"])
def test_nor_do_others(tmp_path, body, task):
    run(tmp_path, ABANDONING[body].format(task=task))


@pytest.mark.parametrize("end", ["sys.exit", "raises"])
@pytest.mark.parametrize("body", ["daemon", "exit_timeout", "pool, with"])
def test_the_status_is_right_whatever_is_abandoned(tmp_path, body, end):
    run(tmp_path, ABANDONING[body].format(task="sleep"), end)


@pytest.mark.parametrize(
    ("body", "task"),
    [
        ("daemon", "wait_inside"),
        ("exit_timeout", "wait_inside"),
        ("pool", "get_inside"),
        ("pool, closed", "get_inside"),
    ],
)
def test_tasks_that_wait_for_tasks_are_abandoned(tmp_path, body, task):
    run(tmp_path, ABANDONING[body].format(task=task))


def test_an_exit_timeout_lets_queued_tasks_finish(tmp_path):
    run(
        tmp_path,
        """
executor = T(1, exit_timeout=500)
atexit.register(all_ran)
for _ in range(100):
    executor.submit(nap)
""",
        expect="100\n",
    )


def test_an_executor_refuses_work_at_exit(tmp_path):
    run(
        tmp_path,
        """
executor = T(1)
executor.submit(nap)


@atexit.register
def late():
    try:
        executor.submit(abs, 1)
    except RuntimeError:
        print("refused")
""",
        expect="refused\n",
    )


def test_threads_may_submit_until_the_end(tmp_path):
    run(
        tmp_path,
        """
daemon, pool = T(2, daemon=True), ThreadPool(2)


def use():
    started.set()
    while True:
        try:
            futures.wait([daemon.submit(abs, 1) for _ in range(9)])
            pool.map(abs, range(9))
        except (RuntimeError, ValueError, futures.CancelledError):
            return


for _ in range(4):
    threading.Thread(target=use, daemon=True).start()
""",
    )


FORKS = {
    "before its first use": "executor = T(1)",
    "idle": "executor = T(1); executor.submit(nap).result()",
    "at work": """
executor = T(2)
kept = [executor.submit(nap) for _ in range(100)]
""",
    "a daemon": """
executor = T(2, daemon=True)
kept = [executor.submit(nap) for _ in range(100)]
""",
    "with exit_timeout": "executor = T(1, exit_timeout=500)",
    "with idle_timeout": "executor = T(1, idle_timeout=0.01)",
}

USES = {
    "not": "pass",
    "used": "assert executor.submit(abs, -3).result() == 3",
    "shut down": "executor.submit(abs, -3); executor.shutdown()",
    "dropped": "executor.submit(abs, -3).result(); del executor",
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("state", FORKS)
def test_a_child_ends_after_it_used_its_executor(tmp_path, state, use):
    body = f"""
{FORKS[state]}
started.set()
pid = os.fork()
if pid == 0:
    faulthandler.enable()
    signal.alarm(18)
    {USES[use]}
    sys.exit(4)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 4
assert executor.submit(abs, -5).result() == 5
"""
    run(tmp_path, body)


@pytest.mark.parametrize("kind", ["executor", "pool"])
def test_a_child_that_returns_from_its_task_ends(tmp_path, kind):
    call = {
        "executor": "T(1).submit(task).result()",
        "pool": "ThreadPool(1).apply(task)",
    }[kind]
    run(
        tmp_path,
        f"""
def task():
    pid = os.fork()
    if pid == 0:
        signal.alarm(18)
    return pid


pid = {call}
if pid == 0:
    os._exit(9)
# how it ends is its own affair; that it does is ours
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != -signal.SIGALRM
started.set()
""",
    )


def test_exit_timeouts_run_at_the_same_time(tmp_path):
    """One after the other they would outlast the watchdog."""
    run(
        tmp_path,
        """
executors = [T(1, exit_timeout=1) for _ in range(40)]
kept = [executor.submit(sleep) for executor in executors]
start = time.monotonic()
atexit.register(lambda: print(time.monotonic() - start >= 1))
""",
        expect="True\n",
    )
