"""Run a script in a fresh interpreter of its own process group."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

# PYTHONWARNINGS without what the standard library's tracker says at times, if
# processes end while others start.
QUIET_TRACKER = (
    "ignore:resource_tracker:UserWarning,"
    "ignore:ResourceTracker called reentrantly:UserWarning"
)


def environment():
    """Return an environment whose interpreters import what we can."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONFAULTHANDLER": "",
    }


def start_script(*args, stdin=False):
    """Start python with args; its processes share a new session."""
    return subprocess.Popen(
        [sys.executable, *map(str, args)],
        stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        # Not the root of the sources, whose pyconc has no extension module.
        cwd=tempfile.gettempdir(),
        start_new_session=True,
    )


def kill_group(process):
    """End whatever is left of the script's processes."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def run_script(*args, stdin=None, timeout=40):
    """Run python with args to its end; return the CompletedProcess.

    Output is read to its end, so a process that keeps the script's
    standard streams open counts as hanging.
    """
    process = start_script(*args, stdin=stdin is not None)
    try:
        out, err = process.communicate(stdin, timeout)
    except subprocess.TimeoutExpired:
        kill_group(process)
        out, err = process.communicate()
        raise AssertionError(
            f"the script still ran after {timeout} s\n{out}\n{err}"
        ) from None
    finally:
        kill_group(process)
    return subprocess.CompletedProcess(args, process.returncode, out, err)


def write_source(directory, source):
    """Write a script, so that tracebacks can show its lines."""
    path = Path(directory, "script.py")
    path.write_text(source)
    return path


def run_source(directory, source, **kwds):
    return run_script(write_source(directory, source), **kwds)
