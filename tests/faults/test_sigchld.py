"""The host program ignores or reaps SIGCHLD."""

import pytest

from support.impls import METHODS
from support.scripts import run_source

IGNORES = """
import signal

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
"""

REAPS = """
import os
import threading
import time


def reap():
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            time.sleep(0.001)


threading.Thread(target=reap, daemon=True).start()
"""

HANDLES = """
import os
import signal


def reap(_signal, _frame):
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


signal.signal(signal.SIGCHLD, reap)
"""

JOB = """
import sys

import pyconc
from pyconc import futures, multiprocessing
from support import deaths, tasks


def expect(error, function):
    try:
        function()
    except error:
        return
    raise SystemExit("no error")


def main():
    ctx = multiprocessing.get_context({method!r})
    with ctx.Pool(2) as pool:
        assert pool.map(tasks.square, range(20))[19] == 361
        expect(pyconc.WorkerLostError, lambda: pool.apply(deaths.die))
        results = [pool.apply_async(tasks.square, (3,)) for _ in range(20)]
        expect(pyconc.WorkerLostError, lambda: pool.apply(deaths.die))
        assert [r.get(20) for r in results] == [9] * 20
    pool.join()
    with ctx.Pool(2, maxtasksperchild=1) as pool:
        assert pool.map(tasks.square, range(10), 1)[9] == 81
        pool.close()
        pool.join()
    with futures.ProcessPoolExecutor(2, mp_context=ctx) as executor:
        assert executor.submit(tasks.square, 3).result() == 9
        expect(
            futures.process.BrokenProcessPool,
            executor.submit(deaths.die).result,
        )
    print("done")


if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "host", [IGNORES, REAPS, HANDLES], ids=["ignores", "reaps", "handles"]
)
def test_pools_do_not_need_the_exit_status(tmp_path, host, method):
    # the host's part is guarded too: spawned workers import this script
    guarded = "if __name__ == '__main__':\n" + "".join(
        f"    {line}\n" if line else "\n" for line in host.splitlines()
    )
    outcome = run_source(tmp_path, guarded + JOB.format(method=method))
    assert outcome.stdout == "done\n", outcome.stderr
    assert outcome.returncode == 0
    assert "Traceback" not in outcome.stderr
