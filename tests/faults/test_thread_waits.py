"""Tasks of thread pools wait for tasks of their own pool."""

import sys
import threading

import pytest

from pyconc.futures import ThreadPoolExecutor, as_completed, wait
from pyconc.multiprocessing.pool import ThreadPool
from support.blocking import wait_asleep
from support.scripts import run_source
from support.threads import hold, make_executor, make_pool, start

__all__ = ["hold", "make_executor", "make_pool"]  # fixtures


# Ways for a task to have function(item) for each item from its own pool.


def by_wait(return_when):
    def gather(executor, function, items):
        pending = {executor.submit(function, item) for item in items}
        values = []
        while pending:
            done, pending = wait(pending, return_when=return_when)
            values += [future.result() for future in done]
        return values

    return gather


def by_apply_async(pool, function, items):
    results = [pool.apply_async(function, (item,)) for item in items]
    results[-1].wait()
    return [result.get() for result in results]


IN_EXECUTOR = {
    "result": lambda ex, f, items: [
        future.result() for future in [ex.submit(f, i) for i in items]
    ],
    "map": lambda ex, f, items: list(ex.map(f, items)),
    "map, buffered": lambda ex, f, items: list(
        ex.map(f, items, buffersize=1)
    ),
    "wait": by_wait("ALL_COMPLETED"),
    "first completed": by_wait("FIRST_COMPLETED"),
    "first exception": by_wait("FIRST_EXCEPTION"),
    "as_completed": lambda ex, f, items: [
        future.result()
        for future in as_completed([ex.submit(f, i) for i in items])
    ],
}
IN_POOL = {
    "apply": lambda pool, f, items: [pool.apply(f, (i,)) for i in items],
    "get": by_apply_async,
    "map": lambda pool, f, items: pool.map(f, items),
    "map, chunks": lambda pool, f, items: pool.map(f, items, 2),
    "map_async": lambda pool, f, items: pool.map_async(f, iter(items)).get(),
    "starmap": lambda pool, f, items: pool.starmap(f, [(i,) for i in items]),
    "imap": lambda pool, f, items: list(pool.imap(f, items)),
    "imap, generator": lambda pool, f, items: list(
        pool.imap(f, (i for i in items), 2)
    ),
    "imap_unordered": lambda pool, f, items: list(
        pool.imap_unordered(f, items)
    ),
}
WAYS = [
    *((ThreadPoolExecutor, way) for way in IN_EXECUTOR.items()),
    *((ThreadPool, way) for way in IN_POOL.items()),
]


@pytest.fixture(
    params=WAYS, ids=lambda way: f"{way[0].__name__}, {way[1][0]}"
)
def way(request, make_executor, make_pool):
    """How to make a pool, and how tasks of it gather their subtasks."""
    cls, (_, gather) = request.param
    return (make_pool if cls is ThreadPool else make_executor), gather


@pytest.mark.parametrize("threads", [1, 2])
def test_recursive_tasks_end(way, threads):
    make, gather = way
    pool = make(threads)

    def fibonacci(n):
        if n < 2:
            return n
        return sum(gather(pool, fibonacci, [n - 1, n - 2]))

    assert start(pool, fibonacci, 12)(30) == 144


@pytest.mark.parametrize("method", ["imap", "imap_unordered"])
def test_a_task_sleeps_before_its_input_is_read(make_pool, method):
    """Whoever reads the input wakes the only thread that can work on it."""
    pool = make_pool(1)

    def parent():
        native_id = threading.get_native_id()

        def items():
            for item in range(3):
                wait_asleep(native_id)
                yield item

        return sorted(getattr(pool, method)(abs, items()))

    assert start(pool, parent)(30) == [0, 1, 2]


def test_a_waiting_task_runs_no_strangers(way):
    make, gather = way
    pool, lock, ran = make(1), threading.Lock(), []

    def stranger():
        with lock:
            ran.append("stranger")

    def child(item):
        ran.append(item)
        start(pool, stranger)
        return item

    def parent():
        with lock:
            for _ in range(5):
                start(pool, stranger)
            values = gather(pool, child, range(4))
            return sorted(values), list(ran)

    values, ran_inside = start(pool, parent)(30)
    assert values == [0, 1, 2, 3]
    assert "stranger" not in ran_inside
    assert start(pool, len, ran)(30) >= 9


def test_two_tasks_may_wait_for_the_same_subtasks(make_executor, hold):
    executor = make_executor(2)
    calls = []

    def work():
        shared = [executor.submit(calls.append, n) for n in range(50)]
        twice = [
            executor.submit(lambda: [f.result() for f in shared]),
            executor.submit(lambda: wait(reversed(shared))),
        ]
        return [future.exception() for future in twice]

    assert executor.submit(work).result(30) == [None, None]
    assert sorted(calls) == list(range(50))


WITH_TIMEOUT = {
    "result": lambda executor, future: future.result(0.01),
    "exception": lambda executor, future: future.exception(0.01),
    "as_completed": lambda executor, future: list(
        as_completed([future], 0.01)
    ),
    "map": lambda executor, future: list(
        executor.map(abs, [1], timeout=0.01)
    ),
}


@pytest.mark.parametrize("call", WITH_TIMEOUT)
def test_a_wait_with_a_timeout_runs_nothing(make_executor, call):
    executor, ran = make_executor(1), []

    def task():
        future = executor.submit(ran.append, 1)
        with pytest.raises(TimeoutError):
            WITH_TIMEOUT[call](executor, future)
        assert not wait([future], 0.01).done
        return future.cancel()

    assert executor.submit(task).result(30)
    assert ran == []


DEPTH = """
import sys

from pyconc.futures import ThreadPoolExecutor, as_completed, wait
from pyconc.multiprocessing.pool import ThreadPool

executor, pool = ThreadPoolExecutor(1), ThreadPool(1)


def descend(depth):
    return {call} if depth == 0 else descend(depth - 1)


def outcome(depth):
    try:
        return {start}
    except RecursionError:
        return "too deep"


limit = sys.getrecursionlimit()
seen = [outcome(depth) for depth in range(limit - 60, limit)]
print(seen[0], seen[-1], set(seen) <= {{7, "too deep"}})
"""

DEEP_CALLS = {
    "result": "executor.submit(abs, 7).result()",
    "subtask": "executor.submit(lambda: 7).result()",
    "map": "next(executor.map(abs, [7]))",
    "wait": "wait([executor.submit(abs, 7)]).done.pop().result()",
    "as_completed": (
        "next(as_completed([executor.submit(lambda: 7)])).result()"
    ),
    "apply": "pool.apply(abs, (7,))",
    "pool.map": "pool.map(abs, [7])[0]",
    "imap": "next(pool.imap(abs, [7]))",
}


@pytest.mark.parametrize("call", DEEP_CALLS)
def test_a_wait_near_the_recursion_limit_ends(tmp_path, call):
    text = DEEP_CALLS[call]
    place = "pool.apply(" if "pool" in text else "executor.submit("
    args = "descend, (depth,))" if "pool" in text else "descend, depth)"
    after = "" if "pool" in text else ".result()"
    source = DEPTH.format(call=text, start=place + args + after)
    outcome = run_source(tmp_path, source, timeout=40)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout == "7 too deep True\n"


@pytest.mark.parametrize(
    "call", ["executor.submit(f, n).result()", "pool.apply(f, (n,))"]
)
def test_endless_recursion_of_tasks_is_an_error(tmp_path, call):
    source = f"""
from pyconc.futures import ThreadPoolExecutor
from pyconc.multiprocessing.pool import ThreadPool

executor, pool = ThreadPoolExecutor(1), ThreadPool(1)


def f(n):
    n += 1
    return {call}


try:
    n = 0
    {call}
except RecursionError:
    print("too deep")
assert executor.submit(abs, 1).result() == pool.apply(abs, (1,)) == 1
"""
    outcome = run_source(tmp_path, source, timeout=40)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout == "too deep\n"


# what a task sees of the task that waits for it


def test_a_subtask_handles_no_exception_of_its_parents(way):
    make, gather = way
    pool = make(1)

    def child(_item):
        seen = [sys.exc_info()[0]]
        try:
            raise  # nothing, there should be
        except BaseException as error:
            seen.append(type(error))
        try:
            raise LookupError
        except LookupError as error:
            seen.append(error.__context__)
        return seen

    def parent():
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            seen = gather(pool, child, range(3))
            return seen, sys.exc_info()[0]

    seen, handled = start(pool, parent)(30)
    assert seen == [[None, RuntimeError, None]] * 3
    assert handled is ZeroDivisionError


def test_a_generator_that_waits_keeps_no_exception_of_its_caller(way):
    make, gather = way
    pool = make(1)

    def generate():
        yield gather(pool, abs, [-1])
        yield sys.exc_info()[0]

    def parent():
        generator = generate()
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            values = next(generator)
        return values, next(generator)

    assert start(pool, parent)(30) == ([1], None)


MIXED_WAITS = {
    "wait": lambda futures: len(wait(futures).done),
    "first exception": lambda futures: len(
        wait(futures, return_when="FIRST_EXCEPTION").done
    ),
    "as_completed": lambda futures: len(list(as_completed(futures))),
}


@pytest.mark.parametrize("foreign_first", [True, False])
@pytest.mark.parametrize("call", MIXED_WAITS)
def test_a_task_waits_for_futures_of_two_executors(
    make_executor, hold, call, foreign_first
):
    """What it can run it runs, behind what it can only wait for, too."""
    executor, other = make_executor(1), make_executor(1)
    held = other.submit(hold)
    foreign = [other.submit(int) for _ in range(4)]

    def task():
        own = [executor.submit(int) for _ in range(3)]
        own.append(executor.submit(hold.let_go.set))
        futures = foreign + own if foreign_first else own + foreign
        return MIXED_WAITS[call](futures)

    hold.wait_running()
    assert executor.submit(task).result(30) == 8
    held.result(30)


def test_a_long_chain_of_tasks_uses_the_stacks_of_idle_threads(
    make_executor
):
    """As deep as in the stdlib, where each task has a stack of its own."""
    length = 500
    executor = make_executor(length + 100)
    line = threading.Barrier(length + 1)
    idle = [executor.submit(line.wait, 30) for _ in range(length + 1)]
    wait(idle)

    def chain(left):
        return 1 + below(left - 1, 5) if left else 0

    def below(left, frames):
        if frames:
            return below(left, frames - 1)
        return executor.submit(chain, left).result()

    assert executor.submit(chain, length).result(30) == length
