"""The interpreter ends, or forks, while tasks wait for their time."""

import gc
import textwrap
import threading
import time

import pytest

from pyconc.futures import ScheduledThreadPoolExecutor
from support.children import in_forked_child
from support.errors import catch
from support.polling import eventually
from support.scripts import run_source
from support.threads import Hold

LONG = 1000

PREAMBLE = """
import atexit, gc, os, signal, sys, threading, time, warnings
from pyconc.futures import ScheduledThreadPoolExecutor, ThreadPoolExecutor

warnings.simplefilter("ignore", DeprecationWarning)  # of os.fork()
ran = []
started = threading.Event()


def run():
    ran.append(1)
    started.set()


"""


def script_says(tmp_path, source):
    run = run_source(tmp_path, PREAMBLE + textwrap.dedent(source))
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    return run.stdout


# --- the interpreter's exit ------------------------------------------------


@pytest.mark.parametrize("options", ["", "daemon=True", "exit_timeout=0.1"])
def test_nothing_keeps_the_interpreter_from_its_end(tmp_path, options):
    out = script_says(
        tmp_path,
        f"""
        executor = ScheduledThreadPoolExecutor(2, {options})
        late = executor.schedule(1000, run)
        rate = executor.schedule_at_fixed_rate(0, 0.001, run)
        delay = executor.schedule_with_fixed_delay(0, 0.001, run)
        for future in (late, rate, delay):
            future.add_done_callback(
                lambda f: os.write(1, b"%d\\n" % f.cancelled())
            )
        started.wait()
        """,
    )
    # A daemon that cancels a task may not get to the callback any more.
    assert out == "1\n" * 3 or (options and out in ("1\n", "1\n" * 2))


def test_a_run_under_way_is_finished(tmp_path):
    out = script_says(
        tmp_path,
        """
        def slow():
            if started.is_set():
                return  # main may be late
            started.set()
            time.sleep(0.2)
            print("done")

        executor = ScheduledThreadPoolExecutor(2)
        executor.schedule_at_fixed_rate(0, 0.001, slow)
        started.wait()
        """,
    )
    assert out == "done\n"


def test_after_a_shutdown_that_did_not_wait(tmp_path):
    out = script_says(
        tmp_path,
        """
        executor = ScheduledThreadPoolExecutor(2)
        late = executor.schedule(1000, run)
        soon = executor.schedule(0, print, "soon")
        executor.shutdown(wait=False)
        soon.result()
        atexit.register(lambda: print(late))
        """,
    )
    assert out.startswith("soon\n") and "cancelled" in out


def test_a_dropped_executor_at_exit(tmp_path):
    out = script_says(
        tmp_path,
        """
        ScheduledThreadPoolExecutor(2).schedule_at_fixed_rate(0, 0.001, run)
        started.wait()
        gc.collect()
        started.clear()
        started.wait()
        print("ran")
        """,
    )
    assert out == "ran\n"


@pytest.mark.parametrize("used", [False, True])
def test_scheduling_at_exit_is_refused(tmp_path, used):
    out = script_says(
        tmp_path,
        f"""
        executor = ScheduledThreadPoolExecutor(2)
        if {used}:
            executor.schedule(0, run).result()

        def late():
            for method, times in [("schedule", [0]),
                                  ("schedule_at_fixed_rate", [0, 1])]:
                try:
                    getattr(executor, method)(*times, print, "never")
                except RuntimeError as error:
                    print(error)

        atexit.register(late)
        """,
    )
    assert out.count("cannot schedule new futures after") == 2
    assert "never" not in out


@pytest.mark.parametrize(
    "end", ["os._exit(0)", "sys.exit()", "os.kill(os.getpid(), signal.SIGINT)"]
)
def test_other_ends(tmp_path, end):
    run = run_source(
        tmp_path,
        PREAMBLE
        + textwrap.dedent(
            f"""
            executor = ScheduledThreadPoolExecutor(2)
            for _ in range(1000):
                executor.schedule(1000, run)
                executor.schedule_at_fixed_rate(0, 0.001, run)
            started.wait()
            {end}
            time.sleep(600)
            """
        ),
    )
    assert "Fatal" not in run.stderr
    assert run.returncode in (0, -2, 130)


def test_sleeping_threads_of_a_daemon_meet_the_end(tmp_path):
    script_says(
        tmp_path,
        """
        executors = [
            ScheduledThreadPoolExecutor(1, daemon=True) for _ in range(20)
        ]
        for executor in executors:
            executor.schedule_at_fixed_rate(0, 0.0001, run)
            executor.schedule_at_fixed_rate(0, 0.0001, time.sleep, 0)
        started.wait()
        """,
    )


# --- fork ------------------------------------------------------------------


@pytest.fixture
def busy():
    """An executor with something in each state, and its futures."""
    hold = Hold()
    with ScheduledThreadPoolExecutor(2) as executor:
        scheduled = [
            executor.schedule(LONG, abs, -1),
            executor.schedule_at_fixed_rate(LONG, 1, abs, -2),
            executor.schedule_at_fixed_rate(0, LONG, hold),  # runs
            executor.schedule(0, hold),  # runs
        ]
        hold.wait_running(2)
        scheduled.append(executor.schedule(0, abs, -3))  # queued
        scheduled.append(executor.schedule_at_fixed_rate(0, LONG, abs, -4))
        eventually(lambda: executor._engine.queued == 2)
        try:
            yield executor, scheduled
        finally:
            hold.let_go.set()
        # the parent is not disturbed
        assert scheduled[4].result(20) == 3
        eventually(lambda: executor._engine.timers == 4)
        assert executor.schedule(0, abs, -5).result(20) == 5
        assert scheduled[0].cancel()


def test_the_executor_is_empty_and_usable_in_a_child(busy):
    executor, _ = busy

    def child():
        ran = []
        assert executor._engine.timers == 0
        once = executor.schedule(0.01, abs, -5).result(20)
        again = executor.schedule_at_fixed_rate(0, 0.001, ran.append, 1)
        eventually(lambda: len(ran) > 3)
        assert again.cancel()
        executor.shutdown()
        return once

    text, code = in_forked_child(child)
    assert code == 0, text
    assert text == "5"


def test_what_was_scheduled_raises_in_a_child(busy):
    _, scheduled = busy

    def child():
        errors = [catch(future.result) for future in scheduled]
        return {type(error).__name__ for error in errors}, [
            future.cancel() for future in scheduled
        ]

    text, code = in_forked_child(child)
    assert code == 0, text
    assert text == f"({{'RuntimeError'}}, {[False] * len(scheduled)})"


def test_timers_fire_in_the_parent_only(tmp_path):
    mark = tmp_path / "mark"

    def fire():
        with open(mark, "a") as file:
            file.write("x")

    with ScheduledThreadPoolExecutor(1) as executor:
        future = executor.schedule(0.1, fire)

        def child():
            executor.schedule(0.3, abs, 1).result(20)

        text, code = in_forked_child(child)
        assert code == 0, text
        future.result(20)
    assert mark.read_text() == "x"


def test_a_run_forks(tmp_path):
    out = script_says(
        tmp_path,
        """
        pids = []

        def fork():
            pid = os.fork()
            if pid == 0:
                started.set()
                return  # and the thread ends
            pids.append(pid)
            if len(pids) == 3:
                raise KeyError("enough")

        executor = ScheduledThreadPoolExecutor(1)
        me = os.getpid()
        future = executor.schedule_at_fixed_rate(0, 0.001, fork)
        try:
            future.result()
        except KeyError:
            for pid in pids:
                print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """,
    )
    assert out == "0\n" * 3


def test_a_child_ends_as_usual(tmp_path):
    out = script_says(
        tmp_path,
        """
        executor = ScheduledThreadPoolExecutor(1)
        executor.schedule_at_fixed_rate(0, 0.001, run)
        late = executor.schedule(1000, run)
        started.wait()
        pid = os.fork()
        if pid == 0:
            executor.schedule(0.01, print, "child", flush=True).result()
        else:
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """,
    )
    assert out == "child\n0\n"


# --- signals, finalizers, many threads -------------------------------------


def test_from_signal_handlers(tmp_path):
    script_says(
        tmp_path,
        """
        executor = ScheduledThreadPoolExecutor(2)
        pending = []

        def handler(*_):
            pending.append(executor.schedule(1000, run))
            pending.append(executor.schedule_at_fixed_rate(1000, 1, run))
            if len(pending) > 10:
                assert pending.pop(0).cancel()

        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        end = time.monotonic() + 1
        while time.monotonic() < end:
            executor.schedule(1000, run).cancel()
            executor.schedule_at_fixed_rate(1000, 1, run).cancel()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)  # the last one, too
        assert executor._engine.timers == len(pending)
        executor.shutdown(cancel_futures=True)
        """,
    )


def test_from_finalizers():
    class Last:
        def __init__(self, executor):
            self.executor = executor
            self.cycle = self

        def __del__(self):
            self.executor.schedule(LONG, abs, 1).cancel()
            self.executor.schedule_at_fixed_rate(LONG, 1, abs, 1).cancel()

    with ScheduledThreadPoolExecutor(1) as executor:
        for _ in range(20_000):
            Last(executor)
            executor.schedule(LONG, abs, 1).cancel()
            executor.schedule_at_fixed_rate(LONG, 1, abs, 1).cancel()
        gc.collect()
        assert executor._engine.timers == 0


def test_many_threads_schedule_and_cancel(rng):
    executor = ScheduledThreadPoolExecutor(4)
    seeds = [rng.random() for _ in range(4)]
    trouble = []
    kept = []

    def work(seed):
        import random

        source = random.Random(seed)
        mine = []
        try:
            for _ in range(3000):
                choice = source.random()
                delay = source.choice([0, 0.0005, 0.002, LONG])
                if choice < 0.5:
                    mine.append(executor.schedule(delay, abs, -1))
                elif choice < 0.6:
                    mine.append(executor.schedule_at_fixed_rate(delay, 0.001, abs, -1))
                elif mine:
                    mine.pop(source.randrange(len(mine))).cancel()
        except BaseException as error:
            trouble.append(error)
        kept.extend(mine)

    threads = [threading.Thread(target=work, args=(s,)) for s in seeds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert trouble == []
    executor.shutdown(cancel_futures=True)
    assert executor._engine.timers == 0
    assert all(f.cancelled() or f.result() == 1 for f in kept)


def test_shutdown_while_others_schedule():
    for _ in range(20):
        executor = ScheduledThreadPoolExecutor(2)
        made = []

        def work(executor=executor, made=made):
            try:
                while True:
                    made.append(executor.schedule(0.001, abs, -1))
                    made.append(executor.schedule_at_fixed_rate(0, 0.001, abs, 1))
                    time.sleep(0)
            except RuntimeError:
                pass

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        eventually(lambda made=made: len(made) > 20)
        executor.shutdown()
        for thread in threads:
            thread.join()
        assert all(future.done() for future in made)
        assert executor._engine.timers == 0
