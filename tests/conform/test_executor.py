"""ProcessPoolExecutor: arguments, submit, errors, initializers."""

import concurrent.futures
import os
import threading

import pytest

from support import tasks
from support.gate import Gate
from support.impls import all_methods, only_pyconc
from support.polling import eventually
from support.tasks import collect, fail, identity, pid, square


def test_the_class_is_the_stdlibs_executor(impl, executor):
    assert isinstance(executor, concurrent.futures.ProcessPoolExecutor)
    assert isinstance(executor, impl.futures.Executor)
    assert isinstance(executor, concurrent.futures.Executor)


@all_methods
def test_submit_returns_a_future_with_the_result(impl, executor):
    future = executor.submit(pow, 2, 8)
    assert isinstance(future, impl.futures.Future)
    assert future.result() == 256
    assert future.done()
    assert not future.running()
    assert future.exception() is None


@all_methods
def test_tasks_run_in_other_processes(executor, gate):
    futures = [executor.submit(gate.meet, 2) for _ in range(2)]
    pids = {future.result() for future in futures}
    assert len(pids) == 2
    assert os.getpid() not in pids


@pytest.mark.parametrize("workers", [0, -1])
def test_max_workers_must_be_positive(impl, workers):
    with pytest.raises(ValueError, match="max_workers must be greater than 0"):
        impl.futures.ProcessPoolExecutor(workers)


def test_max_workers_must_be_a_number(impl):
    with pytest.raises(TypeError):
        impl.futures.ProcessPoolExecutor("2")


def test_the_default_worker_count_is_the_stdlibs(impl):
    with impl.futures.ProcessPoolExecutor() as executor:
        workers = executor._max_workers
    with concurrent.futures.ProcessPoolExecutor() as executor:
        assert workers == executor._max_workers


def test_the_initializer_must_be_callable(impl):
    with pytest.raises(TypeError, match="initializer must be a callable"):
        impl.futures.ProcessPoolExecutor(1, initializer=5)


def test_max_tasks_per_child_must_be_a_positive_integer(impl):
    ctx = impl.context("spawn")
    with pytest.raises(
        TypeError, match="max_tasks_per_child must be an integer"
    ):
        impl.futures.ProcessPoolExecutor(
            1, mp_context=ctx, max_tasks_per_child="1"
        )
    for count in (0, -1):
        with pytest.raises(
            ValueError, match="max_tasks_per_child must be >= 1"
        ):
            impl.futures.ProcessPoolExecutor(
                1, mp_context=ctx, max_tasks_per_child=count
            )


def test_max_tasks_per_child_is_refused_under_fork(impl):
    with pytest.raises(
        ValueError,
        match="max_tasks_per_child is incompatible with the 'fork'",
    ):
        impl.futures.ProcessPoolExecutor(
            1, mp_context=impl.context("fork"), max_tasks_per_child=3
        )


@pytest.mark.parametrize("ctx_method", ["spawn", "forkserver"], indirect=True)
def test_max_tasks_per_child_renews_the_workers(make_executor):
    executor = make_executor(1, max_tasks_per_child=2)
    pids = [executor.submit(pid).result() for _ in range(6)]
    assert pids[0] == pids[1] and pids[2] == pids[3] and pids[4] == pids[5]
    assert len(set(pids)) == 3


def test_max_tasks_per_child_without_context_does_not_fork(impl):
    with impl.futures.ProcessPoolExecutor(
        1, max_tasks_per_child=1
    ) as executor:
        pids = {executor.submit(pid).result() for _ in range(2)}
    assert len(pids) == 2


def test_the_start_method_is_the_contexts(impl, make_executor, ctx):
    executor = make_executor(1)
    executor.submit(pid).result()
    assert executor._mp_context is ctx


def test_submit_passes_every_keyword(executor):
    future = executor.submit(collect, 1, self=2, fn=3, kwargs=4, args=5)
    assert future.result() == (
        (1,),
        {"self": 2, "fn": 3, "kwargs": 4, "args": 5},
    )


def test_submit_needs_a_positional_function(executor):
    with pytest.raises(TypeError):
        executor.submit()
    with pytest.raises(TypeError):
        executor.submit(fn=square)


@all_methods
def test_an_exception_comes_with_the_workers_traceback(executor):
    future = executor.submit(fail, "some message")
    error = future.exception()
    assert type(error) is ValueError
    assert error.args == ("some message",)
    cause = str(error.__cause__)
    assert type(error.__cause__).__name__ == "_RemoteTraceback"
    assert "Traceback (most recent call last)" in cause
    assert "in fail" in cause
    assert "ValueError: some message" in cause
    with pytest.raises(ValueError) as caught:
        future.result()
    assert caught.value is error


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt("stop"), GeneratorExit()]
)
def test_a_base_exception_is_the_tasks_error(executor, error):
    future = executor.submit(tasks.reraise, error)
    assert type(future.exception()) is type(error)
    assert future.exception().args == error.args
    assert executor.submit(square, 3).result() == 9


def test_an_exception_of_the_users_own_arrives(executor):
    future = executor.submit(tasks.reraise, tasks.SayWhenError("a", 2))
    assert type(future.exception()) is tasks.SayWhenError
    assert future.exception().args == ("a", 2)


def test_attributes_of_an_exception_arrive(executor):
    error = ValueError("x")
    error.extra = [1, 2]
    assert executor.submit(tasks.reraise, error).exception().extra == [1, 2]


def test_a_returned_exception_is_a_result(executor):
    future = executor.submit(identity, ValueError("value"))
    assert future.exception() is None
    assert future.result().args == ("value",)


def test_an_unpicklable_argument_fails_its_future_only(executor):
    before = executor.submit(square, 2)
    bad = executor.submit(identity, threading.Lock())
    after = executor.submit(square, 3)
    with pytest.raises(TypeError, match=r"_thread\.lock"):
        bad.result()
    assert (before.result(), after.result()) == (4, 9)


def test_an_unpicklable_result_fails_its_future_only(executor):
    bad = executor.submit(tasks.make_lock)
    after = executor.submit(square, 3)
    with pytest.raises(Exception, match=r"_thread\.lock"):
        bad.result()
    assert after.result() == 9


@all_methods
def test_the_initializer_runs_once_in_every_worker(make_executor, make_gate):
    started, met = make_gate(), make_gate()
    executor = make_executor(2, initializer=started.arrive)
    futures = [executor.submit(met.meet, 2) for _ in range(2)]
    pids = sorted(future.result() for future in futures)
    assert sorted(started.arrived_pids()) == pids


@all_methods
def test_initargs_reach_the_initializer(make_executor):
    executor = make_executor(1, initializer=tasks.inherit, initargs=("a", [1]))
    assert executor.submit(tasks.get_inherited).result() == ("a", [1])


@all_methods
def test_a_failing_initializer_breaks_the_executor(impl, make_executor):
    executor = make_executor(2, initializer=tasks.initializer_raises)
    future = executor.submit(square, 2)
    with pytest.raises(impl.process.BrokenProcessPool):
        future.result()

    def refused():
        try:
            executor.submit(square, 2).exception()
        except impl.process.BrokenProcessPool:
            return True
        return False

    eventually(refused)
    with pytest.raises(impl.futures.BrokenExecutor):
        executor.submit(square, 2)


def test_a_running_task_cannot_be_cancelled(executor, gate):
    future = executor.submit(gate.enter, "done")
    gate.wait_arrived(1)
    eventually(future.running)
    assert future.cancel() is False
    gate.open()
    assert future.result() == "done"


def test_a_queued_task_can_be_cancelled(impl, make_executor, gate):
    executor = make_executor(1)
    held = executor.submit(gate.enter)
    queued = [executor.submit(gate.mark, f"ran{i}") for i in range(6)]
    gate.wait_arrived(1)
    assert queued[-1].cancel()
    assert queued[-1].cancelled()
    with pytest.raises(impl.futures.CancelledError):
        queued[-1].result()
    gate.open()
    for future in [held, *queued[:-1]]:
        future.result()
    assert executor.submit(square, 2).result() == 4
    assert gate.marks("ran") == [f"ran{i}" for i in range(5)]


def test_callbacks_get_the_finished_future(executor):
    called = threading.Event()
    seen = []

    def callback(future):
        seen.append((future, future.result(0), os.getpid()))
        called.set()

    future = executor.submit(square, 4)
    future.add_done_callback(callback)
    assert called.wait(30)
    assert seen == [(future, 16, os.getpid())]


def test_callbacks_run_even_if_nobody_asks(executor):
    called = [threading.Event() for _ in range(20)]
    for i, event in enumerate(called):
        executor.submit(square, i).add_done_callback(
            lambda f, event=event: event.set()
        )
    assert all(event.wait(30) for event in called)


def test_a_callback_may_submit(executor):
    done = threading.Event()
    chain = []

    def next_step(future):
        chain.append(future.result())
        if len(chain) < 5:
            executor.submit(square, len(chain)).add_done_callback(next_step)
        else:
            done.set()

    executor.submit(square, 0).add_done_callback(next_step)
    assert done.wait(30)
    assert chain == [0, 1, 4, 9, 16]


def test_many_threads_may_submit(executor):
    outcome = {}

    def work(number):
        futures = [executor.submit(square, i) for i in range(50)]
        outcome[number] = [f.result() for f in futures]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcome == {i: [n * n for n in range(50)] for i in range(8)}


def test_tasks_start_in_the_order_of_submission(make_executor, gate):
    executor = make_executor(1)
    for i in range(10):
        executor.submit(gate.mark, f"ran{i}")
    executor.shutdown()
    directory = gate.directory
    times = [
        os.stat(os.path.join(directory, f"ran{i}")).st_mtime_ns
        for i in range(10)
    ]
    assert times == sorted(times)


def test_one_worker_runs_one_task_at_a_time(make_executor, make_gate):
    first, second = make_gate(), make_gate()
    executor = make_executor(1)
    executor.submit(first.enter)
    later = executor.submit(second.arrive)
    first.wait_arrived(1)
    assert not later.done()
    assert second.marks("in-") == []
    first.open()
    later.result()
    assert len(second.marks("in-")) == 1


def test_a_pool_may_be_used_inside_a_task(impl, executor):
    package = impl.multiprocessing.__name__
    future = executor.submit(
        tasks.nested_pool, package, "fork", list(range(10))
    )
    assert future.result() == [n * n for n in range(10)]


def test_the_processes_can_be_seen(executor):
    executor.submit(pid).result()
    processes = executor._processes
    assert executor.submit(pid).result() in processes
    assert all(process.is_alive() for process in processes.values())


@only_pyconc
@all_methods
@pytest.mark.parametrize("end", ["terminate_workers", "kill_workers"])
def test_ending_the_workers_ends_the_tasks(impl, make_executor, gate, end):
    executor = make_executor(2)
    running = [executor.submit(gate.enter) for _ in range(2)]
    queued = [executor.submit(square, i) for i in range(10)]
    gate.wait_arrived(2)
    pids = gate.arrived_pids()
    getattr(executor, end)()
    for future in running:
        with pytest.raises(impl.process.BrokenProcessPool):
            future.result(30)
    for future in queued:
        with pytest.raises(
            (impl.process.BrokenProcessPool, impl.futures.CancelledError)
        ):
            future.result(30)
    with pytest.raises(RuntimeError):
        executor.submit(square, 1)
    eventually(lambda: not any(os.path.exists(f"/proc/{p}") for p in pids))


@only_pyconc
@pytest.mark.parametrize("end", ["terminate_workers", "kill_workers"])
def test_ending_the_workers_of_an_unused_executor(make_executor, end):
    executor = make_executor(2)
    getattr(executor, end)()
    with pytest.raises(RuntimeError):
        executor.submit(square, 1)
    getattr(executor, end)()


def test_gates_are_known_to_both_sides(executor, gate):
    # the other tests lean on this
    assert executor.submit(Gate.has, gate, "nothing").result() is False
