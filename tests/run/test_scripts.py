"""Scripts do under `python -m pyconc run` what they do under `python`.

The scripts say what everything that is documented returns or raises, and do
what programs in the wild do.  Each side is a fresh interpreter in an empty
directory.
"""

import difflib
import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.scripts import QUIET_TRACKER

SCRIPTS = Path(__file__).parent / "scripts"
METHODS = os.environ.get("PYCONC_TEST_METHODS", "fork spawn forkserver").split()
TIMEOUT = 110

PLAIN = [sys.executable]
RUN = [sys.executable, "-m", "pyconc", "run"]

ABOUT_THREADS = """
    threading_api queue_api futures_api dummy_api
    habits_imports habits_patching habits_private habits_reprs habits_star
    habits_types shadow/main
""".split()
# Their argument is the start method.
ABOUT_PROCESSES = """
    multiprocessing_pool multiprocessing_process multiprocessing_queues
    multiprocessing_sync multiprocessing_shared multiprocessing_managers
    multiprocessing_connection futures_processes
    habits_pickling habits_subclasses
""".split()
WAYS_TO_END = """
    error code message interrupt signal os thread daemon error-and-thread
    executor pool process stdin
""".split()


class Program:
    """A script that runs, in a session of its own."""

    def __init__(self, command, script, arguments, cwd, **environment):
        cwd.mkdir()
        self.process = subprocess.Popen(
            [*command, str(SCRIPTS / f"{script}.py"), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="backslashreplace",
            cwd=cwd,
            env={
                **os.environ,
                "PYTHONWARNINGS": QUIET_TRACKER,
                **environment,
            },
            start_new_session=True,
        )

    def end(self, stdin):
        """Return its exit status, its output and its errors.

        They are read to the end: a process that keeps them open counts as
        hanging.
        """
        try:
            out, err = self.process.communicate(stdin, TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
            out, err = self.process.communicate()
            raise AssertionError(
                f"{self.process.args} still ran after {TIMEOUT} s\n{out}\n{err}"
            ) from None
        return self.process.returncode, out, err

    def kill(self):
        """End whatever is left of it."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def both(directory, script, *arguments, stdin=""):
    """Run a script in both ways, at the same time."""
    plain = Program(PLAIN, script, arguments, directory / "plain")
    # It may have more than is documented, which need not be shown.
    ours = Program(RUN, script, arguments, directory / "run", TOUR_MORE_NAMES="1")
    try:
        return plain.end(stdin), ours.end(stdin)
    finally:
        plain.kill()
        ours.kill()


def assert_same(plain, ours):
    lines = []
    for what, expected, actual in zip(("stdout", "stderr"), plain[1:], ours[1:]):
        lines += difflib.unified_diff(
            expected.splitlines(),
            actual.splitlines(),
            f"{what} of python",
            f"{what} of python -m pyconc run",
            lineterm="",
            n=1,
        )
    if lines or plain[0] != ours[0]:
        lines.append(f"exit status: {plain[0]} and {ours[0]}")
        pytest.fail("\n".join(lines), pytrace=False)


@pytest.mark.parametrize("script", ABOUT_THREADS)
def test_script_about_threads(script, tmp_path):
    plain, ours = both(tmp_path, script)
    assert plain[0] == 0, plain[2]
    assert_same(plain, ours)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("script", ABOUT_PROCESSES)
def test_script_about_processes(script, method, tmp_path):
    plain, ours = both(tmp_path, script, method)
    assert plain[0] == 0, plain[2]
    assert_same(plain, ours)


@pytest.mark.parametrize("way", WAYS_TO_END)
def test_how_a_script_ends(way, tmp_path):
    plain, ours = both(tmp_path, "habits_exit", way, stdin="one\ntwo\n")
    assert f"['{way}'] habits_exit.py" in plain[1]
    assert_same(plain, ours)


def test_script_about_threadpool(tmp_path):
    ours = Program(
        RUN, "threadpool_api", [], tmp_path / "run", TOUR_MORE_NAMES="1"
    )
    try:
        assert_same((0, THREADPOOL, ""), ours.end(""))
    finally:
        ours.kill()


@pytest.mark.skipif(
    importlib.util.find_spec("threadpool") is None,
    reason="threadpool is not installed",
)
def test_script_about_the_original_threadpool(tmp_path):
    plain = Program(PLAIN, "threadpool_api", [], tmp_path / "plain")
    try:
        assert_same((0, THREADPOOL, ""), plain.end(""))
    finally:
        plain.kill()


@pytest.mark.parametrize(
    ("name", "attribute", "ours"),
    [
        ("threading", "Thread", "pyconc.threading"),
        ("queue", "Queue", "pyconc.queue"),
        ("multiprocessing.pool", "Pool", "pyconc.multiprocessing.pool"),
        ("concurrent.futures", "ThreadPoolExecutor", "pyconc.futures"),
        ("threadpool", "WorkRequest", "pyconc.threadpool"),
    ],
)
def test_the_other_side_is_pyconc(name, attribute, ours, tmp_path):
    """What has been compared above are two things."""
    code = (
        f"import {name}\n"
        f"import {ours}\n"
        f"print({name}.{attribute} is {ours}.{attribute})"
    )
    done = subprocess.run(
        [*RUN, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=TIMEOUT,
    )
    assert (done.stdout, done.stderr) == ("True\n", "")


@pytest.mark.parametrize(
    ("script", "part", "other", "left_out"),
    [
        ("threading_api", "e.clear()", "None", "Event.clear"),
        ("threading_api", "(value=2)", "(2)", "BoundedSemaphore(value=)"),
        ("queue_api", "put_nowait(4)", "put(4)", "SimpleQueue.put_nowait"),
        ("futures_api", "futures.ALL_COMPLETED", "futures.wait", "ALL_COMPLETED"),
    ],
)
def test_what_a_script_forgets_makes_it_fail(
    script, part, other, left_out, tmp_path
):
    source = (SCRIPTS / f"{script}.py").read_text()
    assert part in source
    (tmp_path / "tour.py").write_text((SCRIPTS / "tour.py").read_text())
    path = tmp_path / "script.py"
    path.write_text(source.replace(part, other))
    done = subprocess.run(
        [sys.executable, str(path)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert left_out in done.stderr.splitlines()[-1].split()


def test_every_script_is_run():
    listed = {
        *ABOUT_THREADS,
        *ABOUT_PROCESSES,
        "habits_exit",
        "threadpool_api",
    }
    # The others are modules that these import.
    programs = {
        str(path.relative_to(SCRIPTS).with_suffix(""))
        for path in SCRIPTS.rglob("*.py")
        if '\nif __name__ == "__main__":\n' in path.read_text()
    }
    assert listed == programs


# What the original prints.
THREADPOOL = """\
main_example
  pending: True
  wait: None [0, 2, 4, 6, 8, 10, 12, 14, 16, 18] {}
  workers: 3 'WorkerThread'
pools
  new: 1 [] {}
  poll raises NoResultsPending: ''
  poll raises NoResultsPending: ''
  wait: None
  createWorkers: None 3
  putRequest: None
  putRequest: None
  putRequest: None
  putRequest: None
  answers: [0, 2, 4, 6]
  dismissWorkers: None 2
  dismissed: 1
  join: None []
  dismissWorkers: None []
  dismissed: []
  nobody works raises NoWorkersAvailable: ''
  nobody works raises NoWorkersAvailable: ''
  poll: None 1
  wait: None 18
  no request raises AssertionError
  unknown argument raises TypeError
bounds
  full: 'Full'
  in time raises Full
  put: None None
requests
  request: 'double' [1] {'extra': 2} False
  callbacks: None None
  id: True
  default: [] {} True None
  exc_callback: True
  str: "<WorkRequest id=.. args=[1] kwargs={'extra': 2} exception=False>"
  id raises TypeError
  one worker keeps the order: [(0, 1), (1, 3), (2, 5)]
errors
  wait: None [(True, 'LookupError', 'request 1')] [] True
  put again raises AssertionError
  callback gets the error: 1 <class 'LookupError'> LookupError('request 2')
  printed: 'Traceback (most recent call last):' 'LookupError: request 3' 1
make_requests
  args: [((1,), {'extra': 1}), ([3], {})]
  requests: ['WorkRequest', 'WorkRequest'] None
  a list is one argument: [[4]]
  None: {}
  a short tuple raises IndexError
  none: []
workers
  worker: True True True
  dismiss: None None None False
  named: ['worker 0', 'worker 1'] 5
  run: True
exceptions
  NoResultsPending: 'Exception'
  NoWorkersAvailable: 'Exception'
  version: '1.3.2'
  star: []
everything was covered
"""
