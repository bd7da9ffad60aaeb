"""Every crash point, passed by every role: the survivors go on.

See points.py for the matrix and scenario.py for what is checked on the side
of a parent that lives on.
"""

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from crash.points import NEEDS_TWO_CPUS, PARENT, WORKER, names_in_source
from support.polling import eventually
from support.procs import alive, shared_names
from support.scripts import environment, kill_group

SCENARIO = Path(__file__).with_name("scenario.py")

# Promised: 2 s for the workers of a parent that was killed, 1 s for most
# else; the rest is slack for a busy machine.
SECONDS = 20

# Longer than the watchdog of the script.
TIMEOUT = 260


def test_every_crash_point_of_the_source_is_in_the_matrix():
    assert names_in_source() == PARENT | WORKER


def processes_with(setting):
    """Return the living processes that were started with `NAME=value`."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            settings = (path / "environ").read_bytes().split(b"\0")
        except OSError:  # gone, or somebody else's
            continue
        if setting.encode() in settings and alive(path.name):
            found.append(int(path.name))
    return found


def run_to_its_end(directory, *args):
    """Run a script; return its exit code and what it wrote.

    Its output are files: what it leaves behind is looked for, not waited for
    as somebody at the other end of a pipe.
    """
    output = directory / "output"
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, *map(str, args)],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=environment(),
            start_new_session=True,
        )
    try:
        code = process.wait(TIMEOUT)
    except subprocess.TimeoutExpired:
        kill_group(process)
        code = f"none after {TIMEOUT} s"
    return code, output.read_text()


@pytest.mark.usefixtures("crash_points")
@pytest.mark.parametrize("kind", ["pool", "replace", "break"])
def test_survivors_of_a_death_go_on(case, kind, tmp_path, monkeypatch):
    if case.point in NEEDS_TWO_CPUS and len(os.sched_getaffinity(0)) < 2:
        pytest.skip("nobody spins on a single CPU")
    log = tmp_path / "log"
    plan = f"{case.point}:{case.passes}"
    if case.role == "frozen":
        plan += ":stop"
    if case.role == "sibling":
        monkeypatch.setenv("PYCONC_CRASH_ONCE", str(tmp_path / "once"))
    role = "parent" if case.role == "parent" else "worker"
    name = uuid.uuid4().hex
    monkeypatch.setenv("PYCONC_CRASH", plan)
    monkeypatch.setenv("PYCONC_CRASH_ROLE", role)
    monkeypatch.setenv("PYCONC_CRASH_LOG", str(log))
    monkeypatch.setenv("CRASH_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("CRASH_CASE", name)
    before = shared_names()

    code, output = run_to_its_end(tmp_path, SCENARIO, kind, *case)

    try:
        expected = -signal.SIGKILL if case.role == "parent" else 0
        assert code == expected, output
        assert log.exists(), output
        eventually(
            lambda: not processes_with(f"CRASH_CASE={name}"),
            SECONDS,
            "end of all processes",
        )
        eventually(lambda: shared_names() <= before, SECONDS, "no new name")
    finally:
        for pid in processes_with(f"CRASH_CASE={name}"):
            os.kill(pid, signal.SIGKILL)
