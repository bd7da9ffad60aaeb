"""The process forks while threads of pools are at work."""

import textwrap

import pytest

from pyconc.futures import ThreadPoolExecutor, wait
from pyconc.multiprocessing.pool import ThreadPool
from support.children import in_forked_child
from support.errors import catch
from support.scripts import run_source
from support.threads import Hold


@pytest.fixture
def busy():
    """An executor and its futures; a pool and its results; all held."""
    hold = Hold()
    with ThreadPoolExecutor(2) as executor:
        pool = ThreadPool(2)
        futures = [executor.submit(hold, n) for n in range(10)]
        results = [pool.apply_async(hold, (n,)) for n in range(10)]
        hold.wait_running(4)
        try:
            yield executor, futures, pool, results
        finally:
            hold.let_go.set()
        # the parent is not disturbed
        assert [future.result(20) for future in futures] == list(range(10))
        assert [result.get(20) for result in results] == list(range(10))
        pool.close()
        pool.join()


def child_says(function):
    text, code = in_forked_child(function)
    assert code == 0, text
    return text


def test_the_executor_is_empty_and_usable_in_a_child(busy):
    executor = busy[0]

    def child():
        pending = [executor.submit(abs, -n) for n in range(1000)]
        wait(pending)
        total = sum(future.result() for future in pending)
        return total + sum(executor.map(abs, range(-10, 0)))

    assert child_says(child) == str(499_500 + 55)


@pytest.mark.parametrize("which", [0, -1], ids=["running", "queued"])
@pytest.mark.parametrize("timeout", [None, 5])
def test_what_was_pending_raises_in_a_child(busy, which, timeout):
    _, futures, _, results = busy

    def child():
        errors = [
            catch(lambda: futures[which].result(timeout)),
            catch(lambda: results[which].get(timeout)),
        ]
        return [type(error).__name__ for error in errors]

    assert child_says(child) == "['RuntimeError', 'RuntimeError']"


def test_waiting_for_what_was_pending_ends_in_a_child(busy):
    _, futures, _, results = busy

    def child():
        results[0].wait()
        try:
            return len(wait(futures).done)
        except RuntimeError:
            return 10

    assert child_says(child) == "10"


def test_a_pool_is_of_no_use_in_a_child(busy):
    pool = busy[2]

    def child():
        calls = [
            lambda: pool.apply(abs, (1,)),
            lambda: pool.map(abs, [1]),
            lambda: pool.starmap(abs, [(1,)]),
            lambda: next(pool.imap(abs, [1])),
            lambda: next(pool.imap_unordered(abs, [1])),
            lambda: pool.apply_async(abs, (1,)),
        ]
        return {type(catch(call)).__name__ for call in calls}

    assert child_says(child) == "{'RuntimeError'}"


def test_a_task_may_fork(busy):
    executor = busy[0]
    with ThreadPoolExecutor(2) as other, ThreadPool(2) as pool:
        queued = [other.submit(abs, -n) for n in range(50)]

        def task():
            return child_says(
                lambda: (
                    other.submit(abs, -1).result(20),
                    executor.submit(abs, -2).result(20),
                )
            )

        forks = [other.submit(task) for _ in range(4)]
        assert [fork.result(30) for fork in forks] == ["(1, 2)"] * 4
        assert pool.apply(task) == "(1, 2)"
        assert [future.result(30) for future in queued] == list(range(50))


FORKING = {
    "a pool of the stdlib": """
with multiprocessing.Pool(2) as inner:
    values = inner.map(abs, [-1, -2])
    inner.close()
    inner.join()
""",
    "a pool": """
with Pool(2) as inner:
    values = inner.map(abs, [-1, -2])
    inner.close()
    inner.join()
""",
    "an executor": """
with futures.ProcessPoolExecutor(2) as inner:
    values = list(inner.map(abs, [-1, -2]))
""",
    "a process": """
process = multiprocessing.Process(target=print, args=("child",))
process.start()
process.join()
values = [1, 2 + process.exitcode]
""",
}


@pytest.mark.parametrize("kind", ["executor", "pool"])
@pytest.mark.parametrize("what", FORKING)
def test_what_a_task_forks_comes_to_its_end(tmp_path, kind, what):
    """In the child the thread of the task is the only one, and leaves."""
    call = {
        "executor": "executor.submit(task).result()",
        "pool": "pool.apply(task)",
    }[kind]
    body = textwrap.indent(FORKING[what].strip(), "    ")
    source = f"""
import multiprocessing
import warnings

from pyconc import futures
from pyconc.multiprocessing import Pool
from pyconc.multiprocessing.pool import ThreadPool

# of os.fork() with threads about
warnings.simplefilter("ignore", DeprecationWarning)
multiprocessing.set_start_method("fork")


def task():
{body}
    return values


executor, pool = futures.ThreadPoolExecutor(2), ThreadPool(2)
other = futures.ThreadPoolExecutor(1)
other.submit(abs, 1).result()
print({call})
print({call})
"""
    outcome = run_source(tmp_path, source, timeout=20)
    assert outcome.returncode == 0, outcome.stderr
    said = outcome.stdout.replace("child\n", "")
    assert said == "[1, 2]\n[1, 2]\n"
    assert outcome.stderr == ""
