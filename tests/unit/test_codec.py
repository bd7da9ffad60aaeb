"""The codec against pickle, which is its oracle.

The invariants are those of docs/internals/codec.md.
"""

import contextlib
import copyreg
import cProfile
import enum
import functools
import gc
import math
import operator
import pickle
import random
import sqlite3
import struct
import sys
import threading
import weakref
from collections import OrderedDict, namedtuple
from multiprocessing.reduction import ForkingPickler

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyconc import _core

TAGGED, PICKLED, BUFFERS, CLASSED = range(4)
OUT_OF_BAND_BYTES = 64 * 1024


def round_trip(value, by_value=False, classes=()):
    form, data = _core.codec_encode(value, by_value, classes)
    return _core.codec_decode(form, data, classes)


def form_of(value):
    return _core.codec_encode(value)[0]


def graph(value):
    """Describe a value with its types, its bits and what it shares."""
    numbers = {}

    def describe(node):
        if node is None or isinstance(node, (bool, int)):
            return type(node), node
        if isinstance(node, float):
            return type(node), struct.pack("d", node)
        if id(node) in numbers:
            return "seen", numbers[id(node)]
        numbers[id(node)] = len(numbers)
        if isinstance(node, (str, bytes, bytearray)):
            return type(node), node
        if isinstance(node, (list, tuple)):
            return type(node), [describe(item) for item in node]
        if isinstance(node, dict):
            return type(node), [
                (describe(key), describe(item)) for key, item in node.items()
            ]
        return type(node), describe(vars(node))

    return describe(value)


def assert_like_pickle(value, classes=()):
    expected = graph(pickle.loads(pickle.dumps(value, 5)))
    assert graph(round_trip(value, classes=classes)) == expected


class Plain:
    def __init__(self, **attributes):
        vars(self).update(attributes)


class Node:
    def __init__(self, value):
        self.value = value
        self.next = self


# Also the single surrogates, which st.text() leaves out.
any_text = st.one_of(
    st.text(st.characters(max_codepoint=0x7F)),
    st.lists(st.integers(0, 0xFF)).map(lambda n: "".join(map(chr, n))),
    st.lists(st.integers(0, 0x10FFFF)).map(lambda n: "".join(map(chr, n))),
)
any_float = st.one_of(
    st.floats(),
    st.integers(0, 2**64 - 1).map(
        lambda bits: struct.unpack("d", struct.pack("Q", bits))[0]
    ),
)
any_int = st.one_of(
    st.integers(),
    st.integers(-300, 300),
    st.builds(
        lambda sign, bits, delta: sign * (1 << bits) + delta,
        st.sampled_from([-1, 1]),
        st.integers(0, 3000),
        st.integers(-1, 1),
    ),
)
scalars = st.one_of(
    st.none(), st.booleans(), any_int, any_float, any_text, st.binary()
)


@st.composite
def graphs(draw):
    """Containers of nodes that may occur several times, also in a cycle."""
    nodes = draw(st.lists(scalars, min_size=1, max_size=6))
    hashable = list(nodes)
    for _ in range(draw(st.integers(0, 4))):
        items = draw(st.lists(st.sampled_from(nodes), max_size=12))
        kind = draw(st.sampled_from([list, tuple, dict, Plain, "cycle"]))
        if kind is dict:
            keys = draw(st.lists(st.sampled_from(hashable), max_size=12))
            node = dict(zip(keys, items))
        elif kind is Plain:
            node = Plain(**dict(zip("abcdef", items)))
        elif kind == "cycle":
            node = list(items)
            node.append(node)
        else:
            node = kind(items)
        nodes.append(node)
    return nodes[-1]


# --- the tagged form --------------------------------------------------------


@given(scalars)
@example(0)
@example(-(2**63))
@example(2**63)
@example(-0.0)
@example("\ud800")
@example("\x7f\x80")
def test_scalar_is_tagged_and_comes_back(value):
    assert form_of(value) == TAGGED
    assert_like_pickle(value)


@given(graphs())
def test_any_graph_comes_back_as_pickle_would_give_it(value):
    assert_like_pickle(value)
    assert_like_pickle(value, (int, Plain))


@pytest.mark.parametrize("bits", range(0, 200))
def test_int_at_each_power_of_two(bits):
    for value in (2**bits - 1, 2**bits, 2**bits + 1):
        assert round_trip(value) == value
        assert round_trip(-value) == -value


@pytest.mark.parametrize("bits", [2040, 2048, 100_000, 1_000_000])
def test_huge_int(bits):
    some = random.Random(bits).getrandbits(bits)
    for value in (1 << bits, -(1 << bits), some, -some):
        assert form_of(value) == TAGGED
        assert round_trip(value) == value


@pytest.mark.parametrize(
    "bits",
    [0x7FF8000000000001, 0xFFF8DEADBEEF0000, 0x7FF0000000000001, 1 << 63],
)
def test_float_keeps_its_bits(bits):
    packed = struct.pack("Q", bits)
    (value,) = struct.unpack("d", packed)
    assert struct.pack("d", round_trip(value)) == packed
    assert struct.pack("d", round_trip([value])[0]) == packed


@pytest.mark.parametrize("size", [0, 1, 2, 254, 255, 256, 65536, 3 << 20])
@pytest.mark.parametrize("character", ["a", "\xe9", "\u20ac", "\U0001f600"])
def test_str_and_bytes_of_each_size_and_width(size, character):
    text = character * size
    assert form_of(text) == TAGGED
    assert round_trip(text) == text
    assert round_trip([text]) == [text]
    data = b"\xff" * size
    assert form_of(data) == TAGGED
    assert round_trip(data) == data


def test_str_of_one_character_is_the_interpreters_own():
    for code in range(256):
        assert round_trip(chr(code)) is chr(code)


def test_bytes_bigger_than_a_huge_page():
    data = random.Random(1).randbytes(9 << 20)
    assert round_trip(data) == data


@pytest.mark.parametrize(
    "value",
    [
        (),
        [],
        {},
        (1, 2.5, None, True, "a", b"b"),
        list(range(100_000)),
        [0.5] * 1000,
        {"b": 1, "a": 2, 3: b"x", None: False},
        ["a", "a", "", "", b"z", b"z", "\xe9", "\xe9"],
        [f"text {i}" for i in range(200)],
    ],
)
def test_flat_container_is_tagged(value):
    assert form_of(value) == TAGGED
    assert_like_pickle(value)


@pytest.mark.parametrize("make", [list, tuple])
@given(
    st.one_of(
        st.lists(any_int, min_size=3),
        *(
            st.lists(st.integers(-(1 << bits), (1 << bits) - 1), min_size=3)
            for bits in (7, 8, 15, 16, 31, 32, 63, 64)
        ),
        st.lists(any_float, min_size=3),
        st.lists(st.one_of(any_int, any_float, st.booleans()), min_size=3),
    )
)
def test_numbers(make, numbers):
    value = make(numbers)
    assert form_of(value) == TAGGED
    assert_like_pickle(value)
    assert_like_pickle([value, value])


def test_dict_keeps_the_order_of_insertion():
    value = {f"key {i}": i for i in range(50)}
    value["key 0"] = value.pop("key 0")
    assert list(round_trip(value)) == list(value)


def test_bool_and_int_keep_their_types_as_keys_and_values():
    for value in ({1: True}, {True: 1}, {0: False, True: 2}, [1, True, 0]):
        assert_like_pickle(value)


class MyInt(int):
    pass


class MyFloat(float):
    pass


class MyStr(str):
    pass


class MyTuple(tuple):
    pass


class MyDict(dict):
    pass


class Colour(enum.IntEnum):
    RED = 1


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    "value",
    [
        MyInt(1),
        MyFloat(1.5),
        MyStr("text"),
        MyTuple((1, 2)),
        MyDict(a=1),
        Colour.RED,
        Point(1, 2),
        OrderedDict(a=1),
        {1, 2},
        bytearray(b"bytes"),
    ],
)
def test_other_types_are_pickled_and_keep_their_type(value):
    for whole in (value, [value]):
        assert form_of(whole) == PICKLED
        again = round_trip(whole)
        assert again == whole
    assert type(again[0]) is type(value)


def nested(depth, make=list):
    value = make([])
    for _ in range(depth - 1):
        value = make([value])
    return value


@pytest.mark.parametrize("make", [list, tuple])
@pytest.mark.parametrize("depth", [1, 2, 8])
def test_nested_container_is_tagged(depth, make):
    value = nested(depth, make)
    assert form_of(value) == TAGGED
    assert_like_pickle(value)


def test_deeply_nested_container_is_pickled():
    assert form_of(nested(9)) == PICKLED
    assert_like_pickle(nested(9))
    assert_like_pickle(nested(90))


def test_rows_share_their_keys():
    rows = [{"name": f"row {i}", "value": i} for i in range(100)]
    form, data = _core.codec_encode(rows)
    assert form == TAGGED
    assert data.count(b"value") == 1
    assert_like_pickle(rows)


def test_same_container_at_two_places():
    row = [0, 0]
    again = round_trip([row] * 3)
    assert again == [row] * 3
    assert again[0] is again[1] is again[2]


@pytest.mark.parametrize(
    "value", [[(1, 2)] * 3, [()] * 3, [{}] * 2, ([[]],) * 2, {"a": [], "b": ()}]
)
def test_sharing_of_containers(value):
    assert form_of(value) == TAGGED
    assert_like_pickle(value)


def test_container_within_itself_is_pickled():
    by_list = []
    by_list.append((by_list,))
    by_dict = {}
    by_dict["self"] = by_dict
    for value in (by_list, by_dict, [by_list, by_list]):
        assert form_of(value) == PICKLED
        assert_like_pickle(value)


@pytest.mark.parametrize("distance", [1, 7, 8, 9, 100, 253, 254, 255, 300])
@pytest.mark.parametrize("make", [list, tuple])
def test_alias_is_kept_at_any_distance(distance, make):
    first = "".join(["some ", "text"])
    value = make([first, *(f"text {i}" for i in range(distance - 1)), first])
    # The container itself is a part as well, of 256 that are remembered.
    assert form_of(value) == (TAGGED if distance < 255 else PICKLED)
    again = round_trip(value)
    assert again == value
    assert again[0] is again[-1]


def test_alias_between_key_and_value_is_kept():
    text = "".join(["some ", "text"])
    ((key, value),) = round_trip({text: text}).items()
    assert key is value


def test_equal_texts_that_are_two_objects_stay_two():
    value = ["".join(["some ", "text"]) for _ in range(2)]
    assert form_of(value) == TAGGED
    first, second = round_trip(value)
    assert first is not second


# --- instances of plain classes ---------------------------------------------


def form_with(value, *classes):
    return _core.codec_encode(value, 0, classes)[0]


def test_instance_is_classed_and_comes_back():
    for value in (
        Plain(),
        Plain(x=1, y=-1),
        [Plain(x=i, name=f"p {i}") for i in range(50)],
        (Plain(inner=Plain(x=[1, 2])), 5),
        {"key": Plain(x=Plain())},
    ):
        assert form_with(value, int, Plain) == CLASSED
        assert_like_pickle(value, (int, Plain))


def test_class_that_is_not_of_the_pool_is_pickled():
    assert form_with([Plain()], Node) == PICKLED
    assert form_with(Plain()) == PICKLED


def test_instances_share_as_with_pickle():
    text = "".join(["some ", "text"])
    shared = Plain(text=text)
    value = [shared, shared, Plain(inner=shared, text=text), {"key": text}]
    assert form_with(value, Plain) == CLASSED
    assert_like_pickle(value, (Plain,))


def test_instance_within_itself_is_pickled():
    assert form_with(Node(1), Node) == PICKLED
    assert_like_pickle(Node(1), (Node,))


def test_instance_that_holds_its_own_dict():
    value = Plain(x=1)
    value.own = vars(value)
    assert_like_pickle(value, (Plain,))
    value = Plain(x=1)
    assert_like_pickle([value, vars(value)], (Plain,))
    assert_like_pickle([vars(value), value], (Plain,))


def test_instance_with_another_kind_of_dict_is_pickled():
    value = Plain()
    value.__dict__ = OrderedDict(x=1)
    assert form_with(value, Plain) == PICKLED


class Answers:
    """Callable, and sent by pickle like any other value."""

    def __init__(self, answer):
        self.answer = answer

    def __call__(self, *_):
        return self.answer


@pytest.mark.parametrize(
    "name, answer",
    [
        ("__reduce_ex__", (str, ("from reduce",))),
        ("__getstate__", {"got": 1}),
        ("__getnewargs__", ()),
    ],
)
def test_instance_with_a_method_for_pickle_of_its_own(name, answer):
    value = Plain(a=1)
    setattr(value, name, Answers(answer))
    expected = pickle.loads(pickle.dumps(value))
    again = round_trip(value, 0, (Plain, Answers))
    assert type(again) is type(expected)
    if isinstance(again, Plain):
        assert vars(again).keys() == vars(expected).keys()


class DictProperty:
    @property
    def __dict__(self):
        return {"fake": 1}


class ClassProperty:
    @property
    def __class__(self):
        return Plain


def test_class_that_lies_about_its_instances_is_not_plain():
    assert form_with(DictProperty(), DictProperty) == PICKLED
    with pytest.raises(pickle.PicklingError):
        form_with(ClassProperty(), ClassProperty)


@pytest.mark.parametrize("cls", [cProfile.Profile, sqlite3.Connection])
def test_instance_with_state_in_c_is_refused(cls):
    subclass = type(cls.__name__, (cls,), {})
    for kind in (cls, subclass):
        value = kind(":memory:") if cls is sqlite3.Connection else kind()
        with pytest.raises((TypeError, pickle.PicklingError)):
            form_with(value, kind)


@pytest.mark.parametrize(
    "cls",
    [dict, OrderedDict, ValueError, type, bool, type(None), type(len), Colour,
     type("Numbers", (dict,), {}), type("Slots", (), {"__slots__": ("a",)})],
    ids=lambda cls: cls.__name__,
)
def test_number_of_a_class_that_is_not_plain_is_damage(cls):
    form, data = _core.codec_encode(Plain(x=1), 0, (Plain,))
    with pytest.raises(ValueError):
        _core.codec_decode(form, data, (cls,))


def test_class_that_goes_while_it_is_asked_about():
    class Holder(tuple):
        def index(self, _cls):
            value.clear()
            gc.collect()
            return 0

    value = [type("Gone", (Plain,), {})()]
    with contextlib.suppress(AttributeError, pickle.PicklingError):
        _core.codec_encode(value, 0, Holder((Plain,)))


def test_collection_of_garbage_does_not_change_what_is_encoded():
    """Before 3.12 a finalizer may run wherever a container is made."""

    class Changes:
        def __init__(self, target):
            self.cycle = self
            self.target = target

        def __del__(self):
            self.target[:] = [b"changed"] * 3

    form_with([Plain()], Plain)
    for first in range(1, 60):
        value = [Plain(x=i) for i in range(60)]
        gc.collect()
        threshold = gc.get_threshold()
        Changes(value)
        gc.set_threshold(first)
        try:
            form, data = _core.codec_encode(value, 0, (Plain,))
        finally:
            gc.set_threshold(*threshold)
        if form == CLASSED:
            again = _core.codec_decode(form, data, (Plain,))
            assert [item.x for item in again] == list(range(60))
        gc.collect()


def test_names_of_attributes_are_interned():
    first, second = round_trip([Plain(x=1), Plain(x=2)], 0, (Plain,))
    for again in (first, second):
        assert next(iter(vars(again))) is sys.intern("x")
    name = "".join(["a long ", "name"])
    (key,) = vars(round_trip(Plain(**{name: 1}), 0, (Plain,)))
    assert key is sys.intern("a long name")


def test_class_is_looked_at_again_when_it_changes():
    class Local(Plain):
        pass

    assert form_with([Local(x=1)], Local) == CLASSED
    Local.__getstate__ = lambda self: {"x": 2}
    with pytest.raises((AttributeError, pickle.PicklingError)):
        form_with([Local(x=1)], Local)  # pickle cannot find it by name
    del Local.__getstate__
    assert form_with([Local(x=1)], Local) == CLASSED


def test_object_that_changes_while_its_class_is_asked_about(monkeypatch):
    """Python code runs then, and may do anything to what is encoded."""
    value = [*("".join(["text ", str(i)]) for i in range(10)), Plain(x=1)]
    numbers = iter(range(100))

    class Restless(tuple):
        def __contains__(self, _):
            return True

        def index(self, _cls):
            value[0] = f"other {next(numbers)}"
            return 0

    # The tuple is subclassed, so that its search runs code.
    form, data = _core.codec_encode(value, 0, Restless((Plain,)))
    assert form == CLASSED
    again = _core.codec_decode(form, data, (Plain,))
    assert again[:-1] == value[:-1]


def test_collection_of_garbage_finds_nothing_half_filled():
    """Before 3.12 a finalizer may run in the middle of a decoding."""
    value = [[i, (i, i + 1)] for i in range(61)]
    seen = []

    class Looker:
        def __init__(self):
            self.cycle = self

        def __del__(self):
            seen.extend(
                found == value
                for found in gc.get_objects()
                if type(found) is list and len(found) == 61
            )

    form, data = _core.codec_encode(value)
    assert form == TAGGED
    threshold = gc.get_threshold()
    for first in range(1, 60):
        gc.collect()
        looker = Looker()
        gc.set_threshold(first)
        try:
            del looker
            again = _core.codec_decode(form, data)
        finally:
            gc.set_threshold(*threshold)
        assert again == value
        del again
    gc.collect()
    assert seen
    assert all(seen)


# --- damaged bytes ----------------------------------------------------------


def decode_or_refuse(data, form=TAGGED, classes=()):
    try:
        value = _core.codec_decode(form, data, classes)
    except ValueError:
        return
    except TypeError as error:  # a list as key
        assert "unhashable" in str(error)
        return
    # What was accepted is a sound object.
    repr(value)
    hash(str(value))
    assert_like_pickle(value, classes)


@given(st.binary(max_size=64))
@example(b"")
@example(b"\x06\xff\xff\xff\xff\xff\xff\xff\xff\xff")
@example(b"\x0c\xff\xff\xff\xff\xff\xff\xff\xff\x7f")
@example(b"\x0a\xff\x00\x00\x00\x00\x00\x00\x00\x40")
@example(b"\x0a\x01\xff\xff\xff\xff")
@example(b"\x07\x02a\xff")
@example(b"\x09\x02a\x00b\x00")
@example(b"\x0b\x00")
@example(b"\x0d\x01\x0b\x00")  # a list in itself
@example(b"\x0c\x02\x07\x02ab\x0b\x02")  # no such part
@example(b"\x0c\x02\x0c\x01\x01\x12\x01\x0b\x01\x01")  # a tuple as key
@example(b"\x0d\x01" * 30)
@example(b"\x13\x00\x00\x00\x00\x12\x00")
@example(b"\x13\x00\x00\x00\x00\x12\x01\x07\x02ab\x01")
@example(b"\x13\x09\x00\x00\x00\x12\x00")
@example(b"\x0f\x02\x03abcdef")
@example(b"\x0f\x02\x00")
@example(b"\x0f\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x08")
@example(b"\x11\x02abcdefgh")
def test_any_bytes_give_an_object_or_value_error(data):
    decode_or_refuse(data)
    decode_or_refuse(data, CLASSED, (Plain, Node))


def mutate(data, rng):
    data = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        place = rng.randrange(len(data) + 1)
        change = rng.randrange(3)
        if change == 0 and place < len(data):
            data[place] = rng.choice([0, 1, 254, 255, rng.randrange(256)])
        elif change == 1:
            data[place:place] = rng.randbytes(rng.randint(1, 9))
        else:
            del data[place : place + rng.randint(1, 3)]
    return bytes(data)


def test_mutated_bytes_give_an_object_or_value_error(rng):
    row = {"key": [1, "two"], 2: ("three", b"four")}
    samples = [
        2**80,
        1.5,
        "text",
        "caf\xe9",
        "\u20ac uro",
        "\U0001f600!",
        b"bytes" * 60,
        (1, "two", 3.0, None),
        [1 << 70, "\u20ac", b"b", -1],
        {"key": 1, 2: "value", "\xe9t\xe9": b""},
        [f"text {i}" for i in range(20)],
        [row, row, [row, ("three", (), [[[]]])]],
        Plain(x=1, text="text", row=row),
        [Plain(x=Plain(y="text")), Plain(x=2, y="text")],
        (Plain(x=1, y=2), 1),
    ]
    classes = (Plain,)
    for _ in range(8000):
        form, data = _core.codec_encode(rng.choice(samples), 0, classes)
        if form in (TAGGED, CLASSED):
            decode_or_refuse(mutate(data, rng), CLASSED, classes)


@given(scalars)
def test_trailing_or_missing_bytes_are_refused(value):
    _, data = _core.codec_encode([value])
    with pytest.raises(ValueError):
        _core.codec_decode(TAGGED, data + b"\x01")
    with pytest.raises(ValueError):
        _core.codec_decode(TAGGED, data[:-1])


def test_str_that_is_too_wide_becomes_canonical():
    for tag, width in ((9, 2), (10, 4)):
        data = bytes([tag, 2]) + b"".join(
            code.to_bytes(width, "little") for code in b"ab"
        )
        text = _core.codec_decode(TAGGED, data)
        assert text == "ab"
        assert text.isascii()
        assert {text: 1}["ab"] == 1


def test_unknown_form_is_refused():
    for form in (-1, 3):
        with pytest.raises(ValueError):
            _core.codec_decode(form, pickle.dumps(1))


@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize("number", [4, 2**32, 2**63, 2**64 - 1])
def test_damaged_header_of_buffers_is_refused(place, number):
    value = [pickle.PickleBuffer(bytes(n)) for n in (65536, 65537)]
    form, data = _core.codec_encode(value)
    assert form == BUFFERS
    # Number of buffers, bytes of the stream, and twice bytes and read-only.
    header = list(struct.unpack_from("6Q", data))
    header[place] = number
    damaged = struct.pack("6Q", *header) + data[48:]
    with pytest.raises((ValueError, pickle.UnpicklingError, EOFError)):
        _core.codec_decode(form, damaged)


@given(st.binary(max_size=100))
def test_short_buffers_form_is_refused(data):
    with pytest.raises((ValueError, pickle.UnpicklingError, EOFError)):
        # A stream of pickle is code; this one says nothing.
        _core.codec_decode(BUFFERS, bytes(8) + data[:8] + bytes(len(data)))


# --- pickling ---------------------------------------------------------------


def test_instances_share_and_refer_to_themselves():
    text = "".join(["some ", "text"])
    shared = Node(text)
    assert_like_pickle([shared, shared, Node(shared), {"key": text}])


@pytest.mark.parametrize("size", [10, 1000, 20_000, 70_000, 3 << 20])
def test_stream_of_each_size(size):
    for payload in (
        b"b" * size,
        bytearray(size),
        "\u20ac" * size,
        [i * 1000 for i in range(size // 10)],
    ):
        value = (Plain(payload=payload), [1])
        assert_like_pickle(value)
        assert_like_pickle(Plain(a=1))


def test_nothing_of_the_object_is_kept():
    class Refused:
        def __reduce__(self):
            raise RuntimeError("no")

    value = Plain(text="x" * 10)
    reference = weakref.ref(value)
    _core.codec_encode([[value]])
    del value
    assert reference() is None

    value = Refused()
    reference = weakref.ref(value)
    with pytest.raises(RuntimeError):
        _core.codec_encode([[value]], True)
    del value
    assert reference() is None


def test_error_of_a_reducer_passes_and_the_next_object_is_pickled():
    class Refused:
        calls = 0

        def __reduce__(self):
            Refused.calls += 1
            raise TypeError("no, says the reducer")

    for by_value in (0, 1):
        Refused.calls = 0
        with pytest.raises(TypeError, match="says the reducer"):
            _core.codec_encode([Plain(a=1), Refused()], by_value)
        assert Refused.calls == 1
        assert_like_pickle([Plain(a=1)])


def test_error_of_unpickling_passes():
    with pytest.raises(ZeroDivisionError):
        round_trip(Exploding())
    with pytest.raises((pickle.UnpicklingError, EOFError)):
        _core.codec_decode(PICKLED, b"")


class Exploding:
    def __reduce__(self):
        return operator.truediv, (1, 0)


class Registered:
    pass


def _first(value):
    return Plain, (), {"made_by": "first"}


def _second(value):
    return Plain, (), {"made_by": "second"}


def test_reducers_may_be_registered_and_replaced_at_any_time():
    def made_by(by_value=0):
        return getattr(round_trip(Registered(), by_value), "made_by", None)

    try:
        assert made_by() is None
        copyreg.pickle(Registered, _first)
        assert made_by() == "first"
        ForkingPickler.register(Registered, _second)
        assert made_by() == "second"
        assert made_by(2) == "second"
        ForkingPickler.register(Registered, _first)
        copyreg.pickle(Registered, _second)
        assert made_by() == "first"
        del ForkingPickler._extra_reducers[Registered]
        assert made_by() == "second"
    finally:
        ForkingPickler._extra_reducers.pop(Registered, None)
        copyreg.dispatch_table.pop(Registered, None)
    assert made_by() is None


def test_reducers_do_not_apply_to_functions_and_classes():
    # As in the stdlib: pickle saves these by name first.
    function_type = type(_first)
    ForkingPickler.register(function_type, lambda function: "nonsense")
    ForkingPickler.register(type, lambda cls: "nonsense")
    try:
        assert round_trip(_first) is _first
        assert round_trip(Plain) is Plain
    finally:
        del ForkingPickler._extra_reducers[function_type]
        del ForkingPickler._extra_reducers[type]


def test_what_multiprocessing_registers_is_honoured():
    method = round_trip(Plain(a=1).__eq__)
    assert isinstance(method, type(Plain().__eq__))
    partial = round_trip(functools.partial(operator.add, 1))
    assert partial(2) == 3
    assert round_trip(list.append) is list.append


class Nesting:
    def __init__(self, depth):
        self.depth = depth

    def __reduce__(self):
        inner = Nesting(self.depth - 1) if self.depth else "bottom"
        return _decode_nested, _core.codec_encode([[inner]])


def _decode_nested(form, data):
    return [_core.codec_decode(form, data)]


def test_reducer_may_encode_in_turn():
    value = round_trip(Nesting(20))
    for _ in range(21):
        ((((value,),),)) = value
    assert value == "bottom"


class Meeting:
    def __init__(self, barrier, name):
        self.barrier = barrier
        self.name = name

    def __reduce__(self):
        self.barrier.wait(30)
        return str, (self.name,)


def test_threads_may_encode_at_the_same_time():
    count = 8
    barrier = threading.Barrier(count)
    results = {}

    def run(number):
        value = [Meeting(barrier, f"{number} {i}") for i in range(20)]
        results[number] = round_trip(value)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {
        number: [f"{number} {i}" for i in range(20)] for number in range(count)
    }


# --- buffers ----------------------------------------------------------------


@pytest.mark.parametrize("extra", [-1, 0, 1])
@pytest.mark.parametrize("make", [bytes, bytearray])
def test_buffer_is_out_of_band_from_the_limit_on(extra, make):
    data = make(range(256)) * 257
    data = data[: OUT_OF_BAND_BYTES + extra]
    form, encoded = _core.codec_encode(pickle.PickleBuffer(data))
    assert form == (BUFFERS if extra >= 0 else PICKLED)
    again = _core.codec_decode(form, encoded)
    assert type(again) is make
    assert again == data


def test_several_buffers_and_their_order():
    parts = [bytes([i]) * (70_000 + i) for i in range(10)]
    value = {"parts": [pickle.PickleBuffer(part) for part in parts]}
    assert round_trip(value) == {"parts": parts}


def test_big_buffer():
    data = bytearray(random.Random(2).randbytes(9 << 20))
    again = round_trip(pickle.PickleBuffer(data))
    view = memoryview(again)
    assert not view.readonly
    assert view == data
    view[0] ^= 1
    assert view != data
    assert round_trip(again) == view  # a bytearray, as for the stdlib


def test_memory_of_big_buffers_is_recycled_and_never_shared():
    first = round_trip(pickle.PickleBuffer(bytearray(b"a") * (5 << 20)))
    second = round_trip(pickle.PickleBuffer(bytearray(b"b") * (5 << 20)))
    assert bytes(first) == b"a" * (5 << 20)
    del first
    third = round_trip(pickle.PickleBuffer(bytearray(b"c") * (4 << 20)))
    assert len(third) == 4 << 20
    assert bytes(third) == b"c" * (4 << 20)
    assert bytes(second) == b"b" * (5 << 20)


class Releasing:
    def __init__(self, buffer):
        self.buffer = buffer

    def __reduce__(self):
        self.buffer.release()
        return str, ()


def test_buffer_may_be_released_while_the_rest_is_pickled():
    data = bytearray(b"x" * 100_000)
    buffer = pickle.PickleBuffer(data)
    assert round_trip([buffer, Releasing(buffer)]) == [data, ""]
    data.append(1)  # nothing pins it any more


def test_buffers_with_a_value_that_goes_by_value():
    buffer = pickle.PickleBuffer(b"x" * 100_000)
    form, data = _core.codec_encode([buffer, lambda: 5], 1)
    assert form == BUFFERS
    again, function = _core.codec_decode(form, data)
    assert again == b"x" * 100_000
    assert function() == 5


@pytest.fixture
def numpy():
    return pytest.importorskip("numpy")


@pytest.mark.parametrize("size", [3, 200])
def test_arrays(numpy, size):
    base = numpy.arange(size * size * 2, dtype="f8").reshape(size, size * 2)
    frozen = base.copy()
    frozen.setflags(write=False)
    arrays = {
        "writable": base,
        "read-only": frozen,
        "Fortran": numpy.asfortranarray(base),
        "not contiguous": base[:, ::2],
        "reversed": base[::-1],
        "empty": base[:0],
        "structured": numpy.zeros(size, dtype=[("a", "i4"), ("b", "f8")]),
        "objects": numpy.array([None, "a", 1] * size, dtype=object),
    }
    for name, array in arrays.items():
        again = round_trip(array)
        assert again.dtype == array.dtype, name
        numpy.testing.assert_array_equal(again, array)
        expected = pickle.loads(
            pickle.dumps(array, 5, buffer_callback=(buffers := []).append),
            buffers=buffers,
        )
        assert again.flags.writeable == expected.flags.writeable, name
        assert again.flags.f_contiguous == expected.flags.f_contiguous, name
        assert not numpy.shares_memory(again, array)
    assert round_trip(base).flags.writeable
    assert not round_trip(frozen).flags.writeable


def test_each_decoding_of_an_array_is_its_own(numpy):
    form, data = _core.codec_encode(numpy.zeros(100_000))
    assert form == BUFFERS
    first = _core.codec_decode(form, data)
    second = _core.codec_decode(form, data)
    first[:] = 1
    assert not second.any()


# --- by value ---------------------------------------------------------------


def test_lambda_goes_by_value_if_asked():
    offset = 10
    function = lambda x: x + offset  # noqa: E731
    with pytest.raises((pickle.PicklingError, AttributeError)):
        _core.codec_encode(function)
    assert round_trip(function, True)(1) == 11
    assert round_trip([function, Plain(a=1)], True)[0](2) == 12


def test_local_class_goes_by_value_if_asked():
    class Local:
        def double(self):
            return self.value * 2

    value = Local()
    value.value = 21
    assert round_trip(value, True).double() == 42


def test_error_of_pickle_is_raised_if_cloudpickle_refuses_too():
    value = threading.Lock()
    with pytest.raises(TypeError) as expected:
        pickle.dumps(value, 5)
    with pytest.raises(TypeError) as raised:
        _core.codec_encode(value, True)
    assert str(raised.value) == str(expected.value)

    def generator():
        yield

    with pytest.raises(TypeError, match="generator"):
        _core.codec_encode([generator()], True)


def test_missing_cloudpickle_leaves_the_error_of_pickle(monkeypatch):
    # In a process that never used it; here the class may be made already.
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(TypeError, match="lock"):
        _core.codec_encode(threading.Lock(), True)


def test_function_of_main_goes_by_value_if_it_must(monkeypatch):
    namespace = {"__name__": "__main__"}
    exec("def answer():\n    return 42", namespace)
    answer = namespace["answer"]
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "answer", answer, raising=False)
    by_name = _core.codec_encode(answer)
    by_value = _core.codec_encode(answer, 2)
    monkeypatch.delattr(main, "answer")
    with pytest.raises(AttributeError):
        _core.codec_decode(*by_name)
    assert _core.codec_decode(*by_value)() == 42


# --- names ------------------------------------------------------------------


class Outer:
    class Inner:
        pass

    def method(self):
        pass

    @staticmethod
    def static():
        pass

    @classmethod
    def made(cls):
        pass


@pytest.mark.parametrize(
    "value",
    [
        round_trip,
        Plain,
        Outer.Inner,
        Outer.method,
        Outer.static,
        len,
        math.sqrt,
        int,
        operator.add,
        threading.Lock,
    ],
)
def test_what_pickle_writes_by_name_is_by_reference(value):
    reference, in_main = _core.is_by_reference(value)
    assert in_main is False
    if reference:
        assert pickle.loads(pickle.dumps(value)) is value
    # threading.Lock is a builtin function of another name before 3.13.
    assert reference is True or value is threading.Lock


def _decorated():
    pass


_original = _decorated


@functools.wraps(_original)
def _decorated():
    pass


@pytest.mark.parametrize(
    "value",
    [
        lambda: None,
        _original,
        Plain().__init__,
        Outer.made,
        [].append,
        functools.partial(len),
        type(None),
        list.append,
        1,
        None,
        "text",
    ],
)
def test_everything_else_is_not_by_reference(value):
    assert _core.is_by_reference(value) == (False, False)


def test_what_stands_behind_locals_is_not_by_reference():
    def local():
        pass

    assert _core.is_by_reference(local)[0] is False


def test_name_that_leads_to_another_object_is_not_by_reference(monkeypatch):
    assert _core.is_by_reference(_second)[0] is True
    monkeypatch.setattr(_second, "__qualname__", "_first")
    assert _core.is_by_reference(_second)[0] is False
    monkeypatch.setattr(_second, "__qualname__", "_nowhere")
    assert _core.is_by_reference(_second)[0] is False
    monkeypatch.setattr(_second, "__module__", None)
    assert _core.is_by_reference(_second) == (False, False)


def test_module_that_raises_is_not_by_reference(monkeypatch):
    class Module:
        def __getattr__(self, name):
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "odd_module", Module())
    monkeypatch.setattr(_first, "__module__", "odd_module")
    assert _core.is_by_reference(_first) == (False, False)


def test_function_of_main_is_recognized(monkeypatch):
    namespace = {"__name__": "__main__"}
    exec("def task():\n    pass", namespace)
    task = namespace["task"]
    assert _core.is_by_reference(task) == (False, True)
    monkeypatch.setattr(sys.modules["__main__"], "task", task, raising=False)
    assert _core.is_by_reference(task) == (True, True)
