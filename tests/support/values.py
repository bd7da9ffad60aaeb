"""Compare values that went through another process, and generate them."""

import struct
from collections import OrderedDict
from decimal import Decimal
from fractions import Fraction

from hypothesis import strategies as st


def same(first, second):
    """Say whether two values are equal in type, bits and identity graph."""
    return _same(first, second, {}, {})


def _same(first, second, forth, back):
    if type(first) is not type(second):
        return False
    if isinstance(first, float):
        return struct.pack("d", first) == struct.pack("d", second)
    if isinstance(first, complex):
        return _same(first.real, second.real, {}, {}) and _same(
            first.imag, second.imag, {}, {}
        )
    if not isinstance(first, (list, dict, set, tuple, bytearray)):
        return first == second
    if not isinstance(first, tuple):
        known = id(first) in forth or id(second) in back
        if known:
            return forth.get(id(first)) == id(second) and back.get(
                id(second)
            ) == id(first)
        forth[id(first)] = id(second)
        back[id(second)] = id(first)
    if isinstance(first, (set, bytearray)):
        return first == second
    if isinstance(first, dict):
        # order counts, as it does for whoever iterates
        return _same(tuple(first), tuple(second), forth, back) and _same(
            tuple(first.values()), tuple(second.values()), forth, back
        )
    return len(first) == len(second) and all(
        _same(a, b, forth, back) for a, b in zip(first, second)
    )


text_with_surrogates = st.text(
    st.characters(codec=None, exclude_categories=())
)
integers = st.one_of(
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.sampled_from(
        [
            sign * (2**bits + offset)
            for bits in (7, 8, 15, 16, 31, 32, 62, 63, 64, 127, 1000)
            for offset in (-1, 0, 1)
            for sign in (1, -1)
        ]
    ),
)
# hypothesis makes NaNs with payloads and signs, too
floats = st.one_of(
    st.floats(), st.sampled_from([0.0, -0.0, 5e-324, 1.7976931348623157e308])
)
hashable = st.one_of(
    st.none(),
    st.booleans(),
    integers,
    floats.filter(lambda value: value == value),
    text_with_surrogates,
    st.binary(),
)
scalars = st.one_of(
    hashable,
    floats,
    st.complex_numbers(),
    st.binary(max_size=300).map(bytearray),
    st.decimals(allow_nan=False).map(Decimal),
    st.fractions().map(Fraction),
    st.just(Ellipsis),
    st.just(NotImplemented),
    st.sampled_from([int, dict, len, ValueError]),
)


def _containers(items):
    return st.one_of(
        st.lists(items, max_size=6),
        st.lists(items, max_size=6).map(tuple),
        st.dictionaries(hashable, items, max_size=6),
        st.dictionaries(hashable, items, max_size=3).map(OrderedDict),
        st.frozensets(hashable, max_size=4),
        st.sets(hashable, max_size=4),
        # the same object in several places
        st.tuples(items, st.integers(2, 4)).map(lambda p: [p[0]] * p[1]),
        items.map(lambda value: (value, [value], {"again": value})),
    )


values = st.recursive(scalars, _containers, max_leaves=20)
