"""Random numbers differ from worker to worker."""

import random

import pytest

from support.impls import all_methods, only_pyconc


def draw(gate, count):
    """Draw in a worker that nobody else draws in at the time."""
    gate.meet(count)
    return random.getrandbits(64)


def draw_numpy(gate, count):
    import numpy

    gate.meet(count)
    return int(numpy.random.randint(0, 2**62))


def draw_both(gate, count):
    return draw(gate, count), draw_numpy(gate, 1)


def draws(pool, function, gate, count):
    results = [pool.apply_async(function, (gate, count)) for _ in range(count)]
    return [result.get(50) for result in results]


@all_methods
def test_workers_of_a_pool_draw_differently(make_pool, gate):
    random.seed(1)
    assert len(set(draws(make_pool(3), draw, gate, 3))) == 3


@only_pyconc
@all_methods
def test_workers_draw_differently_from_numpy(make_pool, gate):
    numpy = pytest.importorskip("numpy")
    numpy.random.seed(1)
    assert len(set(draws(make_pool(3), draw_numpy, gate, 3))) == 3


@only_pyconc
def test_workers_of_an_executor_draw_differently(make_executor, gate):
    numpy = pytest.importorskip("numpy")
    numpy.random.seed(1)
    executor = make_executor(3)
    futures = [executor.submit(draw_numpy, gate, 3) for _ in range(3)]
    assert len({future.result(50) for future in futures}) == 3


@only_pyconc
def test_pools_of_the_same_parent_state_draw_differently(make_pool, make_gate):
    numpy = pytest.importorskip("numpy")
    seen = set()
    for _ in range(2):
        numpy.random.seed(1)
        seen.update(draws(make_pool(1), draw_numpy, make_gate(), 1))
    assert len(seen) == 2


@only_pyconc
def test_the_parents_stream_is_not_touched(make_pool, gate):
    numpy = pytest.importorskip("numpy")
    random.seed(1)
    numpy.random.seed(1)
    expected = random.random(), numpy.random.random()
    random.seed(1)
    numpy.random.seed(1)
    draws(make_pool(2), draw_both, gate, 2)
    assert (random.random(), numpy.random.random()) == expected


@only_pyconc
@pytest.mark.parametrize("kind", ["pool", "executor"])
def test_reseed_false_keeps_the_stdlibs_behaviour(
    make_pool, make_executor, gate, kind
):
    numpy = pytest.importorskip("numpy")
    numpy.random.seed(1)
    if kind == "pool":
        drawn = draws(make_pool(2, reseed=False), draw_numpy, gate, 2)
    else:
        executor = make_executor(2, reseed=False)
        futures = [executor.submit(draw_numpy, gate, 2) for _ in range(2)]
        drawn = [future.result(50) for future in futures]
    assert drawn == [int(numpy.random.randint(0, 2**62))] * 2


def test_an_initializer_may_seed(make_pool, gate):
    pool = make_pool(2, initializer=random.seed, initargs=(5,))
    drawn = draws(pool, draw, gate, 2)
    random.seed(5)
    assert drawn == [random.getrandbits(64)] * 2


@pytest.mark.parametrize("impl", ["stdlib"], indirect=True)
def test_the_stdlibs_forked_workers_draw_alike_from_numpy(make_pool, gate):
    # what reseed=False keeps
    numpy = pytest.importorskip("numpy")
    numpy.random.seed(1)
    assert len(set(draws(make_pool(2), draw_numpy, gate, 2))) == 1
