"""Objects that do not pickle or cannot be rebuilt: one task fails."""

import re
import threading

import pytest

from support import tasks
from support.errors import catch, full_text
from support.impls import all_methods
from support.tasks import square


@pytest.fixture(params=["pool", "executor"])
def call(request, ctx_method):
    """Start a function in a pool or in an executor; return its wait."""
    if request.param == "pool":
        pool = request.getfixturevalue("pool")

        def start(function, *args):
            result = pool.apply_async(function, args)
            return lambda: result.get(30)

    else:
        executor = request.getfixturevalue("executor")

        def start(function, *args):
            future = executor.submit(function, *args)
            return lambda: future.result(30)

    return start


def return_deep():
    return tasks.nested(200_000)


class RaisesOddly:
    """Its reduction raises what no `except Exception` sees."""

    def __reduce__(self):
        raise SystemExit("RaisesOddly refuses")


class ReprRaises:
    """Cannot be shown, cannot be sent."""

    def __repr__(self):
        raise RuntimeError("no repr")

    def __reduce__(self):
        raise TypeError("cannot pickle ReprRaises")


class StrRaises(Exception):
    def __str__(self):
        raise RuntimeError("no str")

    def __reduce__(self):
        raise TypeError("cannot pickle StrRaises")


def return_repr_raises():
    return ReprRaises()


def raise_str_raises():
    raise StrRaises


def return_raises_oddly():
    return RaisesOddly()


class SetStateExits:
    def __init__(self):
        self.value = 1

    def __setstate__(self, state):
        raise SystemExit("SetStateExits leaves")


def return_set_state_exits():
    return SetStateExits()


BAD = {
    "argument not picklable": (
        tasks.identity,
        (tasks.NotPicklable(),),
        "NotPicklable",
    ),
    "argument inside others": (
        tasks.identity,
        ({"deep": [tasks.NotPicklable()]},),
        "NotPicklable",
    ),
    "lock": (tasks.identity, (threading.Lock(),), r"_thread.lock"),
    "generator": (tasks.identity, ((i for i in ()),), "generator"),
    "argument not rebuilt": (
        tasks.identity,
        (tasks.SetStateRaises(),),
        "SetStateRaises",
    ),
    "argument exits when rebuilt": (
        tasks.identity,
        (SetStateExits(),),
        "SetStateExits",
    ),
    "argument raises oddly": (
        tasks.identity,
        (RaisesOddly(),),
        "RaisesOddly",
    ),
    "argument without repr": (tasks.identity, (ReprRaises(),), "ReprRaises"),
    "result not picklable": (
        tasks.make_not_picklable,
        (),
        "NotPicklable",
    ),
    "result not rebuilt": (
        tasks.make_set_state_raises,
        (),
        "SetStateRaises",
    ),
    "result exits when rebuilt": (
        return_set_state_exits,
        (),
        "SetStateExits",
    ),
    "result raises oddly": (return_raises_oddly, (), "RaisesOddly"),
    "result without repr": (return_repr_raises, (), "ReprRaises"),
    "result too deep": (return_deep, (), "(?i)recursion"),
    "exception not picklable": (tasks.raise_with_lock, (), "WithLock"),
    "exception not rebuilt": (tasks.raise_needs_two, (), "NeedsTwo"),
    "exception without text": (raise_str_raises, (), "StrRaises"),
}


@pytest.mark.parametrize("case", BAD)
def test_that_task_alone_fails_and_names_the_type(call, case):
    function, args, name = BAD[case]
    before = [call(square, i) for i in range(10)]
    bad = call(function, *args)
    after = [call(square, i) for i in range(10)]
    error = catch(bad)
    assert [wait() for wait in before + after] == [
        n * n for n in range(10)
    ] * 2
    assert re.search(name, full_text(error)), full_text(error)
    # the same again: the error is not used up by the first reader
    assert type(catch(bad)) is type(error)
    assert call(square, 3)() == 9


@all_methods
@pytest.mark.parametrize(
    "case",
    ["argument not picklable", "result not rebuilt", "exception not rebuilt"],
)
def test_under_every_start_method(call, case):
    function, args, name = BAD[case]
    bad = call(function, *args)
    assert name in full_text(catch(bad))
    assert call(square, 3)() == 9


def test_the_worker_survives(make_pool):
    pool = make_pool(1)
    first = pool.apply(tasks.pid)
    for function, args, _ in BAD.values():
        catch(lambda f=function, a=args: pool.apply(f, a))
    assert pool.apply(tasks.pid) == first


def test_an_exception_that_cannot_be_rebuilt_tells_its_story(call):
    text = full_text(catch(call(tasks.raise_needs_two)))
    assert "salt and pepper" in text
    assert "in raise_needs_two" in text


def test_an_unpicklable_exception_tells_its_story(call):
    text = full_text(catch(call(tasks.raise_with_lock)))
    assert "held together" in text
    assert "in raise_with_lock" in text


@pytest.mark.parametrize("bad", ["lock", "SetStateRaises"])
def test_a_bad_item_in_imap_fails_alone(pool, bad):
    item = threading.Lock() if bad == "lock" else tasks.SetStateRaises()
    results = pool.imap(tasks.identity, [1, item, 3])
    assert results.next(30) == 1
    error = catch(lambda: results.next(30))
    assert bad in full_text(error)
    assert results.next(30) == 3


def test_a_bad_result_in_map_fails_the_map_only(pool):
    beside = pool.map_async(square, range(10))
    bad = pool.map_async(tasks.make_set_state_raises, range(4))
    assert "SetStateRaises" in full_text(catch(lambda: bad.get(30)))
    assert beside.get(30) == [n * n for n in range(10)]


def test_every_reader_of_a_bad_result_gets_the_error(executor):
    future = executor.submit(tasks.make_set_state_raises)
    errors = []
    threads = [
        threading.Thread(
            target=lambda: errors.append(catch(lambda: future.result(30)))
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 4
    assert all("SetStateRaises" in full_text(error) for error in errors)
    assert isinstance(future.exception(), Exception)


def test_a_bad_result_with_a_callback(pool):
    seen = []
    result = pool.apply_async(
        tasks.make_set_state_raises,
        callback=seen.append,
        error_callback=seen.append,
    )
    result.wait(30)
    assert result.ready()
    assert [isinstance(value, Exception) for value in seen] == [True]
    assert not result.successful()
    assert pool.apply(square, (3,)) == 9


def test_an_exception_with_a_bad_cause(call):
    error = catch(call(raise_from_bad))
    assert "outer" in full_text(error)
    assert call(square, 3)() == 9


def raise_from_bad():
    try:
        tasks.raise_with_lock()
    except tasks.WithLock as inner:
        raise ValueError("outer") from inner


def test_a_bad_function_fails_alone(call):
    error = catch(call(tasks.NotPicklable().__reduce__))
    assert "NotPicklable" in full_text(error)
    assert call(square, 3)() == 9


def test_a_hundred_bad_tasks_among_good_ones(pool, rng):
    names = list(BAD)
    chosen = [rng.choice([None, *names]) for _ in range(200)]
    results = []
    for i, name in enumerate(chosen):
        if name in (None, "result too deep"):
            results.append((i, pool.apply_async(square, (i,))))
        else:
            function, args, _ = BAD[name]
            results.append((None, pool.apply_async(function, args)))
    for i, result in results:
        if i is None:
            catch(lambda r=result: r.get(30))
        else:
            assert result.get(30) == i * i
