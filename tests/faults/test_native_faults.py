"""C functions on threads of pools: signals, forks, exits, hostile arguments.

PYCONC_NATIVE_ROUNDS says how often each end and each fork is tried.
"""

import ctypes
import os

import pytest

from pyconc import native
from pyconc.futures import ThreadPoolExecutor
from support import kernels
from support.scripts import run_script

ROUNDS = int(os.environ.get("PYCONC_NATIVE_ROUNDS", "3"))
LONG = 60

PREAMBLE = """
import array
import ctypes
import os
import random
import signal
import sys
import threading
import time
import warnings
from concurrent.futures import TimeoutError as FutureTimeout

from pyconc.futures import CancelledError, ThreadPoolExecutor, wait
from pyconc.native import map as native_map
from pyconc.native import parallel_for

# of os.fork() with threads about
warnings.simplefilter("ignore", DeprecationWarning)
RANGE = [ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
range_callback = ctypes.CFUNCTYPE(None, *RANGE)
c = ctypes.CDLL(sys.argv[1])
for kernel in (c.slow, c.tally):
    kernel.argtypes, kernel.restype = RANGE, None
c.nap.argtypes, c.nap.restype = [ctypes.c_int64], ctypes.c_int64
c.add.argtypes, c.add.restype = [ctypes.c_double] * 2, ctypes.c_double
sums = (ctypes.c_int64 * 4)()


def started(executor):
    "Let all threads of the executor have begun, and be idle."
    count = executor._max_workers
    barrier = threading.Barrier(count)
    wait([executor.submit(barrier.wait, 20) for _ in range(count)])
    while executor._engine.idle < count:
        time.sleep(0.001)
    return executor


def signal_at_work(number=signal.SIGUSR1):
    "Send a signal when a part of the range has been done."

    def send():
        while not sums[0]:
            time.sleep(0.001)
        os.kill(os.getpid(), number)

    threading.Thread(target=send, daemon=True).start()


def signal_after(seconds, number=signal.SIGUSR1):
    threading.Timer(seconds, os.kill, (os.getpid(), number)).start()


class Raised(Exception):
    pass


def throw(*_):
    raise Raised


def end_of(pid):
    "The status of a child, which has 15 seconds."
    for _ in range(1500):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return status
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "hangs"
"""


@pytest.fixture
def run(tmp_path):
    """Run a script to its end; return the lines that it printed."""

    def run(source, *args, library=None):
        library = library or kernels.compiled()
        path = tmp_path / "script.py"
        path.write_text(PREAMBLE + source)
        ended = run_script(path, library, *args, timeout=LONG)
        assert (ended.returncode, ended.stderr) == (0, "")
        return ended.stdout.split("\n")[:-1]

    return run


# --- signals -----------------------------------------------------------------


def test_an_interrupt_ends_a_range(run):
    out = run("""
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    signal_at_work(signal.SIGINT)
    parallel_for(c.slow, 10**7, sums, grain=1, executor=ThreadPoolExecutor(4))
except KeyboardInterrupt:
    done = sums[0]
    time.sleep(0.1)
    print(0 < done < 10**6, done == sums[0])
""")
    assert out == ["True True"]


DEAR_LATER = """
void dear_later(int64_t begin, int64_t end, void *context)
{ int64_t *x = context; for (int64_t i = begin; i < end; i++) if (i >= 100000) {
      usleep(20000); __atomic_add_fetch(&x[0], 1, __ATOMIC_SEQ_CST); } }
"""


def test_an_interrupt_waits_for_one_call_of_a_thread(run, monkeypatch, tmp_path):
    """Whatever came before: cheap calls, of which it takes many at a time."""
    path = tmp_path / "more.c"
    path.write_text(kernels.SOURCE.read_text() + DEAR_LATER)
    monkeypatch.setattr(kernels, "SOURCE", path)
    library = kernels.compiled.__wrapped__()
    out = run(
        """
c.dear_later.argtypes, c.dear_later.restype = RANGE, None


def interrupt(*_):
    sums[1] = sums[0]
    raise KeyboardInterrupt


signal.signal(signal.SIGINT, interrupt)
try:
    signal_at_work(signal.SIGINT)
    parallel_for(
        c.dear_later, 10**6, sums, grain=1, executor=ThreadPoolExecutor(2)
    )
except KeyboardInterrupt:
    # The one of each that was under way; more on a busy machine.
    dear = sums[0] - sums[1]
    print("few" if dear < 200 else dear)
""",
        library=library,
    )
    assert out == ["few"]


@pytest.mark.parametrize("waiting", ["range", "result", "result, timeout"])
@pytest.mark.parametrize("doing", ["shutdown", "result", "another thread"])
def test_a_handler_waits_for_what_the_wait_is_for(run, waiting, doing):
    """Who waits in a signal handler is not there to do anything else."""
    out = run(
        """
executor = started(ThreadPoolExecutor(2))


def handler(*_):
    if doing == "shutdown":
        executor.shutdown()
    elif doing == "result":
        assert future.result() == 2_000_000
    else:
        helper = threading.Thread(target=future.result)
        helper.start()
        helper.join()
    print("handled", flush=True)


waiting, doing = sys.argv[2:]
signal.signal(signal.SIGUSR1, handler)
future = executor.submit_native(c.nap, 2_000_000)
if waiting == "range":
    signal_at_work()
    parallel_for(c.slow, 3000, sums, grain=1, executor=executor)
    print(sums[0] == 3000)
else:
    signal_after(0.2)
    print(future.result(20 if "timeout" in waiting else None) == 2_000_000)
executor.shutdown()
""",
        waiting,
        doing,
    )
    assert out == ["handled", "True"]


def test_handlers_that_raise_in_a_storm(run):
    out = run("""
armed = []


def throw_if_armed(*_):
    if armed:
        armed.clear()
        raise Raised


signal.signal(signal.SIGUSR1, throw_if_armed)
executor = started(ThreadPoolExecutor(3))
rng = random.Random(1)
end = time.monotonic() + 3
me = threading.main_thread().ident


def storm():
    while time.monotonic() < end:
        time.sleep(rng.choice([0.0005, 0.001, 0.005]))
        signal.pthread_kill(me, signal.SIGUSR1)


def turn():
    total = (ctypes.c_int64 * 4)()
    futures = [executor.submit_native(c.nap, 100) for _ in range(3)]
    futures.append(executor.submit(abs, -100))
    try:
        parallel_for(c.tally, 5000, total, grain=1, executor=executor)
        assert total[0] == 5000
    except Raised:
        before = total[0]
        time.sleep(0.0001)
        assert total[0] == before
    for future in futures:
        assert future.result() == 100


sender = threading.Thread(target=storm)
sender.start()
interrupted = 0
while time.monotonic() < end:
    try:
        armed.append(1)
        turn()
        armed.clear()
    except Raised:
        interrupted += 1
sender.join()
executor.shutdown()
print(interrupted > 10)
""")
    assert out == ["True"]


# --- everything at once ------------------------------------------------------


def test_no_worker_is_lost_among_errands_and_tasks(run):
    out = run(
        """
executor = started(ThreadPoolExecutor(4))
rng = random.Random(1)
total = (ctypes.c_int64 * 4)()


def turn():
    way = rng.randrange(3)
    if way == 0:
        parallel_for(c.tally, 2, total, grain=1, executor=executor)
    futures = [executor.submit_native(c.add, 1, 2) for _ in range(rng.randint(1, 4))]
    if way == 1:
        assert {f.result() for f in futures} == {3}
    futures += [executor.submit(sum, (1, 2)) for _ in range(rng.randrange(6))]
    assert {f.result() for f in futures} == {3}


for _ in range(int(sys.argv[2])):
    for _ in range(200):
        turn()
    end = time.monotonic() + 10
    while executor._engine.idle < 4:
        assert time.monotonic() < end, executor._engine.idle
        time.sleep(0.001)
executor.shutdown()
print("none")
""",
        80 * ROUNDS,
    )
    assert out == ["none"]


@pytest.mark.parametrize("idle_timeout", ["None", "0.0005"])
def test_calls_ranges_and_tasks_of_several_threads(run, idle_timeout):
    """No worker is lost: they all end in the end."""
    out = run(
        """
executor = ThreadPoolExecutor(4, idle_timeout=eval(sys.argv[2]))
called = []


def look_at(future, rng):
    way = rng.randrange(6)
    if way == 0 and future.cancel():
        return True
    if way == 1:
        future.add_done_callback(called.append)
    elif way == 2:
        try:
            future.result(rng.choice([0, 1e-6, 1e-4]))
        except FutureTimeout:
            return False
    elif way == 3:
        wait([future], timeout=rng.choice([None, 0, 1e-5]))
    elif way == 4:
        return False
    return future.result() == 3


def work(seed):
    rng = random.Random(seed)
    futures = []
    for _ in range(int(sys.argv[3])):
        kind = rng.randrange(7)
        if kind < 2:
            futures.append(executor.submit_native(c.add, 1, 2))
        elif kind == 2:
            futures.append(executor.submit_native(c.nap, 3))
        elif kind < 4:
            futures.append(executor.submit(sum, (1, 2)))
        elif kind == 4 and rng.random() < 0.3:
            total = (ctypes.c_int64 * 4)()
            grain = rng.choice([None, 1, 100])
            parallel_for(c.tally, 9999, total, grain=grain, executor=executor)
            assert total[0] == 9999
        elif futures:
            index = rng.randrange(len(futures))
            if look_at(futures[index], rng):
                del futures[index]
    assert all(f.cancelled() or f.result() == 3 for f in futures)
    ended.append(seed)


ended = []
threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
executor.shutdown()
print(sorted(ended))
""",
        idle_timeout,
        4000 * ROUNDS,
    )
    assert out == ["[0, 1, 2, 3]"]


# --- who is not there to be given back ---------------------------------------


def test_ranges_that_wait_for_tasks_of_their_own_pool(run):
    """The helpers have nothing more to do: they run the tasks."""
    out = run("""
executor = started(ThreadPoolExecutor(2))
meeting = threading.Barrier(2)


def host():
    me, came = threading.get_ident(), []

    def part(begin, end, context):
        if threading.get_ident() != me:
            time.sleep(0.3)  # the other part is the host's
        elif not came:
            came.append(1)
            time.sleep(0.6)  # the helper has done its part by then
            meeting.wait(20)
            time.sleep(0.1)
            ran.append(executor.submit(abs, -5).result())

    parallel_for(range_callback(part), 2, grain=1, executor=executor)


ran = []
hosts = [threading.Thread(target=host) for _ in range(2)]
for thread in hosts:
    thread.start()
for thread in hosts:
    thread.join()
executor.shutdown()
print(set(ran))
""")
    assert out == ["{5}"]


def test_a_range_shuts_its_executor_down(run):
    out = run("""
executor = started(ThreadPoolExecutor(2))
me = threading.get_ident()
ran = []


def part(begin, end, context):
    if threading.get_ident() == me and not ran:
        ran.append(1)
        executor.shutdown()
    else:
        time.sleep(0.01)


parallel_for(range_callback(part), 10, grain=1, executor=executor)
print("returned")
""")
    assert out == ["returned"]


def test_a_range_of_a_broken_executor(run):
    out = run("""
import logging

logging.disable()


def fail():
    raise OSError


for _ in range(2):
    executor = ThreadPoolExecutor(3, initializer=fail)
    for _ in range(3):
        try:
            parallel_for(c.tally, 1000, sums, executor=executor)
        except RuntimeError:
            pass
    executor.shutdown()
print("returned", len(executor._threads) <= 3)
""")
    assert out == ["returned True"]


# --- forks -------------------------------------------------------------------


def test_forks_while_native_work_runs(run):
    out = run(
        """
executor = started(ThreadPoolExecutor(3))
stop = []


def work():
    totals = (ctypes.c_int64 * 4)()
    while not stop:
        parallel_for(c.slow, 8, totals, grain=1, executor=executor)
        parallel_for(c.tally, 1000, totals)
        futures = [executor.submit_native(c.nap, 300) for _ in range(3)]
        assert [f.result() for f in futures] == [300] * 3


def child():
    try:
        future.result()
    except RuntimeError:
        pass
    for kwds in ({}, {"executor": executor}):
        totals = (ctypes.c_int64 * 4)()
        parallel_for(c.tally, 1000, totals, **kwds)
        assert totals[0] == 1000
    assert executor.submit_native(c.add, 1, 2).result() == 3
    executor.shutdown()


threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads:
    thread.start()
statuses = set()
for _ in range(int(sys.argv[2])):
    future = executor.submit_native(c.nap, 2000)
    pid = os.fork()
    if pid == 0:
        try:
            child()
        except BaseException as error:
            sys.stderr.write(repr(error))
            os._exit(9)
        os._exit(0)
    statuses.add(end_of(pid))
stop.append(1)
for thread in threads:
    thread.join()
executor.shutdown()
print(statuses)
""",
        10 * ROUNDS,
    )
    assert out == ["{0}"]


@pytest.mark.parametrize(
    "where", ["task", "call", "call, nobody waits", "helper", "host", "handler"]
)
def test_a_fork_in_native_work_returns_in_the_child(run, where):
    """As from a task: it ends with what its thread does, or says why not."""
    out = run(
        """
where = sys.argv[2]
executor = started(ThreadPoolExecutor(4))
parent = os.getpid()
main = threading.get_ident()
children = []
first = threading.Lock()


def fork(*_):
    pid = os.fork()
    if pid:
        children.append(pid)
    return 7


def part(begin, end, context):
    if os.getpid() == parent:
        here = (threading.get_ident() == main) == (where == "host")
        if here and first.acquire(blocking=False):
            fork()
    time.sleep(0.02)


def wait_for_it():
    if where == "task":
        return executor.submit(fork).result()
    if where.startswith("call"):
        call = ctypes.CFUNCTYPE(ctypes.c_int64)(fork)
        future = executor.submit_native(call)
        while "nobody" in where and not future.done():
            time.sleep(0.01)
        return future.result()
    if where == "handler":
        signal.signal(signal.SIGUSR1, fork)
        signal_at_work()
        return parallel_for(c.slow, 3000, sums, grain=1, executor=executor)
    return parallel_for(range_callback(part), 20, grain=1, executor=executor)


try:
    wait_for_it()
    assert os.getpid() == parent
except RuntimeError:
    assert os.getpid() != parent
    parallel_for(c.tally, 1000, (ctypes.c_int64 * 4)(), executor=executor)
    assert executor.submit(abs, -3).result() == 3
    os._exit(0)
print(*map(end_of, children))
""",
        where,
    )
    assert out == ["0"]


# --- ends --------------------------------------------------------------------

END = """
mode = sys.argv[2]
options = {"daemon": {"daemon": True}, "timeout": {"exit_timeout": 0.02}}
executor = started(ThreadPoolExecutor(2, **options.get(mode, {})))
parts = []
ended = (RuntimeError, CancelledError)


def forever(function):
    def run():
        try:
            while True:
                function()
        except ended:
            pass

    return run


@forever
def host():
    parallel_for(c.slow, 20, sums, grain=1, executor=executor)


@forever
def python_host():
    parallel_for(range_callback(lambda *_: parts.append(1)), 9, executor=executor)


@forever
def caller():
    for future in [executor.submit_native(c.nap, 300) for _ in range(3)]:
        future.result()


for target in (host, python_host, caller):
    threading.Thread(target=target, daemon=True).start()
threading.Thread(target=caller).start()
futures = [executor.submit_native(c.nap, 20_000) for _ in range(4)]
time.sleep(int(sys.argv[3]) * 0.004)
"""


@pytest.mark.parametrize("mode", ["plain", "daemon", "timeout"])
def test_the_interpreter_ends_amid_native_work(run, mode):
    for turn in range(ROUNDS):
        assert run(END, mode, turn % 5) == []


@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize("cancel", [True, False])
def test_shutdown_amid_native_work(run, wait, cancel):
    out = run(
        """
options = {"wait": sys.argv[2] == "True", "cancel_futures": sys.argv[3] == "True"}
for turn in range(int(sys.argv[4])):
    executor = started(ThreadPoolExecutor(2))
    totals = (ctypes.c_int64 * 4)()
    host = threading.Thread(
        target=parallel_for,
        args=(c.slow, 20, totals),
        kwargs={"grain": 1, "executor": executor},
    )
    host.start()
    while not totals[0]:
        time.sleep(0.0001)
    futures = [executor.submit_native(c.nap, 3000) for _ in range(4)]
    executor.shutdown(**options)
    host.join()
    done = {"cancelled" if f.cancelled() else f.result(20) for f in futures}
    assert done <= {3000, "cancelled"}, done
    assert totals[0] == 20
    executor.shutdown()
print("returned")
""",
        wait,
        cancel,
        3 * ROUNDS,
    )
    assert out == ["returned"]


# --- arguments ---------------------------------------------------------------


@pytest.fixture
def c():
    return kernels.load()


def test_the_types_change_while_they_are_looked_at(run):
    out = run("""
function = c.add
executor = started(ThreadPoolExecutor(1))


class Kind(type(ctypes.c_double)):
    def __hash__(self):
        function.argtypes = []
        return 1


class Real(ctypes.c_double, metaclass=Kind):
    pass


function.argtypes = [Real, Real]
try:
    print(executor.submit_native(function, 1, 2).result() == 3)
except TypeError:
    print(True)
function.argtypes = [ctypes.c_double] * 2
print(executor.submit_native(function, 1, 2).result() == 3)
executor.shutdown()
""")
    assert out == ["True", "True"]


class Spoilt:
    def __getattribute__(self, name):
        if name == "__class__":
            raise ZeroDivisionError
        return object.__getattribute__(self, name)


class Truthless(int):
    def __bool__(self):
        raise ZeroDivisionError


def test_objects_that_raise_when_they_are_looked_at(c):
    with ThreadPoolExecutor(1) as executor:
        executor.submit(abs, 1).result(LONG)
        with pytest.raises((TypeError, ZeroDivisionError)):
            executor.submit_native(Spoilt())
        with pytest.raises(ZeroDivisionError):
            executor.submit_native(c.flip, Truthless(3)).result(LONG)
        assert executor.submit_native(c.add, 1, 2).result(LONG) == 3


def test_an_object_that_says_it_is_a_function(run):
    out = run("""
class Pretender(bytearray):
    argtypes = ()
    restype = errcheck = None
    _flags_ = 1
    __class__ = property(lambda self: ctypes._CFuncPtr)


executor = started(ThreadPoolExecutor(1))
try:
    executor.submit_native(Pretender(bytes(8)))
except TypeError:
    print("refused")
executor.shutdown()
""")
    assert out == ["refused"]


def test_arguments_that_shut_the_executor_down(c):
    executor = ThreadPoolExecutor(2)

    class Pointer(ctypes.c_void_p):
        @classmethod
        def from_param(cls, value):
            executor.shutdown()
            return None

    class Number:
        def __index__(self):
            executor.shutdown()
            return 10

    c.length.argtypes = [Pointer]
    with pytest.raises(RuntimeError):
        executor.submit_native(c.length, 1)
    executor = ThreadPoolExecutor(2)
    sums = (ctypes.c_int64 * 4)()
    with pytest.raises(RuntimeError):
        native.parallel_for(c.tally, Number(), sums, executor=executor)
    assert list(sums) == [0] * 4
