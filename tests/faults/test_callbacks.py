"""Callbacks that raise are reported once, and the pool goes on."""

import threading

import pytest

from support.scripts import run_source
from support.tasks import fail, square

SCRIPT = """
from pyconc import multiprocessing
from support.tasks import fail, square


def bad(_value):
    raise ValueError("callback failed on purpose")


if __name__ == "__main__":
    with multiprocessing.Pool(2) as pool:
        {start}
        assert pool.map(square, range(5)) == [0, 1, 4, 9, 16]
        seen = []
        assert pool.apply_async(square, (3,), callback=seen.append).get() == 9
        assert seen == [9]
        pool.close()
        pool.join()
    print("done")
"""

STARTS = {
    "result": "pool.apply_async(square, (2,), callback=bad).wait()",
    "error": "pool.apply_async(fail, error_callback=bad).wait()",
    "map": "pool.map_async(square, [1, 2], callback=bad).wait()",
}


@pytest.mark.parametrize("kind", STARTS)
def test_the_report_reaches_stderr_once(tmp_path, kind):
    outcome = run_source(tmp_path, SCRIPT.format(start=STARTS[kind]))
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout == "done\n"
    report = "ValueError: callback failed on purpose"
    assert outcome.stderr.count(report) == 1
    assert outcome.stderr.count("Traceback") == 1


@pytest.fixture
def reported(monkeypatch):
    errors = []
    monkeypatch.setattr(
        threading, "excepthook", lambda args: errors.append(args.exc_value)
    )
    return errors


@pytest.mark.parametrize(
    "error", [ValueError("v"), SystemExit(3), KeyboardInterrupt("k")]
)
def test_the_pool_goes_on_and_the_result_stays(pool, reported, error):
    def bad(_value):
        raise error

    result = pool.apply_async(square, (2,), callback=bad)
    result.wait(30)
    assert result.ready()
    assert result.get(0) == 4
    assert result.successful()
    for i in range(20):
        assert pool.apply_async(square, (i,)).get(30) == i * i
    pool.close()
    pool.join()
    assert reported == [error]


def test_an_error_callback_that_raises_keeps_the_error(pool, reported):
    def bad(_error):
        raise LookupError("callback failed on purpose")

    result = pool.apply_async(fail, ("original",), error_callback=bad)
    with pytest.raises(ValueError, match="original"):
        result.get(30)
    assert pool.apply(square, (3,)) == 9


def test_every_bad_callback_is_reported(pool, reported):
    def bad(value):
        raise ValueError(value)

    for i in range(20):
        pool.apply_async(square, (i,), callback=bad)
    pool.close()
    pool.join()
    assert sorted(error.args[0] for error in reported) == [
        n * n for n in range(20)
    ]


def test_a_callback_that_blocks_does_not_block_the_tasks(pool):
    let_go = threading.Event()
    held = pool.apply_async(
        square, (2,), callback=lambda value: let_go.wait(30)
    )
    assert pool.map(square, range(20)) == [n * n for n in range(20)]
    assert pool.apply(square, (5,)) == 25
    assert not held.ready()
    let_go.set()
    assert held.get(30) == 4
