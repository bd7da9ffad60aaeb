"""Values arrive as they were sent: bits, identity, size, buffers."""

import array
import collections
import datetime
import enum
import gc
import io
import math
import pickle
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support import tasks
from support.impls import all_methods, only_pyconc
from support.tasks import identity
from support.values import same, values

quick = settings(
    max_examples=80,
    database=None,
    suppress_health_check=list(HealthCheck),
)


class Colour(enum.Enum):
    RED = 1


def test_any_value_makes_the_round_trip_through_a_pool(make_pool):
    pool = make_pool(1)

    @quick
    @given(values)
    def check(value):
        assert same(pool.apply(identity, (value,)), value)

    check()


def test_any_value_makes_the_round_trip_through_an_executor(make_executor):
    executor = make_executor(1)

    @quick
    @given(values)
    def check(value):
        assert same(executor.submit(identity, value).result(), value)

    check()


def test_any_values_make_the_round_trip_through_map(make_pool):
    pool = make_pool(2)

    @quick
    @given(st.lists(values, max_size=8), st.integers(1, 4))
    def check(items, chunksize):
        mapped = pool.map(identity, items, chunksize)
        assert len(mapped) == len(items)
        for before, after in zip(items, mapped):
            assert same(after, before)
        lazy = list(pool.imap(identity, items, chunksize))
        for before, after in zip(items, lazy):
            assert same(after, before)

    check()


def test_any_arguments_make_the_round_trip(make_pool):
    pool = make_pool(1)

    @quick
    @given(
        st.lists(values, max_size=4),
        st.dictionaries(st.text(max_size=5), values, max_size=4),
    )
    def check(args, kwds):
        assert same(
            pool.apply(tasks.collect, tuple(args), kwds),
            (tuple(args), kwds),
        )

    check()


EDGES = [
    None,
    True,
    False,
    0,
    -1,
    2**31,
    -(2**63),
    2**63,
    2**64,
    -(2**64) - 1,
    10**5000,
    -(10**5000),
    0.0,
    -0.0,
    math.inf,
    -math.inf,
    math.nan,
    5e-324,
    "",
    "\0",
    "a\0b",
    "ä",
    "\N{SNOWMAN}",
    "\N{GRINNING FACE}",
    "\ud800",
    "x\udfff\ud800y",
    b"",
    b"\0",
    bytes(range(256)),
    bytearray(b"abc"),
    (),
    [],
    {},
    set(),
    frozenset(),
    ((),),
    [[]],
    {1: {2: {3: []}}},
    (1, 1.0, True),
    {1: "int"},
    {True: "bool"},
    {"b": 1, "a": 2},
    range(3),
    slice(1, 2),
    1j,
    complex(-0.0, math.inf),
    ...,
    NotImplemented,
    int,
    len,
    ValueError,
    math.sqrt,
]


@pytest.mark.parametrize("value", EDGES, ids=map(str, range(len(EDGES))))
def test_edge_values(pool, executor, value):
    assert same(pool.apply(identity, (value,)), value)
    for result in pool.map(identity, [value] * 3):
        assert same(result, value)
    assert same(executor.submit(identity, value).result(), value)


@all_methods
def test_edge_values_in_one_map(pool):
    for before, after in zip(EDGES, pool.map(identity, EDGES)):
        assert same(after, before)


OBJECTS = [
    Colour.RED,
    datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC),
    uuid.UUID(int=5),
    collections.OrderedDict([(2, 1), (1, 2)]),
    collections.defaultdict(list, {1: [2]}),
    collections.Counter("abca"),
    collections.deque([1, 2], maxlen=2),
    array.array("d", [1.5, -0.0]),
    tasks.Point(1, 2),
]


@pytest.mark.parametrize("value", OBJECTS, ids=lambda v: type(v).__name__)
def test_common_objects(pool, value):
    result = pool.apply(identity, (value,))
    assert type(result) is type(value)
    assert result == value


class IntSubclass(int):
    pass


class StrSubclass(str):
    pass


class ListSubclass(list):
    pass


class DictSubclass(dict):
    pass


class TupleSubclass(tuple):
    pass


@pytest.mark.parametrize(
    "value",
    [
        IntSubclass(3),
        StrSubclass("s"),
        ListSubclass([1]),
        DictSubclass(a=1),
        TupleSubclass((1,)),
        [IntSubclass(3)],
        (StrSubclass("s"),),
        {StrSubclass("k"): IntSubclass(1)},
    ],
    ids=repr,
)
def test_subclasses_of_builtins_stay_what_they_are(pool, value):
    result = pool.apply(identity, (value,))
    # same() compares the types, of what is inside too
    assert same(result, value)


def test_attributes_of_subclasses_travel(pool):
    value = ListSubclass([1, 2])
    value.note = "kept"
    result = pool.apply(identity, (value,))
    assert (result, result.note) == ([1, 2], "kept")


@all_methods
def test_one_object_in_several_places_stays_one(pool, executor):
    row = [1, 2, 3]
    assert pool.apply(tasks.rows_are_same, ([row] * 3,))
    assert pool.map(tasks.rows_are_same, [[row] * 3] * 4) == [True] * 4
    assert executor.submit(tasks.rows_are_same, [row] * 3).result()
    assert tasks.rows_are_same(pool.apply(tasks.make_aliased, (3,)))
    assert tasks.rows_are_same(executor.submit(tasks.make_aliased, 3).result())


def test_equal_rows_stay_apart(pool):
    rows = pool.apply(identity, ([[1], [1], [1]],))
    rows[0].append(2)
    assert rows == [[1, 2], [1], [1]]


def test_one_object_in_two_arguments_stays_one(pool, executor):
    shared = [1]
    assert pool.apply(tasks.are_same, (shared, shared))
    assert not pool.apply(tasks.are_same, ([1], [1]))
    assert pool.apply(tasks.are_same, (), {"first": shared, "second": shared})
    assert executor.submit(tasks.are_same, shared, shared).result()
    assert executor.submit(tasks.are_same, shared, second=shared).result()


def test_a_cycle_stays_a_cycle(pool, executor):
    cycle = []
    cycle.append(cycle)
    assert pool.apply(tasks.is_own_item, (cycle,))
    assert executor.submit(tasks.is_own_item, cycle).result()
    result = pool.apply(tasks.make_cycle)
    assert result[0] is result
    tree = {"children": []}
    tree["children"].append({"parent": tree})
    result = pool.apply(identity, (tree,))
    assert result["children"][0]["parent"] is result


def test_the_result_is_a_copy(pool):
    value = [1, 2, 3]
    result = pool.apply(identity, (value,))
    assert result == value
    assert result is not value


def test_deep_nesting_arrives(pool):
    assert pool.apply(tasks.depth_of, (tasks.nested(200),)) == 200
    assert tasks.depth_of(pool.apply(tasks.nested, (200,))) == 200


def test_too_deep_an_argument_fails_alone(pool, executor):
    deep = tasks.nested(200_000)
    with pytest.raises((RecursionError, pickle.PicklingError)):
        pool.apply(tasks.depth_of, (deep,))
    with pytest.raises((RecursionError, pickle.PicklingError)):
        executor.submit(tasks.depth_of, deep).result()
    assert pool.apply(tasks.square, (2,)) == 4
    assert executor.submit(tasks.square, 2).result() == 4


SIZES = [1, 47, 48, 49, 4095, 4096, 65535, 65536, 65537, 100_000, 1_000_003]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("make", [bytes, bytearray, str])
def test_payloads_of_every_size(pool, executor, make, size):
    pattern = bytes(i * 7 % 128 for i in range(1000))
    data = (pattern * (size // 1000 + 1))[:size]
    value = data.decode() if make is str else make(data)
    assert pool.apply(identity, (value,)) == value
    assert executor.submit(identity, value).result() == value
    wrapped = {"list": [value, value]}
    assert pool.apply(identity, (wrapped,)) == wrapped


@all_methods
def test_ten_megabytes_there_and_back(pool, executor):
    value = bytes(range(256)) * 40_000
    assert pool.apply(identity, (value,)) == value
    assert executor.submit(identity, value).result() == value
    assert pool.apply(tasks.size_of, (value,)) == len(value)
    assert pool.apply(tasks.make_bytes, (10_000_000,)) == b"x" * 10_000_000


def test_many_large_payloads_at_once(pool):
    block = bytes(1_000_000)
    results = [pool.apply_async(identity, (block,)) for _ in range(40)]
    assert all(r.get() == block for r in results)
    assert pool.map(tasks.size_of, [block] * 40) == [1_000_000] * 40


def test_large_results_may_be_kept_after_the_pool(make_pool):
    pool = make_pool(2)
    results = pool.map(tasks.make_bytes, [300_000] * 8, chunksize=1)
    pool.terminate()
    pool.join()
    del pool
    gc.collect()
    assert results == [b"x" * 300_000] * 8


def test_a_bytearray_result_is_writable_and_own(pool):
    value = bytearray(b"a" * 200_000)
    one = pool.apply(identity, (value,))
    two = pool.apply(identity, (value,))
    one[0] = ord("z")
    assert value[0] == two[0] == ord("a")
    one.extend(b"more")


def test_a_file_position_travels(pool):
    buffer = io.BytesIO(b"abcdef")
    buffer.seek(3)
    assert pool.apply(identity, (buffer,)).read() == b"def"


@pytest.fixture
def numpy():
    return pytest.importorskip("numpy")


@pytest.mark.parametrize("size", [0, 3, 1000, 100_000, 1_300_000])
def test_arrays_there_and_back(pool, executor, numpy, size):
    value = numpy.arange(size, dtype="f8")
    for result in (
        pool.apply(identity, (value,)),
        executor.submit(identity, value).result(),
        pool.map(identity, [value, value], chunksize=1)[1],
    ):
        assert result.dtype == value.dtype
        assert result.shape == value.shape
        assert (result == value).all()


@all_methods
def test_arrays_arrive_writable_and_as_own_copies(pool, numpy):
    value = numpy.zeros(50_000)
    one = pool.apply(identity, (value,))
    two = pool.apply(identity, (value,))
    assert one.flags.writeable
    one[:] = 1
    assert value.sum() == two.sum() == 0


def _increase(array_):
    array_ += 1
    return float(array_.sum()), array_.flags.writeable


def test_arrays_are_writable_and_own_in_the_task(pool, numpy):
    value = numpy.zeros(50_000)
    for _ in range(3):
        assert pool.apply(_increase, (value,)) == (50_000.0, True)
    assert pool.map(_increase, [value] * 4, 1) == [(50_000.0, True)] * 4
    assert value.sum() == 0


def _is_writable(array_):
    return array_.flags.writeable


@only_pyconc  # the stdlib's protocol drops the flag
@pytest.mark.parametrize("size", [3, 1000, 100_000])
def test_read_only_arrays_stay_read_only(pool, numpy, size):
    value = numpy.zeros(size)
    value.flags.writeable = False
    assert pool.apply(_is_writable, (value,)) is False
    assert not pool.apply(identity, (value,)).flags.writeable


def test_arrays_of_every_layout(pool, numpy):
    base = numpy.arange(60_000, dtype="i4").reshape(200, 300)
    for value in (
        base.T,
        base[::2, ::3],
        numpy.asfortranarray(base),
        base.astype(">i8"),
        numpy.array(5.0),
        numpy.array(["a", "bc"]),
        numpy.array([None, [1]], dtype=object),
        numpy.zeros(3, dtype=[("x", "f4"), ("y", "i8")]),
    ):
        result = pool.apply(identity, (value,))
        # numpy itself may make the byte order native
        assert result.dtype.kind == value.dtype.kind
        assert result.shape == value.shape
        assert result.tolist() == value.tolist()


def test_one_array_in_two_places_stays_one(pool, numpy):
    value = numpy.zeros(50_000)
    one, two = pool.apply(identity, ([value, value],))
    assert one is two
    assert pool.apply(tasks.are_same, (value, value))


def test_many_arrays_outlive_their_pool(make_pool, numpy):
    pool = make_pool(2)
    arrays = pool.starmap(numpy.full, [(100_000, float(i)) for i in range(6)])
    pool.terminate()
    pool.join()
    del pool
    gc.collect()
    for i, value in enumerate(arrays):
        value += 1
        assert (value == i + 1).all()
