"""What may be run: functions of all kinds, and whose state they carry."""

import functools
import operator
import pickle
import sys

import pytest

from support import tasks
from support.impls import all_methods, only_pyconc
from support.scripts import run_script
from support.tasks import Calls, Point, collect, power, square

NOT_BY_NAME = (pickle.PicklingError, AttributeError, TypeError)


@all_methods
def test_functions_by_name(pool):
    assert pool.apply(square, (3,)) == 9
    assert pool.apply(len, ([1, 2],)) == 2
    assert pool.apply(operator.add, (1, 2)) == 3
    assert pool.apply(int, ("12",)) == 12
    assert pool.map(Point.diagonal, [1]) == [Point(1, 1)]
    assert pool.starmap(Point, [(1, 2)]) == [Point(1, 2)]
    assert pool.starmap(Point.norm, [(3, 4)]) == [25]


@all_methods
def test_partials(pool, executor):
    partial = functools.partial(power, exponent=3)
    assert pool.apply(partial, (2,)) == 8
    assert pool.map(partial, range(4)) == [0, 1, 8, 27]
    assert executor.submit(partial, 2).result() == 8
    nested = functools.partial(functools.partial(collect, 1), 2, key=3)
    assert pool.apply(nested, (4,)) == ((1, 2, 4), {"key": 3})


def test_methods_of_objects(pool, executor):
    point = Point(1, 2)
    assert pool.apply(point.plus, (Point(2, 3),)) == Point(3, 5)
    assert pool.map("abc".find, ["b", "z"]) == [1, -1]
    assert pool.map([10, 20].__getitem__, [1, 0]) == [20, 10]
    assert executor.submit(point.plus, Point(1, 1)).result() == Point(2, 3)


@pytest.mark.parametrize(
    "callable_of",
    [lambda calls: calls, lambda calls: calls.method],
    ids=["object", "method"],
)
class TestStateOfCallables:
    """A callable is decoded afresh for each task or chunk."""

    def test_apply(self, make_pool, callable_of):
        pool = make_pool(1)
        calls = Calls()
        function = callable_of(calls)
        assert [pool.apply(function) for _ in range(3)] == [1, 1, 1]
        results = [pool.apply_async(function) for _ in range(3)]
        assert [r.get() for r in results] == [1, 1, 1]
        assert calls.count == 0

    def test_submit(self, make_executor, callable_of):
        executor = make_executor(1)
        function = callable_of(Calls())
        futures = [executor.submit(function) for _ in range(3)]
        assert [f.result() for f in futures] == [1, 1, 1]

    def test_map(self, make_pool, callable_of):
        pool = make_pool(1)
        function = callable_of(Calls())
        assert pool.map(function, range(4), chunksize=1) == [1] * 4
        assert pool.map(function, range(6), chunksize=3) == [1, 2, 3] * 2
        assert pool.starmap(function, [(0,)] * 4, 2) == [1, 2, 1, 2]

    def test_executor_map(self, make_executor, callable_of):
        executor = make_executor(1)
        function = callable_of(Calls())
        assert list(executor.map(function, range(4))) == [1] * 4
        assert list(executor.map(function, range(4), chunksize=2)) == [
            1,
            2,
            1,
            2,
        ]

    def test_later_changes_are_seen(self, make_pool, callable_of):
        pool = make_pool(1)
        calls = Calls()
        function = callable_of(calls)
        assert pool.apply(function) == 1
        calls.count = 10
        assert pool.apply(function) == 11
        assert pool.map(function, range(2), 1) == [11, 11]
        calls.count = 20
        assert pool.map(function, range(2), 1) == [21, 21]
        assert list(pool.imap(function, range(2))) == [21, 21]


def test_changes_of_a_partials_arguments_are_seen(make_pool):
    pool = make_pool(1)
    values = [1]
    partial = functools.partial(collect, values)
    assert pool.apply(partial) == (([1],), {})
    values.append(2)
    assert pool.apply(partial) == (([1, 2],), {})


def test_mutable_arguments_do_not_leak_between_tasks(make_pool):
    pool = make_pool(1)
    values = []
    partial = functools.partial(_append, values)
    assert [pool.apply(partial) for _ in range(3)] == [1, 1, 1]
    assert [pool.apply(_append, (values,)) for _ in range(3)] == [1, 1, 1]
    assert pool.map(_append, [values] * 3, chunksize=1) == [1, 1, 1]
    assert values == []


def _append(values):
    values.append(0)
    return len(values)


def test_globals_of_a_worker_do_stay(make_pool):
    pool = make_pool(1)
    counts = [pool.apply(tasks.count_calls)[1] for _ in range(3)]
    assert counts == [1, 2, 3]


class Registered:
    """Refuses to be pickled unless ForkingPickler knows how."""

    def __init__(self, value):
        self.value = value

    def __reduce__(self):
        raise TypeError("only through ForkingPickler")


def _reduce_registered(value):
    return Registered, (value.value + 1,)


def _value_of(registered):
    return registered.value


@pytest.fixture
def registered(impl):
    pickler = impl.multiprocessing.reduction.ForkingPickler
    pickler.register(Registered, _reduce_registered)
    yield Registered
    del pickler._extra_reducers[Registered]


def test_reducers_of_forking_pickler_are_honoured(
    registered, make_pool, make_executor
):
    pool, executor = make_pool(1), make_executor(1)
    assert pool.apply(_value_of, (Registered(1),)) == 2
    assert pool.map(_value_of, [Registered(1)] * 2) == [2, 2]
    assert executor.submit(_value_of, Registered(1)).result() == 2
    # once for each way
    assert pool.apply(tasks.identity, (Registered(1),)).value == 3
    assert (
        executor.submit(tasks.identity, [Registered(1)]).result()[0].value == 3
    )


def test_a_reducer_registered_later_is_honoured(pool, impl):
    with pytest.raises(TypeError, match="only through ForkingPickler"):
        pool.apply(_value_of, (Registered(1),))
    pickler = impl.multiprocessing.reduction.ForkingPickler
    pickler.register(Registered, _reduce_registered)
    try:
        assert pool.apply(_value_of, (Registered(1),)) == 2
    finally:
        del pickler._extra_reducers[Registered]


def test_connections_can_be_sent(pool, ctx):
    # these are registered with ForkingPickler by the stdlib itself
    here, there = ctx.Pipe()
    with here, there:
        assert pool.apply(_send, (there, "through the pipe")) is None
        assert here.poll(30)
        assert here.recv() == "through the pipe"


def _send(connection, value):
    connection.send(value)


@pytest.mark.parametrize("impl", ["stdlib"], indirect=True)
def test_the_stdlib_refuses_lambdas(pool, executor):
    with pytest.raises(NOT_BY_NAME):
        pool.apply(lambda: 1)
    with pytest.raises(NOT_BY_NAME):
        executor.submit(lambda: 1).result()


@only_pyconc
@all_methods
class TestFunctionsByValue:
    def test_lambdas(self, pool, executor):
        assert pool.apply(lambda: 1) == 1
        assert pool.map(lambda n: n + 1, range(5)) == [1, 2, 3, 4, 5]
        assert list(pool.imap(lambda n: -n, range(3))) == [0, -1, -2]
        assert executor.submit(lambda a, b: a - b, 5, b=3).result() == 2
        assert list(executor.map(lambda n: n * 2, range(3))) == [0, 2, 4]

    def test_closures_with_their_present_state(self, pool):
        offset = 1

        def add(value):
            return value + offset

        assert pool.map(add, range(3)) == [1, 2, 3]
        offset = 10
        assert pool.map(add, range(3)) == [10, 11, 12]

    def test_no_state_leaks_from_task_to_task(self, make_pool):
        pool = make_pool(1)
        count = 0

        def increase(_value=None):
            nonlocal count
            count += 1
            return count

        assert [pool.apply(increase) for _ in range(3)] == [1, 1, 1]
        assert pool.map(increase, range(4), chunksize=2) == [1, 2, 1, 2]
        assert count == 0

    def test_local_classes(self, pool):
        class Local:
            def __init__(self, value):
                self.value = value

            def double(self, _=None):
                return self.value * 2

        assert pool.apply(Local(4).double) == 8
        assert pool.apply(lambda local: local.value, (Local(5),)) == 5

    def test_recursive_closures(self, pool):
        def fibonacci(n):
            return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

        assert pool.map(fibonacci, range(10)) == [
            0,
            1,
            1,
            2,
            3,
            5,
            8,
            13,
            21,
            34,
        ]

    def test_partials_of_lambdas(self, pool):
        partial = functools.partial(lambda a, b: a - b, 10)
        assert pool.apply(partial, (3,)) == 7

    def test_lambdas_as_arguments(self, pool):
        assert pool.apply(lambda f: f(3), (lambda n: n + 1,)) == 4

    def test_a_lambda_as_initializer(self, make_pool):
        pool = make_pool(
            1, initializer=lambda value: tasks.inherit(value), initargs=(7,)
        )
        assert pool.apply(tasks.get_inherited) == (7,)

    def test_a_closure_over_something_unpicklable_fails_alone(self, pool):
        generator = (i for i in range(3))
        with pytest.raises(NOT_BY_NAME, match=r"generator|lambda"):
            pool.apply(lambda: next(generator))
        assert pool.apply(square, (2,)) == 4


GUARDED = """
import sys

import {package} as multiprocessing


def square(value):
    return value * value


class Box:
    def __init__(self, value):
        self.value = value


def open_box(box):
    return box.value


if __name__ == "__main__":
    ctx = multiprocessing.get_context({method!r})
    with ctx.Pool(2) as pool:
        print(pool.map(square, range(5)))
        print(pool.map(open_box, [Box(1), Box(2)]))
        print(pool.apply(Box, (3,)).value)
"""


@all_methods
def test_functions_of_a_script(impl, ctx_method, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        GUARDED.format(
            package=impl.multiprocessing.__name__, method=ctx_method
        )
    )
    outcome = run_script(script)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout == "[0, 1, 4, 9, 16]\n[1, 2]\n3\n"
    assert outcome.stderr == ""


@only_pyconc
@all_methods
@pytest.mark.parametrize("how", ["-c", "stdin"])
def test_functions_that_workers_cannot_import(impl, ctx_method, how):
    source = GUARDED.format(
        package=impl.multiprocessing.__name__, method=ctx_method
    )
    if how == "-c":
        outcome = run_script("-c", source)
    else:
        outcome = run_script("-", stdin=source)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout == "[0, 1, 4, 9, 16]\n[1, 2]\n3\n"
    assert outcome.stderr == ""


def test_the_scripts_run_on_this_interpreter():
    outcome = run_script("-c", "import sys; print(sys.executable)")
    assert outcome.stdout.strip() == sys.executable
