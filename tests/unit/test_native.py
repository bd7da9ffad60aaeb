"""pyconc.native and submit_native: what they compute, what they refuse."""

import array
import asyncio
import concurrent.futures
import ctypes
import struct
import sys
import threading
import time

import pytest

from pyconc import native
from pyconc.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed, wait
from support import kernels
from support.kernels import RANGE, Gate

LONG = 30
RANGE_TYPE = ctypes.CFUNCTYPE(None, *RANGE)


@pytest.fixture
def c():
    return kernels.load()


@pytest.fixture
def executor():
    with ThreadPoolExecutor(2) as executor:
        yield executor


def until(condition):
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def idle_thread(executor):
    """Let the executor have a thread that does nothing."""
    assert executor.submit(abs, -1).result(LONG) == 1
    until(lambda: executor._engine.idle)


# --- submit_native -----------------------------------------------------------

CALLS = [
    ("add", (1, 2.5), 3.5),
    ("add", (1e308, 1e308), float("inf")),
    ("halve", (3,), 1.5),
    ("narrow", (126,), 127),
    ("narrow", (127,), -128),
    ("wrap", (255,), 0),
    ("subtract", (-5, 2**31 - 10), -(2**31) + 5),
    ("largest", (), 2**64 - 1),
    ("flip", (True,), False),
    ("flip", (0,), True),
    ("mixed", (-1, 0.5, 0.25, 2**40, 255, -3), 2**40 + 251.75 - 0.0),
    ("many", (1, 2, 3, 4, 5, 6, 7, 8), 204),
    ("note", (1,), None),
    ("length", (b"four",), 4),
    ("length", (None,), 0),
    ("hello", (), b"hello"),
    ("null", (), None),
]


@pytest.mark.parametrize("idle", [False, True])
@pytest.mark.parametrize(("name", "args", "expected"), CALLS)
def test_a_call(c, executor, name, args, expected, idle):
    if idle:
        idle_thread(executor)
    future = executor.submit_native(getattr(c, name), *args)
    result = future.result(LONG)
    assert result == expected
    assert type(result) is type(expected)
    assert isinstance(future, concurrent.futures.Future)
    # ctypes says the same
    assert getattr(c, name)(*args) == expected


def test_pointers(c, executor):
    numbers = (ctypes.c_double * 3)(1, 2, 3)
    for given in (numbers, ctypes.cast(numbers, ctypes.POINTER(ctypes.c_double))):
        assert executor.submit_native(c.total, given, 3).result(LONG) == 6
    one = ctypes.c_double(5)
    assert executor.submit_native(c.total, ctypes.byref(one), 1).result(LONG) == 5
    assert executor.submit_native(c.total, one, 1).result(LONG) == 5
    assert executor.submit_native(c.total, None, 0).result(LONG) == 0
    back = executor.submit_native(c.same, numbers).result(LONG)
    assert back[2] == 3
    c.total.argtypes = [ctypes.c_void_p, ctypes.c_int64]
    address = ctypes.addressof(numbers)
    assert executor.submit_native(c.total, address, 3).result(LONG) == 6
    assert executor.submit_native(c.length, b"x" * 1000).result(LONG) == 1000


def test_numpy_pointers(c, executor):
    numpy = pytest.importorskip("numpy")
    c.total.argtypes = [
        numpy.ctypeslib.ndpointer(numpy.float64, 1, flags="C"),
        ctypes.c_int64,
    ]
    numbers = numpy.arange(10.0)
    assert executor.submit_native(c.total, numbers, 10).result(LONG) == 45
    with pytest.raises(TypeError):
        executor.submit_native(c.total, numpy.arange(10), 10)
    with pytest.raises(TypeError):
        executor.submit_native(c.total, numbers.reshape(2, 5), 10)
    assert executor.submit_native(c.subtract, numpy.int32(5), 2).result(LONG) == 3
    assert executor.submit_native(c.add, numpy.float64(0.5), 2).result(LONG) == 2.5


def test_arguments_live_as_long_as_the_call(c, executor):
    gate = Gate()
    words = gate.words
    future = executor.submit_native(c.wait_at, words)
    before = sys.getrefcount(words)
    until(lambda: gate.inside)
    gate.open()
    assert future.result(LONG) == 1
    until(lambda: sys.getrefcount(words) < before)


def test_results_of_other_types(c, executor):
    class Mine(ctypes.c_int32):
        pass

    c.subtract.restype = Mine
    result = executor.submit_native(c.subtract, 5, 3).result(LONG)
    assert type(result) is Mine
    assert result.value == 2

    class Real(ctypes.c_double):
        pass

    c.add.restype = Real
    assert executor.submit_native(c.add, 5, 3).result(LONG).value == 8
    assert executor.submit_native(c.square, ctypes.c_double(3)).result(LONG) == 9


def test_callbacks_made_by_ctypes_run_python(executor):
    seen = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)
    def twice(number):
        seen.append(threading.current_thread())
        return 2 * number

    assert executor.submit_native(twice, 21).result(LONG) == 42
    assert seen[0] in executor._threads


WRONG_CALLS = [
    ((), TypeError, r"takes 2 argument\(s\) \(0 given\)"),
    ((1, 2, 3), TypeError, r"takes 2 argument\(s\) \(3 given\)"),
    (("1", 2), TypeError, "needs an int, not str"),
    ((1, 2.5), TypeError, "needs an int, not float"),
    ((1, None), TypeError, "needs an int, not NoneType"),
    ((1, 2**31), OverflowError, "argument 2: 2147483648 is out of range"),
    ((-(2**31) - 1, 1), OverflowError, "argument 1: -2147483649 is out of range"),
    ((2**100, 1), OverflowError, "argument 1"),
]


@pytest.mark.parametrize(("args", "error", "text"), WRONG_CALLS)
def test_wrong_arguments(c, executor, args, error, text):
    with pytest.raises(error, match=text):
        executor.submit_native(c.subtract, *args)
    assert executor.submit_native(c.subtract, 3, 1).result(LONG) == 2


def test_wrong_pointers(c, executor):
    for wrong in ("text", 1.5, object(), (ctypes.c_int * 3)(), bytearray(8)):
        with pytest.raises(TypeError):
            executor.submit_native(c.total, wrong, 1)
    with pytest.raises(TypeError):
        executor.submit_native(c.length, "text")


def test_wrong_functions(c, executor):
    undeclared = ctypes.CDLL(str(kernels.compiled())).add
    with pytest.raises(TypeError, match="argtypes"):
        executor.submit_native(undeclared, 1, 2)
    for wrong in (abs, None, 5, "add", object()):
        with pytest.raises(TypeError, match="ctypes function pointer"):
            executor.submit_native(wrong)
    with pytest.raises(TypeError, match="GIL"):
        executor.submit_native(ctypes.pythonapi.PyErr_Clear)
    with pytest.raises(ValueError, match="NULL"):
        executor.submit_native(ctypes.CFUNCTYPE(None)())
    c.add.errcheck = lambda *_: 5
    with pytest.raises(TypeError, match="errcheck"):
        executor.submit_native(c.add, 1, 2)

    class Pair(ctypes.Structure):
        _fields_ = (("a", ctypes.c_int), ("b", ctypes.c_int))

    c.halve.argtypes = [Pair]
    with pytest.raises(TypeError, match="Pair is no C scalar"):
        executor.submit_native(c.halve, Pair())
    c.narrow.restype = Pair
    with pytest.raises(TypeError, match="result is no C scalar"):
        executor.submit_native(c.narrow, 1)
    with pytest.raises(TypeError):
        executor.submit_native()


def test_types_may_be_declared_anew(c, executor):
    assert executor.submit_native(c.subtract, 3, 1).result(LONG) == 2
    c.subtract.argtypes = [ctypes.c_int32]
    with pytest.raises(TypeError, match="takes 1 argument"):
        executor.submit_native(c.subtract, 3, 1)
    c.subtract.argtypes = (ctypes.c_int32, ctypes.c_int32)
    c.subtract.restype = ctypes.c_uint32
    assert executor.submit_native(c.subtract, 1, 2).result(LONG) == 2**32 - 1


def test_after_shutdown(c):
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    with pytest.raises(RuntimeError, match="shutdown"):
        executor.submit_native(c.add, 1, 2)
    with pytest.raises(RuntimeError, match="shutdown"):
        native.parallel_for(c.twice, 1, bytearray(8), executor=executor)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_broken_executor(c):
    executor = ThreadPoolExecutor(2, initializer=lambda: 1 / 0)
    with pytest.raises(concurrent.futures.BrokenExecutor):
        while True:
            # Which starts a thread: a range needs none where there is one CPU.
            executor.submit_native(c.add, 1, 2)
            native.parallel_for(c.count, 10, bytearray(10), executor=executor)
    with pytest.raises(concurrent.futures.BrokenExecutor):
        executor.submit_native(c.add, 1, 2)
    executor.shutdown()


def test_other_executors(c):
    with ProcessPoolExecutor(1) as executor:
        with pytest.raises(TypeError, match="ThreadPoolExecutor"):
            native.parallel_for(c.twice, 1, executor=executor)
        assert not hasattr(executor, "submit_native")
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        with pytest.raises(TypeError, match="ThreadPoolExecutor"):
            native.parallel_for(c.twice, 1, executor=executor)


def test_it_runs_in_the_threads_of_the_executor(c, executor):
    idents = {executor.submit_native(c.thread).result(LONG) for _ in range(50)}
    assert idents <= {thread.ident for thread in executor._threads}


def test_no_more_run_than_there_are_threads(c, executor):
    gate = Gate()
    futures = [executor.submit_native(c.wait_at, gate.words) for _ in range(5)]
    until(lambda: gate.inside == 2)
    assert futures[4].cancel()
    assert not futures[0].cancel()
    assert [future.running() for future in futures] == [True, True, False, False, False]
    gate.open()
    done, _ = wait(futures, LONG)
    assert len(done) == 5
    assert all(f.result() == 1 for f in futures[:4])


def test_between_other_tasks(c, executor):
    futures = []
    for number in range(300):
        futures.append(executor.submit_native(c.nap, number % 3))
        futures.append(executor.submit(pow, number, 2))
    assert [f.result(LONG) for f in futures[1::2]] == [n * n for n in range(300)]
    assert [f.result(LONG) for f in futures[::2]] == [n % 3 for n in range(300)]


def test_as_completed_and_wait(c, executor):
    futures = [executor.submit_native(c.nap, n) for n in range(100)]
    assert sorted(f.result() for f in as_completed(futures, LONG)) == list(range(100))
    futures = [executor.submit_native(c.nap, n) for n in range(100)]
    done, missing = concurrent.futures.wait(futures, LONG)
    assert (len(done), len(missing)) == (100, 0)


@pytest.mark.parametrize("idle", [False, True])
def test_callbacks(c, executor, idle):
    if idle:
        idle_thread(executor)
    gate, called = Gate(), threading.Event()
    future = executor.submit_native(c.wait_at, gate.words)
    future.add_done_callback(lambda f: called.set())
    gate.open()
    assert called.wait(LONG)
    assert future.result() == 1


def test_nobody_waits_for_it(c, executor):
    idle_thread(executor)
    future = executor.submit_native(c.note, 77)
    until(future.done)
    assert c.get_noted() == 77
    assert executor.submit(abs, -3).result(LONG) == 3


@pytest.mark.parametrize("timeout", [0, 0.01])
def test_a_wait_that_times_out(c, executor, timeout):
    idle_thread(executor)
    gate = Gate()
    future = executor.submit_native(c.wait_at, gate.words)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            future.result(timeout)
    gate.open()
    assert future.result(LONG) == 1
    assert executor.submit(abs, -3).result(LONG) == 3


def test_many_wait_for_one(c, executor):
    idle_thread(executor)
    gate, results = Gate(), []
    future = executor.submit_native(c.wait_at, gate.words)
    threads = [
        threading.Thread(target=lambda: results.append(future.result(LONG)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    gate.open()
    for thread in threads:
        thread.join(LONG)
    assert results == [1] * 8


def test_await(c, executor):
    async def main():
        one = executor.submit_native(c.add, 1, 2)
        two = asyncio.wrap_future(executor.submit_native(c.add, 3, 4))
        return await one, await two

    assert asyncio.run(main()) == (3, 7)


def test_round_trips(c, executor):
    """Whether the worker or the waiting thread completes it is a race."""
    for number in range(5000):
        future = executor.submit_native(c.subtract, number, 1)
        if number % 7 == 0:
            time.sleep(0)
        if number % 11 == 0:
            assert executor.submit(abs, -number).result(LONG) == number
        assert future.result(LONG) == number - 1
    assert executor._engine.pending == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_user_sets_the_result_first(c, executor):
    idle_thread(executor)
    gate = Gate()
    future = executor.submit_native(c.wait_at, gate.words)
    waiter = threading.Thread(target=lambda: future.result(LONG))
    waiter.start()
    future.set_result("mine")
    waiter.join(LONG)
    assert not waiter.is_alive()
    gate.open()
    until(lambda: executor._engine.pending == 0)
    assert future.result() == "mine"
    assert executor.submit_native(c.add, 1, 2).result(LONG) == 3


# --- parallel_for ------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 2, 7, 1000, 100_000])
@pytest.mark.parametrize("grain", [None, 1, 3, 10**9])
def test_each_index_once(c, n, grain):
    seen = bytearray(n + 8)
    assert native.parallel_for(c.count, n, seen, grain=grain) is None
    assert seen == b"\1" * n + bytes(8)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_with_an_executor(c, workers):
    seen = bytearray(10_000)
    with ThreadPoolExecutor(workers) as executor:
        for _ in range(20):
            native.parallel_for(c.count, 10_000, seen, executor=executor)
        assert executor.submit(abs, -1).result(LONG) == 1
    assert seen == b"\x14" * 10_000


def test_the_grain_is_kept(c):
    sums = array.array("q", [0, 0, 0])
    native.parallel_for(c.tally, 1000, sums, grain=7)
    assert sums[0] == 1000
    assert sums[1] == 143
    assert sums[2] == 7


def test_a_huge_range(c):
    sums = array.array("q", [0, 0, 0])
    native.parallel_for(c.tally, 2**62, sums)
    assert sums[0] == 2**62
    with pytest.raises(OverflowError):
        native.parallel_for(c.tally, 2**62 + 1, sums)


class Meeting(ctypes.Structure):
    _fields_ = (("threads", ctypes.c_int64), ("first", ctypes.c_ulong))


def test_other_threads_take_part(c):
    from pyconc import _core

    if _core.cpus_usable() < 2:
        pytest.skip("one CPU")
    for executor in (None, ThreadPoolExecutor(2)):
        meeting = Meeting()
        native.parallel_for(c.meet, 1000, meeting, grain=1, executor=executor)
        assert meeting.threads == 2
        if executor is not None:
            executor.shutdown()


def test_busy_threads_do_not_hold_it_up(c):
    gate = Gate()
    with ThreadPoolExecutor(2) as executor:
        futures = [executor.submit_native(c.wait_at, gate.words) for _ in range(2)]
        until(lambda: gate.inside == 2)
        seen = bytearray(1000)
        native.parallel_for(c.count, 1000, seen, executor=executor)
        assert seen == b"\1" * 1000
        gate.open()
        assert [f.result(LONG) for f in futures] == [1, 1]


def test_from_several_threads_at_once(c, executor):
    def run(_):
        seen = bytearray(1000)
        for _ in range(50):
            native.parallel_for(c.count, 1000, seen, executor=executor)
        return seen

    with ThreadPoolExecutor(4) as callers:
        assert list(callers.map(run, range(4))) == [bytearray(b"\x32" * 1000)] * 4
    assert executor.submit(abs, -2).result(LONG) == 2


def test_inside_a_task_of_the_same_executor(c, executor):
    def run(n):
        seen = bytearray(n)
        native.parallel_for(c.count, n, seen, executor=executor)
        return set(seen)

    assert list(executor.map(run, [1000] * 50)) == [{1}] * 50


CONTEXTS = {
    "bytearray": lambda: bytearray(struct.pack("4d", 0, 1, 2, 3)),
    "array": lambda: array.array("d", range(4)),
    "memoryview": lambda: memoryview(array.array("d", range(4))),
    "ctypes array": lambda: (ctypes.c_double * 4)(*range(4)),
    "byref": lambda: ctypes.byref((ctypes.c_double * 4)(*range(4))),
    "pointer": lambda: ctypes.pointer((ctypes.c_double * 4)(*range(4))),
    "cast": lambda: ctypes.cast((ctypes.c_double * 4)(*range(4)), ctypes.c_void_p),
}


def doubles(context):
    if isinstance(context, ctypes.c_void_p):
        return list((ctypes.c_double * 4).from_address(context.value))
    if isinstance(context, ctypes._Pointer):
        return list(context.contents)
    if type(context).__name__ == "CArgObject":
        return list(context._obj)
    return list(memoryview(context).cast("B").cast("d"))


@pytest.mark.parametrize("kind", CONTEXTS)
def test_contexts(c, kind):
    context = CONTEXTS[kind]()
    native.parallel_for(c.twice, 4, context)
    assert doubles(context) == [1, 3, 5, 7]


def test_an_address_and_a_scalar(c):
    numbers = (ctypes.c_double * 4)(*range(4))
    native.parallel_for(c.twice, 4, ctypes.addressof(numbers))
    assert list(numbers) == [1, 3, 5, 7]
    one = ctypes.c_double(20)
    native.parallel_for(c.twice, 1, one)
    assert one.value == 41


def test_numpy_contexts(c):
    numpy = pytest.importorskip("numpy")
    numbers = numpy.arange(12.0).reshape(3, 4)
    native.parallel_for(c.twice, 12, numbers)
    assert (numbers == 2 * numpy.arange(12).reshape(3, 4) + 1).all()
    with pytest.raises((BufferError, ValueError)):
        native.parallel_for(c.twice, 6, numbers[:, ::2])


def test_a_buffer_stays_exported():
    numbers, errors = array.array("q", [0]), []
    inside, tried = threading.Event(), threading.Event()

    def work(_begin, _end, address):
        inside.set()
        if tried.wait(LONG):
            ctypes.c_int64.from_address(address).value = 100

    def grow():
        try:
            if inside.wait(LONG):
                numbers.append(1)
        except BufferError as error:
            errors.append(error)
        finally:
            tried.set()

    thread = threading.Thread(target=grow)
    thread.start()
    native.parallel_for(RANGE_TYPE(work), 1, numbers)
    thread.join(LONG)
    assert list(numbers) == [100]
    assert len(errors) == 1
    numbers.append(1)


@pytest.mark.parametrize(
    "wrong", ["text", 1.5, object(), [1, 2], print], ids=lambda x: type(x).__name__
)
def test_wrong_contexts(c, wrong):
    with pytest.raises(TypeError, match="context must be"):
        native.parallel_for(c.twice, 4, wrong)


def test_wrong_numbers(c):
    for n in (-1, -(2**63)):
        with pytest.raises(ValueError, match="n must be"):
            native.parallel_for(c.count, n, bytearray(1))
    for n in (1.5, "1", None):
        with pytest.raises(TypeError):
            native.parallel_for(c.count, n, bytearray(1))
    with pytest.raises(OverflowError):
        native.parallel_for(c.count, 2**70, bytearray(1))
    for grain in (0, -1):
        with pytest.raises(ValueError, match="grain"):
            native.parallel_for(c.count, 1, bytearray(1), grain=grain)
    with pytest.raises(TypeError):
        native.parallel_for(c.count, 1, bytearray(1), grain="1")


def test_wrong_range_functions(c):
    undeclared = ctypes.CDLL(str(kernels.compiled())).count
    with pytest.raises(TypeError, match="declare"):
        native.parallel_for(undeclared, 1)
    for name in ("add", "note", "total"):
        with pytest.raises(TypeError, match="void f"):
            native.parallel_for(getattr(c, name), 1)
    for wrong in (abs, None, 5, "count", (1, 2)):
        with pytest.raises(TypeError, match="C function pointer"):
            native.parallel_for(wrong, 1)
    with pytest.raises(ValueError, match="NULL"):
        native.parallel_for(RANGE_TYPE(), 1)
    with pytest.raises(TypeError, match="GIL"):
        native.parallel_for(ctypes.PYFUNCTYPE(None, *RANGE)(lambda *_: None), 1)


def test_a_ctypes_callback_as_the_function():
    parts = []
    native.parallel_for(RANGE_TYPE(lambda b, e, _: parts.append((b, e))), 100)
    assert sorted(i for b, e in parts for i in range(b, e)) == list(range(100))


# --- map ---------------------------------------------------------------------


def test_map_of_one(c):
    numbers, squares = array.array("d", range(1000)), array.array("d", bytes(8000))
    assert native.map(c.square, numbers, squares) is None
    assert list(squares) == [x * x for x in range(1000)]
    native.map(c.square, (numbers,), numbers, grain=10)
    assert numbers == squares
    data = bytearray(range(256))
    native.map(c.invert, bytes(data), data)
    assert data == bytes(255 - n for n in range(256))
    native.map(c.square, array.array("d"), array.array("d"))


def test_map_of_two(c):
    numbers = array.array("q", range(100))
    weights = array.array("d", [0.5] * 100)
    out = array.array("q", bytes(800))
    native.map(c.weigh, (numbers, weights), out)
    assert list(out) == [int(n * 0.5) for n in range(100)]
    small = array.array("f", [0.5] * 3)
    native.map(c.scale32, (small, array.array("H", [1, 2, 3])), small)
    assert list(small) == [0.5, 1.0, 1.5]


@pytest.mark.parametrize("second", [None, *"bBhHiIqQfd"])
@pytest.mark.parametrize("first", "bBhHiIqQfd")
def test_map_of_every_type(first, second):
    kinds = dict(
        zip(
            "bBhHiIqQfd",
            (
                ctypes.c_int8,
                ctypes.c_uint8,
                ctypes.c_int16,
                ctypes.c_uint16,
                ctypes.c_int32,
                ctypes.c_uint32,
                ctypes.c_int64,
                ctypes.c_uint64,
                ctypes.c_float,
                ctypes.c_double,
            ),
            strict=True,
        )
    )
    inputs = [array.array(first, [1, 2, 3])]
    types = [kinds[first]]
    if second is not None:
        inputs.append(array.array(second, [10, 20, 30]))
        types.append(kinds[second])
    function = ctypes.CFUNCTYPE(kinds[first], *types)(lambda *a: type(a[0])(sum(a)))
    out = array.array(first, [0, 0, 0])
    native.map(function, tuple(inputs), out)
    assert list(out) == ([1, 2, 3] if second is None else [11, 22, 33])


def test_wrong_maps(c):
    numbers, out = array.array("d", range(4)), array.array("d", bytes(32))
    for wrong_in, wrong_out, error, text in (
        (array.array("f", range(4)), out, TypeError, "format 'f'"),
        (array.array("q", range(4)), out, TypeError, "format 'q'"),
        (numbers, array.array("f", range(4)), TypeError, "output: items"),
        (numbers, array.array("d", range(5)), ValueError, "output: the shape"),
        (numbers, bytes(32), BufferError, None),
        (numbers, memoryview(out).toreadonly(), BufferError, None),
        (memoryview(numbers)[::2], out, BufferError, None),
        ([1, 2], out, TypeError, None),
        (numbers, None, TypeError, None),
        ((numbers, numbers), out, TypeError, r"takes 1 array\(s\), not 2"),
        ((), out, TypeError, "takes 1 array"),
    ):
        with pytest.raises(error, match=text):
            native.map(c.square, wrong_in, wrong_out)
    with pytest.raises(ValueError, match="second input: the shape"):
        native.map(c.weigh, (array.array("q", [1]), numbers), array.array("q", [1]))
    for name in ("twice", "note", "total", "largest", "mixed"):
        with pytest.raises(TypeError, match=r"T f\(T\)"):
            native.map(getattr(c, name), numbers, out)
    assert list(out) == [0] * 4


def test_map_of_numpy_arrays(c):
    numpy = pytest.importorskip("numpy")
    numbers = numpy.arange(12.0).reshape(3, 4)
    out = numpy.zeros((3, 4))
    native.map(c.square, numbers, out)
    assert (out == numbers**2).all()
    for wrong in (numpy.zeros(12), numpy.zeros((4, 3)), numpy.zeros((3, 4, 1))):
        with pytest.raises(ValueError, match="shape"):
            native.map(c.square, numbers, wrong)
    with pytest.raises((BufferError, ValueError)):
        native.map(c.square, numbers.T, numpy.zeros((4, 3)))
    with pytest.raises((BufferError, ValueError)):
        out.flags.writeable = False
        native.map(c.square, numbers, out)
    with pytest.raises(TypeError):
        native.map(c.square, numbers.astype(">f8"), numpy.zeros((3, 4)))


# --- pointers of other packages ----------------------------------------------


def test_cffi(c):
    cffi = pytest.importorskip("cffi")
    ffi = cffi.FFI()
    ffi.cdef(
        "void count(int64_t, int64_t, void *); double square(double);"
        "void note(int64_t); int64_t weigh(int64_t x, double w);"
    )
    library = ffi.dlopen(str(kernels.compiled()))
    seen = bytearray(100)
    native.parallel_for(ffi.addressof(library, "count"), 100, seen)
    native.parallel_for(library.count, 100, ffi.from_buffer(seen))
    assert seen == b"\2" * 100
    numbers = ffi.new("double[]", [1, 2, 3])
    native.map(
        library.square,
        array.array("d", list(numbers)),
        out := array.array("d", [0] * 3),
    )
    assert list(out) == [1, 4, 9]
    native.map(
        library.weigh,
        (array.array("q", [4]), array.array("d", [0.5])),
        out := array.array("q", [0]),
    )
    assert list(out) == [2]
    with pytest.raises(TypeError, match="void f"):
        native.parallel_for(library.note, 1)
    with pytest.raises(TypeError, match="not a function pointer"):
        native.parallel_for(numbers, 1)
    with pytest.raises(ValueError, match="NULL"):
        native.parallel_for(ffi.cast("void (*)(int64_t, int64_t, void *)", 0), 1)
    with pytest.raises(TypeError, match="not a pointer"):
        native.parallel_for(library.count, 1, ffi.cast("int", 5))


def test_numba():
    numba = pytest.importorskip("numba")
    numpy = pytest.importorskip("numpy")
    carray, types = numba.carray, numba.types

    @numba.cfunc(types.void(types.int64, types.int64, types.voidptr))
    def nothing(begin, end, context):
        pass

    native.parallel_for(nothing, 100)

    @numba.cfunc(types.void(types.int64, types.int64, types.CPointer(types.float64)))
    def fill(begin, end, context):
        values = carray(context, (1000,))
        for i in range(begin, end):
            values[i] = i * 0.5

    numbers = numpy.zeros(1000)
    native.parallel_for(fill, 1000, numbers)
    assert (numbers == numpy.arange(1000) * 0.5).all()

    @numba.cfunc("float64(float64)")
    def cube(x):
        return x * x * x

    out = numpy.zeros(1000)
    native.map(cube, numbers, out)
    assert numpy.allclose(out, numbers**3)


capsule_new = ctypes.pythonapi.PyCapsule_New
capsule_new.restype = ctypes.py_object
capsule_new.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


def capsule(function, name):
    return capsule_new(ctypes.cast(function, ctypes.c_void_p), name, None)


@pytest.mark.parametrize(
    "name",
    [
        b"pyconc.range_function",
        b"void (int64_t, int64_t, void *)",
        b"void(long begin,long end,double * context)",
    ],
)
def test_capsules(c, name):
    seen = bytearray(100)
    native.parallel_for(capsule(c.count, name), 100, seen)
    assert seen == b"\1" * 100


@pytest.mark.parametrize(
    "name",
    [b"void (int, int, void *)", b"else", b"", b"int64_t (int64_t, int64_t, void *)"],
)
def test_wrong_capsules(c, name):
    with pytest.raises(TypeError):
        native.parallel_for(capsule(c.count, name), 100)


def test_capsules_as_scalar_functions(c):
    out = array.array("d", [0, 0])
    native.map(capsule(c.square, b"double (double)"), array.array("d", [2, 3]), out)
    assert list(out) == [4, 9]


def test_scipy_callables(c):
    scipy = pytest.importorskip("scipy")
    name = b"void (int64_t, int64_t, void *)"
    function = scipy.LowLevelCallable(capsule(c.count, name))
    seen = bytearray(100)
    native.parallel_for(function, 100, seen)
    assert seen == b"\1" * 100
    words = (ctypes.c_uint8 * 100)()
    function = scipy.LowLevelCallable(
        capsule(c.count, name), ctypes.cast(words, ctypes.c_void_p)
    )
    native.parallel_for(function, 100)
    assert bytes(words) == b"\1" * 100
    # SciPy makes the signature of a ctypes function itself.
    seen = bytearray(100)
    native.parallel_for(scipy.LowLevelCallable(c.count), 100, seen)
    assert seen == b"\1" * 100
    out = array.array("d", [0, 0])
    native.map(scipy.LowLevelCallable(c.square), array.array("d", [2, 3]), out)
    assert list(out) == [4, 9]
