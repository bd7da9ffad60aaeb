"""The interpreter ends while pools have queued and running tasks."""

import pytest

from support.impls import METHODS
from support.polling import eventually
from support.procs import shared_names
from support.scripts import run_source

PREAMBLE = """
import atexit
import os
import sys
import threading
import time

from pyconc import futures, multiprocessing
from support.gate import Gate
from support.tasks import square

gate = Gate({directory!r})


def nap(value):
    gate.arrive()
    time.sleep(0.01)
    return value


def long_nap(value):
    gate.arrive()
    time.sleep(600)


def started():
    while not gate.marks("in-"):
        time.sleep(0.001)


if __name__ == "__main__":
    ctx = multiprocessing.get_context({method!r})
"""

BODIES = {
    "pool, queued and running": """
    pool = ctx.Pool(2)
    kept = [pool.apply_async(long_nap, (i,)) for i in range(50)]
    started()
""",
    "pool, idle": """
    pool = ctx.Pool(2)
    pool.map(nap, range(4))
""",
    "pool, never used": """
    pool = ctx.Pool(2)
""",
    "pool, closed": """
    pool = ctx.Pool(2)
    kept = pool.map_async(nap, range(20))
    started()
    pool.close()
""",
    "pool, closed and joined": """
    pool = ctx.Pool(2)
    kept = pool.map_async(nap, range(20))
    pool.close()
    pool.join()
    assert kept.get(0) == list(range(20))
""",
    "pool, with": """
    with ctx.Pool(2) as pool:
        kept = [pool.apply_async(long_nap, (i,)) for i in range(50)]
        started()
""",
    "pool, callbacks": """
    pool = ctx.Pool(2)
    for i in range(500):
        pool.apply_async(square, (i,), callback=lambda value: None)
    pool.apply(nap, (1,))
""",
    "pool, imap": """
    pool = ctx.Pool(2)
    results = pool.imap(nap, range(1000))
    next(results)
""",
    "pool, maxtasksperchild": """
    pool = ctx.Pool(2, maxtasksperchild=1)
    kept = pool.map_async(nap, range(50), chunksize=1)
    started()
""",
    "executor, idle": """
    executor = futures.ProcessPoolExecutor(2, mp_context=ctx)
    list(executor.map(nap, range(4)))
""",
    "executor, with": """
    with futures.ProcessPoolExecutor(2, mp_context=ctx) as executor:
        kept = [executor.submit(nap, i) for i in range(10)]
""",
    "executor, without wait": """
    executor = futures.ProcessPoolExecutor(2, mp_context=ctx)
    kept = [executor.submit(nap, i) for i in range(10)]
    executor.shutdown(wait=False)
""",
    "thread waits": """
    pool = ctx.Pool(2)
    result = pool.apply_async(long_nap, (1,))
    threading.Thread(target=result.wait, daemon=True).start()
    started()
""",
}


def check(outcome, shared):
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stderr == ""
    # Its output was read to the end, which whoever was left would keep open.
    eventually(lambda: shared_names() <= shared)


def run(tmp_path, gate, body, method="fork"):
    shared = shared_names()
    source = PREAMBLE.format(directory=gate.directory, method=method)
    outcome = run_source(tmp_path, source + body, timeout=20)
    check(outcome, shared)
    return outcome


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("method", METHODS)
def test_the_end_is_silent_and_leaves_nobody(tmp_path, gate, body, method):
    run(tmp_path, gate, BODIES[body], method)


@pytest.mark.parametrize(
    "body",
    ["pool, queued and running", "pool, closed and joined", "executor, with"],
)
@pytest.mark.watchdog(240)
def test_twenty_times_over(tmp_path, make_gate, body):
    for _ in range(20):
        run(tmp_path, make_gate(), BODIES[body])


def test_an_executor_finishes_its_tasks_first(tmp_path, gate):
    outcome = run(
        tmp_path,
        gate,
        """
    executor = futures.ProcessPoolExecutor(2, mp_context=ctx)
    for i in range(20):
        executor.submit(nap, i).add_done_callback(
            lambda future: print(future.result())
        )
""",
    )
    assert sorted(map(int, outcome.stdout.split())) == list(range(20))


def test_an_exit_code_is_kept(tmp_path, gate):
    source = PREAMBLE.format(directory=gate.directory, method="fork") + (
        """
    pool = ctx.Pool(2)
    kept = [pool.apply_async(long_nap, (i,)) for i in range(5)]
    started()
    sys.exit(5)
"""
    )
    outcome = run_source(tmp_path, source, timeout=20)
    assert outcome.returncode == 5
    assert outcome.stderr == ""


def test_an_uncaught_exception_is_the_only_traceback(tmp_path, gate):
    source = PREAMBLE.format(directory=gate.directory, method="fork") + (
        """
    pool = ctx.Pool(2)
    kept = [pool.apply_async(long_nap, (i,)) for i in range(5)]
    started()
    raise ValueError("the program's own")
"""
    )
    outcome = run_source(tmp_path, source, timeout=20)
    assert outcome.returncode == 1
    assert outcome.stderr.count("Traceback") == 1
    assert "the program's own" in outcome.stderr


@pytest.mark.parametrize("kind", ["pool", "executor"])
def test_new_work_at_exit_is_refused_or_done(tmp_path, gate, kind):
    make = {
        "pool": "pool = ctx.Pool(1); ask = lambda: pool.apply(nap, (1,))",
        "executor": (
            "pool = futures.ProcessPoolExecutor(1, mp_context=ctx); "
            "ask = lambda: pool.submit(nap, 1).result(20)"
        ),
    }[kind]
    outcome = run(
        tmp_path,
        gate,
        f"""
    {make}
    ask()

    @atexit.register
    def late():
        try:
            ask()
        except (ValueError, RuntimeError) as error:
            print("refused")
        else:
            print("done")
""",
    )
    assert outcome.stdout.strip() in ("refused", "done")


def test_a_worker_runs_its_clean_up_at_a_normal_end(tmp_path, gate):
    run(
        tmp_path,
        gate,
        """
    def register(_value):
        from multiprocessing import util

        util.Finalize(None, gate.mark, ("cleaned",), exitpriority=10)

    with ctx.Pool(1) as pool:
        pool.map(register, [1])
        pool.close()
        pool.join()
    assert gate.has("cleaned")
""",
    )


def test_output_of_a_worker_is_flushed(tmp_path, gate):
    outcome = run(
        tmp_path,
        gate,
        """
    with ctx.Pool(1) as pool:
        pool.map(print, ["from the worker"])
        pool.close()
        pool.join()
""",
    )
    assert outcome.stdout == "from the worker\n"
