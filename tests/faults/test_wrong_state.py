"""Use after close, after shutdown, or in a forked child."""

import json

import pytest

from support.children import in_forked_child
from support.errors import catch
from support.gate import worker_pids
from support.polling import eventually
from support.procs import alive, any_alive
from support.tasks import square

USES = {
    "apply": lambda pool: pool.apply(square, (1,)),
    "apply_async": lambda pool: pool.apply_async(square, (1,)).get(10),
    "map": lambda pool: pool.map(square, range(3)),
    "imap": lambda pool: list(pool.imap(square, range(3))),
}


@pytest.mark.parametrize("use", USES)
def test_the_parents_pool_is_refused_in_a_child(pool, tmp_path, use):
    pids = worker_pids(pool, 2, tmp_path)

    def child():
        error = catch(lambda: USES[use](pool))
        assert isinstance(error, RuntimeError), repr(error)
        assert "fork" in str(error).lower()
        return "refused"

    assert in_forked_child(child) == ("refused", 0)
    assert pool.map(square, range(5)) == [0, 1, 4, 9, 16]
    assert all(map(alive, pids))


def test_the_parents_executor_is_refused_in_a_child(executor):
    assert executor.submit(square, 2).result() == 4

    def child():
        error = catch(lambda: executor.submit(square, 2).result(20))
        assert isinstance(error, RuntimeError), repr(error)
        assert "fork" in str(error).lower()
        return "refused"

    assert in_forked_child(child) == ("refused", 0)
    assert executor.submit(square, 3).result() == 9


_executor = None


def submit_more(depth):
    return _executor.submit(submit_more, depth - 1).result(20) if depth else 0


def submit_from_initializer(gate):
    gate.mark("refused", repr(catch(lambda: _executor.submit(square, 1))))


@pytest.mark.parametrize("earlier", [0, 1])
@pytest.mark.parametrize("workers", [1, 2])
def test_tasks_cannot_use_their_own_executor(make_executor, workers, earlier):
    """Its first workers were forked before it had an engine."""
    global _executor
    _executor = make_executor(workers)
    for _ in range(earlier):
        assert _executor.submit(square, 3).result(30) == 9
    error = catch(lambda: _executor.submit(submit_more, 5).result(30))
    assert isinstance(error, RuntimeError), repr(error)
    assert _executor.submit(square, 3).result(30) == 9


def test_initializers_cannot_use_their_own_executor(make_executor, gate):
    global _executor
    _executor = make_executor(
        1, initializer=submit_from_initializer, initargs=(gate,)
    )
    assert _executor.submit(square, 3).result(30) == 9
    assert "RuntimeError" in gate.read("refused")


@pytest.mark.parametrize("end", ["terminate", "close", "drop"])
def test_ending_the_pool_in_a_child_leaves_the_parents_alone(
    make_pool, tmp_path, end
):
    pool = make_pool(2)
    pids = worker_pids(pool, 2, tmp_path)

    def child():
        try:
            if end == "terminate":
                pool.terminate()
            elif end == "close":
                pool.close()
            else:
                type(pool).__del__(pool)
        except RuntimeError:
            pass
        return "over"

    assert in_forked_child(child) == ("over", 0)
    assert pool.map(square, range(5)) == [0, 1, 4, 9, 16]
    assert all(map(alive, pids))


def test_a_pending_result_does_not_hang_in_a_child(pool, gate):
    held = pool.apply_async(gate.enter, ("v",))

    def child():
        error = catch(lambda: held.get(20))
        assert isinstance(error, RuntimeError), repr(error)
        return "refused"

    assert in_forked_child(child) == ("refused", 0)
    gate.open()
    assert held.get(30) == "v"


def test_a_finished_result_can_be_read_in_a_child(pool, executor):
    results = [
        pool.apply_async(square, (7,)),
        pool.apply_async(bytes, (200_000,)),
    ]
    future = executor.submit(square, 8)
    for result in results:
        result.get(30)
    future.result(30)

    def child():
        return (
            results[0].get(1),
            len(results[1].get(1)),
            future.result(1),
        )

    assert in_forked_child(child) == ("(49, 200000, 64)", 0)


def test_a_child_may_have_a_pool_of_its_own(impl, ctx, pool):
    assert pool.apply(square, (2,)) == 4

    def child():
        with ctx.Pool(2) as own:
            return own.map(square, range(4))

    assert in_forked_child(child) == ("[0, 1, 4, 9]", 0)
    assert pool.apply(square, (3,)) == 9


def test_the_end_of_a_child_ends_only_its_own_workers(ctx, pool, tmp_path):
    pids = worker_pids(pool, 2, tmp_path)
    (tmp_path / "child").mkdir()

    def child():
        own = ctx.Pool(2)
        return json.dumps(list(worker_pids(own, 2, tmp_path / "child")))

    text, code = in_forked_child(child)
    assert code == 0, text
    # os._exit ran no clean-up in the child
    eventually(lambda: not any_alive(json.loads(text)))
    assert all(map(alive, pids))
    assert pool.apply(square, (3,)) == 9


def test_errors_after_the_end_say_what_is_wrong(pool, executor):
    pool.close()
    pool.join()
    executor.shutdown()
    with pytest.raises(ValueError, match="Pool not running"):
        pool.apply(square, (1,))
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(square, 1)


def test_submitting_what_is_not_callable_fails_alone(pool, executor):
    with pytest.raises(TypeError):
        pool.apply(5)
    with pytest.raises(TypeError):
        executor.submit(None).result(30)
    assert pool.apply(square, (3,)) == 9
    assert executor.submit(square, 3).result(30) == 9


def test_wrong_arguments_of_the_task_are_its_error(pool, executor):
    with pytest.raises(TypeError, match="square"):
        pool.apply(square, (1, 2, 3))
    with pytest.raises(TypeError):
        pool.apply(square, 5)
    with pytest.raises(TypeError, match="square"):
        executor.submit(square, wrong=1).result(30)
    assert pool.apply(square, (3,)) == 9
