"""Ctrl-C: soon over, with one traceback."""

import contextlib
import os
import signal
import threading
import time

import pytest

from pyconc import futures
from support.impls import METHODS
from support.polling import eventually
from support.procs import alive, any_alive
from support.scripts import kill_group, start_script, write_source
from support.tasks import busy, square

# promised: 1.5 s; the rest is slack for a busy machine
SECONDS = 10

PREAMBLE = """
import sys
import time

from pyconc import futures, multiprocessing
from support.gate import Gate
from support.tasks import square


def sleep(gate):
    gate.arrive()
    time.sleep(600)


def spin(gate):
    gate.arrive()
    while True:
        pass


"""

MAINS = {
    "with pool.map": """
    with ctx.Pool(2) as pool:
        pool.map(work, [gate] * 20, chunksize=1)
""",
    "pool.map": """
    pool = ctx.Pool(2)
    pool.map(work, [gate] * 20, chunksize=1)
""",
    "apply": """
    pool = ctx.Pool(2)
    pool.apply_async(work, (gate,))
    pool.apply(work, (gate,))
""",
    "imap": """
    with ctx.Pool(2) as pool:
        for _ in pool.imap_unordered(work, [gate] * 20):
            pass
""",
    "join": """
    pool = ctx.Pool(2)
    pool.map_async(work, [gate] * 20, chunksize=1)
    pool.close()
    pool.join()
""",
    "with executor.map": """
    with futures.ProcessPoolExecutor(2, mp_context=ctx) as executor:
        list(executor.map(work, [gate] * 20))
""",
    "executor.map": """
    executor = futures.ProcessPoolExecutor(2, mp_context=ctx)
    list(executor.map(work, [gate] * 20))
""",
    "wait": """
    with futures.ProcessPoolExecutor(2, mp_context=ctx) as executor:
        futures.wait([executor.submit(work, gate) for _ in range(20)])
""",
    "as_completed": """
    with futures.ProcessPoolExecutor(2, mp_context=ctx) as executor:
        pending = [executor.submit(work, gate) for _ in range(20)]
        for _ in futures.as_completed(pending):
            pass
""",
}

ENDING = """

if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Gate(sys.argv[3]))
"""


def interrupted(tmp_path, gate, main, method="fork", work="sleep"):
    """Run the script, interrupt its whole group; return rc, stderr."""
    source = (
        PREAMBLE
        + "def main(method, name, gate):\n"
        + "    ctx = multiprocessing.get_context(method)\n"
        + "    work = globals()[name]\n"
        + MAINS[main]
        + ENDING
    )
    script = start_script(
        write_source(tmp_path, source), method, work, gate.directory
    )
    try:
        eventually(
            lambda: len(gate.marks("in-")) >= 2 or script.poll() is not None,
        )
        assert script.poll() is None, script.stderr.read()
        pids = gate.arrived_pids()
        start = time.monotonic()
        os.killpg(script.pid, signal.SIGINT)
        _, err = script.communicate(timeout=30)
        took = time.monotonic() - start
        eventually(lambda: not any_alive(pids), SECONDS, "end of the workers")
        return script.returncode, err, took
    finally:
        kill_group(script)


def assert_clean(outcome):
    returncode, err, took = outcome
    assert err.count("Traceback (most recent call last)") == 1, err
    assert err.rstrip().endswith("KeyboardInterrupt"), err
    assert returncode in (-signal.SIGINT, 128 + signal.SIGINT, 1)
    assert took < SECONDS


@pytest.mark.parametrize("main", MAINS)
def test_one_traceback_and_a_quick_end(tmp_path, gate, main):
    assert_clean(interrupted(tmp_path, gate, main))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("main", ["with pool.map", "with executor.map"])
@pytest.mark.parametrize("work", ["sleep", "spin"])
def test_under_every_start_method(tmp_path, gate, main, method, work):
    assert_clean(interrupted(tmp_path, gate, main, method, work))


class Alarm(Exception):
    pass


@contextlib.contextmanager
def alarmed():
    """Expect Alarm, which is raised in the main thread a moment later."""

    def on_alarm(_signal, _frame):
        raise Alarm

    main = threading.main_thread().ident
    # SIGALRM is the watchdog's.  Once only: a second one would help.
    bell = threading.Timer(0.3, signal.pthread_kill, (main, signal.SIGUSR1))
    previous = signal.signal(signal.SIGUSR1, on_alarm)
    start = time.monotonic()
    try:
        with pytest.raises(Alarm):
            bell.start()
            yield
    finally:
        bell.join()
        signal.signal(signal.SIGUSR1, previous)
    assert time.monotonic() - start < SECONDS


@pytest.mark.parametrize("seconds", [0.0001, 0.001, 0.01])
def test_a_signal_is_noticed_while_results_keep_coming(pool, seconds):
    items = [seconds] * int(20 / seconds)
    result = pool.map_async(busy, items, 1)
    with alarmed():
        result.get()
    pool.terminate()


@pytest.mark.parametrize("seconds", [0.0001, 0.01])
def test_a_signal_is_noticed_by_imap(pool, seconds):
    results = pool.imap(busy, [seconds] * int(20 / seconds))
    with alarmed():
        for _ in results:
            pass
    pool.terminate()


@pytest.mark.parametrize("seconds", [0.0001, 0.01])
def test_a_signal_is_noticed_by_wait(executor, seconds):
    items = [seconds] * int(20 / seconds)
    pending = [executor.submit(busy, item) for item in items]
    with alarmed():
        futures.wait(pending)
    executor.kill_workers()


def test_an_idle_worker_survives_an_interrupt(make_pool, make_gate):
    from support.gate import worker_pids

    pool = make_pool(2)
    pids = worker_pids(pool, 2, make_gate().directory)
    for pid in pids:
        os.kill(pid, signal.SIGINT)
    assert pool.map(square, range(50)) == [n * n for n in range(50)]
    assert worker_pids(pool, 2, make_gate().directory) == pids


def test_an_interrupt_of_a_running_task_is_its_error(make_pool, gate):
    pool = make_pool(1)
    held = pool.apply_async(gate.enter)
    gate.wait_arrived(1)
    (pid,) = gate.arrived_pids()
    os.kill(pid, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        held.get(30)
    assert pool.apply(square, (3,)) == 9
    assert alive(pid)


def test_a_program_started_by_a_task_can_be_interrupted(pool):
    # SIGINT is neither ignored nor blocked in what a task starts
    assert pool.apply(read_signal_state) == (False, False)


def read_signal_state():
    import subprocess
    import sys

    text = subprocess.run(
        [sys.executable, "-c", "print(open('/proc/self/status').read())"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    fields = dict(
        line.split(":\t", 1) for line in text.splitlines() if ":\t" in line
    )
    bit = 1 << (signal.SIGINT - 1)
    return (
        bool(int(fields["SigIgn"], 16) & bit),
        bool(int(fields["SigBlk"], 16) & bit),
    )
