"""Out of descriptors, processes or memory."""

import pytest

from support.impls import METHODS
from support.scripts import run_source

COMMON = """
import errno
import gc
import os
import resource
import sys

from pyconc import futures, multiprocessing
from support import procs, tasks


def vm_size():
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[0]) * resource.getpagesize()


def start(kind):
    if kind == "pool":
        pool = ctx.Pool(2)
        assert pool.map(tasks.square, range(5)) == [0, 1, 4, 9, 16]
        pool.terminate()
        pool.join()
    else:
        with futures.ProcessPoolExecutor(2, mp_context=ctx) as executor:
            assert executor.submit(tasks.square, 3).result() == 9


def attempt(kind):
    try:
        start(kind)
    except (OSError, MemoryError) as error:
        print(f"{type(error).__name__}: {error}")
        return False
    print("started")
    return True


def assert_nothing_left(before, children, case):
    # what was open may have been closed; nothing may have been added
    gc.collect()
    left = {
        number: target
        for number, target in procs.descriptors().items()
        if number not in before
    }
    assert not left, (case, left)
    assert procs.children() <= children, case


def settle():
    # what the interpreter and the stdlib open once and for all
    start(kind)
    gc.collect()


if __name__ == "__main__":
    kind, method = "%(kind)s", "%(method)s"
    ctx = multiprocessing.get_context(method)
"""


def run(tmp_path, source, kind="pool", method="fork"):
    outcome = run_source(
        tmp_path, COMMON % {"kind": kind, "method": method} + source
    )
    assert outcome.returncode == 0, outcome.stderr
    if method != "forkserver":
        # the stdlib's server process reports a start that was broken off
        assert "Traceback" not in outcome.stderr
    return outcome.stdout.splitlines()


kinds = pytest.mark.parametrize("kind", ["pool", "executor"])


@kinds
@pytest.mark.parametrize("method", METHODS)
def test_too_few_descriptors(tmp_path, kind, method):
    lines = run(
        tmp_path,
        """
    settle()
    before, children = procs.descriptors(), procs.children()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = started = 0
    while started < 2:
        limit = max(before) + 1 + spare
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        started += attempt(kind)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert_nothing_left(before, children, spare)
        spare += 1
""",
        kind,
        method,
    )
    failures = [line for line in lines if line != "started"]
    assert failures
    for line in failures:
        assert "descriptor" in line or "open files" in line, line


FORK_FAILS = """
    settle()
    real_fork = os.fork
    before, children = set(procs.descriptors()), procs.children()
    for allowed in range(4):
        calls = 0

        def fork():
            global calls
            calls += 1
            if calls > allowed:
                raise BlockingIOError(
                    errno.EAGAIN, "Resource temporarily unavailable"
                )
            return real_fork()

        os.fork = fork
        try:
            pool = ctx.Pool(4)
        except OSError as error:
            print(f"{type(error).__name__}: {error}")
        os.fork = real_fork
        assert_nothing_left(before, children, allowed)
    start(kind)
"""


def test_too_few_processes(tmp_path):
    lines = run(tmp_path, FORK_FAILS)
    assert len(lines) == 4
    for line in lines:
        assert "process" in line.lower(), line


def test_too_few_processes_for_a_replacement(tmp_path):
    lines = run(
        tmp_path,
        """
    import pyconc
    from support import deaths

    pool = ctx.Pool(2)
    real_fork = os.fork

    def fork():
        raise BlockingIOError(errno.EAGAIN, "no more of them")

    os.fork = fork
    try:
        pool.apply_async(deaths.die).get(20)
    except pyconc.WorkerLostError:
        print("lost")
    # the worker that is left does the work
    print(pool.map_async(tasks.square, range(5)).get(20))
    os.fork = real_fork
    pool.close()
    pool.join()
""",
    )
    assert lines == ["lost", "[0, 1, 4, 9, 16]"]


@kinds
def test_little_address_space(tmp_path, kind):
    lines = run(
        tmp_path,
        """
    settle()
    before, children = set(procs.descriptors()), procs.children()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    for spare in (1, 4, 16, 64, 256, 1024):
        limit = vm_size() + (spare << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
        attempt(kind)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        assert_nothing_left(before, children, spare)
    start(kind)
""",
        kind,
    )
    assert lines[-1] == "started"
    for line in lines:
        assert (
            line == "started"
            or "memory" in line.lower()
            or ("address space" in line)
        ), line


def test_an_argument_beyond_the_memory_fails_alone(tmp_path):
    lines = run(
        tmp_path,
        """
    with ctx.Pool(2) as pool:
        assert pool.apply(tasks.square, (2,)) == 4
        block = bytes(200 << 20)
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(
            resource.RLIMIT_AS, (vm_size() + (64 << 20), hard)
        )
        try:
            print(pool.apply_async(tasks.size_of, (block,)).get(30))
        except (MemoryError, OSError) as error:
            print("refused")
        print(pool.map(tasks.square, range(5)))
""",
    )
    assert lines[0] in ("refused", str(200 << 20))
    assert lines[1] == "[0, 1, 4, 9, 16]"


def test_a_task_that_runs_out_of_memory_fails_alone(tmp_path):
    lines = run(
        tmp_path,
        """
    def restrict():
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(
            resource.RLIMIT_AS, (vm_size() + (64 << 20), hard)
        )

    with ctx.Pool(2, initializer=restrict) as pool:
        try:
            pool.apply_async(tasks.make_bytes, (500 << 20,)).get(30)
        except MemoryError:
            print("refused")
        print(pool.map(tasks.square, range(5)))
""",
    )
    assert lines == ["refused", "[0, 1, 4, 9, 16]"]


def test_a_small_file_size_limit(tmp_path):
    lines = run(
        tmp_path,
        """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    attempt(kind)
""",
    )
    assert len(lines) == 1


def test_many_workers_under_a_low_limit_leave_nothing(tmp_path):
    lines = run(
        tmp_path,
        """
    settle()
    before, children = set(procs.descriptors()), procs.children()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before) + 60, hard))
    try:
        pool = ctx.Pool(500)
    except OSError as error:
        print(f"{type(error).__name__}: {error}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert_nothing_left(before, children, 500)
""",
    )
    assert len(lines) == 1
    assert "descriptor" in lines[0] or "open files" in lines[0]
