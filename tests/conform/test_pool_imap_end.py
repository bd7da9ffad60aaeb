"""The pool of an imap ends while the input is still read."""

import threading

import pytest

from support.blocking import Call, blocked_calls
from support.impls import only_pyconc
from support.tasks import square

both = pytest.mark.parametrize("name", ["imap", "imap_unordered"])


@both
@pytest.mark.parametrize("chunksize", [1, 3])
def test_join_waits_for_what_is_yet_to_be_read(pool, name, chunksize):
    closed = threading.Event()

    def source():
        yield 0
        assert closed.wait(30)
        yield from range(1, 50)

    results = getattr(pool, name)(square, source(), chunksize)
    pool.close()
    closed.set()
    pool.join()
    assert sorted(results) == [n * n for n in range(50)]


@both
def test_results_are_read_while_a_closed_pool_reads_on(pool, name):
    closed = threading.Event()

    def source():
        for n in range(50):
            assert closed.wait(30)
            yield n

    results = getattr(pool, name)(square, source())
    pool.close()
    closed.set()
    assert sorted(results) == [n * n for n in range(50)]
    pool.join()


@only_pyconc  # the stdlib takes half a minute
@both
def test_all_of_a_long_list_is_done_after_close(pool, name):
    results = getattr(pool, name)(abs, list(range(200_000)))
    pool.close()
    pool.join()
    assert sum(1 for _ in results) == 200_000


@pytest.fixture
def endless():
    """An input of one item that then blocks, until the test has ended."""
    let_go = threading.Event()

    def source():
        yield 3
        let_go.wait(50)

    yield source()
    let_go.set()


@only_pyconc  # the stdlib's terminate() waits for the input
@both
def test_next_after_terminate_amid_the_input_is_an_error(
    pool, endless, name
):
    results = getattr(pool, name)(square, endless)
    assert results.next(30) == 9
    pool.terminate()
    pool.join()
    for _ in range(2):
        assert type(Call(next, results).ended()) is ValueError


@only_pyconc  # as above
@both
def test_terminate_amid_the_input_ends_a_waiting_next(pool, endless, name):
    results = getattr(pool, name)(square, endless)
    assert results.next(30) == 9
    waiting = blocked_calls(3, next, results)
    pool.terminate()
    pool.join()
    for call in waiting:
        assert type(call.ended()) is ValueError
