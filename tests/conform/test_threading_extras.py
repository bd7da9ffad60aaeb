"""AtomicInt, which Python's own threading does not have."""

import threading

import pytest

from support.blocking import at_once
from support.sync import only_pyconc

pytestmark = only_pyconc
LARGEST, SMALLEST = 2**63 - 1, -(2**63)


@pytest.fixture
def AtomicInt(sync):
    return sync.threading.AtomicInt


def test_a_number_begins_with_its_value(AtomicInt):
    assert AtomicInt().load() == 0
    assert AtomicInt(5).load() == 5
    assert AtomicInt(value=-5).load() == -5
    assert AtomicInt(True).load() == 1


def test_store(AtomicInt):
    number = AtomicInt(1)
    assert number.store(7) is None
    assert number.load() == 7


def test_add_and_sub_return_the_new_value(AtomicInt):
    number = AtomicInt(10)
    assert number.add() == 11
    assert number.add(5) == 16
    assert number.add(n=-6) == 10
    assert number.sub() == 9
    assert number.sub(4) == 5
    assert number.sub(n=-5) == 10
    assert number.add(0) == 10
    assert number.load() == 10


def test_exchange_returns_the_old_value(AtomicInt):
    number = AtomicInt(1)
    assert number.exchange(2) == 1
    assert number.exchange(3) == 2
    assert number.load() == 3


def test_compare_exchange(AtomicInt):
    number = AtomicInt(1)
    assert number.compare_exchange(1, 2) is True
    assert number.load() == 2
    assert number.compare_exchange(1, 3) is False
    assert number.compare_exchange(expected=2, desired=4) is True
    assert number.load() == 4


def test_the_operators_change_the_same_object(AtomicInt):
    number = same = AtomicInt(1)
    number += 5
    assert number is same
    assert number.load() == 6
    number -= 2
    assert number is same
    assert same.load() == 4


def test_it_converts_to_an_int(AtomicInt):
    number = AtomicInt(42)
    assert int(number) == 42
    assert type(int(number)) is int
    number.add()
    assert int(number) == 43


def test_the_repr_shows_the_value(AtomicInt):
    number = AtomicInt(-3)
    assert "AtomicInt" in repr(number)
    assert "-3" in repr(number)
    number.store(99)
    assert "99" in repr(number)


def test_the_limits(AtomicInt):
    assert AtomicInt(LARGEST).load() == LARGEST
    assert AtomicInt(SMALLEST).load() == SMALLEST
    number = AtomicInt()
    assert number.add(LARGEST) == LARGEST
    assert number.exchange(SMALLEST) == LARGEST
    assert number.compare_exchange(SMALLEST, LARGEST) is True


@pytest.mark.parametrize("value", [LARGEST + 1, SMALLEST - 1, 10**30, -(10**30)])
def test_values_beyond_64_bits_overflow(AtomicInt, value):
    number = AtomicInt(3)
    for call in (AtomicInt, number.store, number.add, number.exchange):
        with pytest.raises(OverflowError):
            call(value)
    with pytest.raises(OverflowError):
        number.compare_exchange(3, value)
    with pytest.raises(OverflowError):
        number += value
    assert number.load() == 3


def test_results_beyond_64_bits_overflow(AtomicInt):
    top, bottom = AtomicInt(LARGEST), AtomicInt(SMALLEST)
    for call in (top.add, bottom.sub):
        with pytest.raises(OverflowError):
            call()
        with pytest.raises(OverflowError):
            call(LARGEST)
    with pytest.raises(OverflowError):
        top += 1
    with pytest.raises(OverflowError):
        AtomicInt(0).sub(SMALLEST)
    assert (top.load(), bottom.load()) == (LARGEST, SMALLEST)
    assert AtomicInt(-1).sub(SMALLEST) == LARGEST


@pytest.mark.parametrize("value", ["1", 1.5, None, []])
def test_only_integers(AtomicInt, value):
    number = AtomicInt(3)
    for call in (AtomicInt, number.store, number.add, number.sub, number.exchange):
        with pytest.raises(TypeError):
            call(value)
    with pytest.raises(TypeError):
        number += value
    assert number.load() == 3


def test_objects_with_an_index_are_integers(AtomicInt):
    class Five:
        def __index__(self):
            return 5

    number = AtomicInt(Five())
    assert number.add(Five()) == 10


def test_no_increment_is_lost(AtomicInt):
    number = AtomicInt()

    def run(index):
        nonlocal number
        for _ in range(2000):
            if index % 2:
                number += 1
            else:
                number.add()

    at_once(6, run)
    assert number.load() == 12000


def test_every_new_value_is_returned_once(AtomicInt):
    number = AtomicInt()
    lists = at_once(6, lambda _: [number.add() for _ in range(1000)])
    assert sorted(value for values in lists for value in values) == list(range(1, 6001))


def test_additions_and_subtractions_cancel_out(AtomicInt):
    number = AtomicInt(7)

    def run(index):
        for _ in range(1000):
            number.add(3) if index % 2 else number.sub(3)

    at_once(6, run)
    assert number.load() == 7


def test_one_thread_wins_a_compare_exchange(AtomicInt):
    for _ in range(50):
        number = AtomicInt()

        def run(index, number=number):
            return number.compare_exchange(0, index + 1)

        won = at_once(4, run)
        assert sum(won) == 1
        assert number.load() == won.index(True) + 1


def test_a_counter_by_compare_exchange(AtomicInt):
    number = AtomicInt()

    def run(_index):
        for _ in range(300):
            while not number.compare_exchange(value := number.load(), value + 1):
                pass

    at_once(4, run)
    assert number.load() == 1200


def test_exchanges_pass_every_value_on(AtomicInt):
    number = AtomicInt(-1)

    def run(index):
        return [number.exchange(index * 500 + n) for n in range(500)]

    values = [value for values in at_once(4, run) for value in values]
    values.append(number.load())
    assert sorted(values) == list(range(-1, 2000))


def test_it_compares_as_its_value(AtomicInt):
    number = AtomicInt(3)
    assert number == 3 == number
    assert number == AtomicInt(3)
    assert number != 4
    assert number != "3"
    assert 2 < number <= 3.0
    assert number < AtomicInt(4)
    assert number == 2**64 - 2**64 + 3
    with pytest.raises(TypeError):
        _ = number < "4"


def test_zero_is_false(AtomicInt):
    assert not AtomicInt()
    assert AtomicInt(-1)


def test_a_number_that_changes_has_no_hash(AtomicInt):
    with pytest.raises(TypeError, match="unhashable"):
        hash(AtomicInt())


def test_the_name_is_no_standard_one(AtomicInt):
    assert not hasattr(threading, "AtomicInt")
    assert AtomicInt.__name__ == "AtomicInt"
