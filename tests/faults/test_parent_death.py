"""The parent is killed: no worker and no name outlives it."""

import json
import os
import signal

import pytest

from support.impls import METHODS
from support.polling import eventually
from support.procs import any_alive, shared_names
from support.scripts import kill_group, start_script, write_source

# promised: 2 s; the rest is slack for a busy machine
SECONDS = 10

SCRIPT = """
import json
import os
import sys
import time

from pyconc import futures, multiprocessing
from support import tasks
from support.gate import Gate


def spin(gate):
    gate.arrive()
    while True:
        pass


def sleep(gate):
    gate.arrive()
    time.sleep(600)


def stream(gate):
    gate.arrive()
    return bytes(100_000)


def block_signals(gate):
    import signal

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    spin(gate)


def main(kind, method, state, directory):
    ctx = multiprocessing.get_context(method)
    gate = Gate(directory)
    if kind == "pool":
        pool = ctx.Pool(2)
        submit = lambda function, *args: pool.apply_async(function, args)
    else:
        pool = futures.ProcessPoolExecutor(2, mp_context=ctx)
        submit = pool.submit
    kept = [submit(gate.meet, 2) for _ in range(2)]
    pids = [r.get() if kind == "pool" else r.result() for r in kept]
    print(json.dumps(pids), flush=True)
    if state == "idle":
        sys.stdin.read()
    else:
        function = globals()[state]
        while True:
            kept = [submit(function, gate) for _ in range(200)]
            for result in kept:
                result.get() if kind == "pool" else result.result()


if __name__ == "__main__":
    main(*sys.argv[1:])
"""


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "state", ["idle", "spin", "sleep", "stream", "block_signals"]
)
@pytest.mark.parametrize("kind", ["pool", "executor"])
def test_no_worker_outlives_its_parent(gate, tmp_path, kind, method, state):
    before = shared_names()
    path = write_source(tmp_path, SCRIPT)
    script = start_script(
        path, kind, method, state, gate.directory, stdin=True
    )
    pids = []
    try:
        line = script.stdout.readline()
        assert line, script.stderr.read()
        pids = json.loads(line)
        # beyond the two of the meeting
        if state != "idle":
            gate.wait_arrived(4)
        assert any_alive(pids)
        os.kill(script.pid, signal.SIGKILL)
        script.wait()
        eventually(lambda: not any_alive(pids), SECONDS, "end of workers")
        eventually(lambda: shared_names() <= before, SECONDS)
    finally:
        kill_group(script)
        script.communicate()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
