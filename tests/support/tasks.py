"""Functions and classes that every worker process can import by name."""

import gc
import os
import threading
import time
import warnings

calls_in_this_process = 0


def identity(value):
    return value


def square(value):
    return value * value


def power(base, exponent=2):
    return base**exponent


def collect(*args, **kwds):
    return args, kwds


def fail(message="failed on purpose"):
    raise ValueError(message)


def reraise(exception):
    raise exception


def raise_if(value, bad):
    if value == bad:
        raise ValueError(f"bad value {value}")
    return value


def reciprocal(value):
    return 1 / value


def pid(_value=None):
    return os.getpid()


def count_calls(_value=None):
    """Return how often this process has been asked, itself included."""
    global calls_in_this_process
    calls_in_this_process += 1
    return os.getpid(), calls_in_this_process


def size_of(value):
    return len(value)


def make_bytes(size):
    return b"x" * size


def are_same(first, second):
    return first is second


def rows_are_same(rows):
    return all(row is rows[0] for row in rows)


def is_own_item(cycle):
    return cycle[0] is cycle


def make_aliased(count):
    row = [1, 2, 3]
    return [row] * count


def make_cycle():
    cycle = []
    cycle.append(cycle)
    return cycle


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def depth_of(value):
    depth = 0
    while value:
        value = value[0]
        depth += 1
    return depth


def make_lock(_value=None):
    return threading.Lock()


def process_facts(_value=None):
    import multiprocessing

    process = multiprocessing.current_process()
    return process.name, process.daemon, process.pid, os.getpid()


def warn_and_return(value):
    warnings.warn("from a worker", UserWarning, stacklevel=1)
    return value


def mark(gate, name):
    gate.mark(name)
    return name


def wait_then_raise(gate, name, exception):
    gate.read(name)
    raise exception


def mark_then_raise(gate, name, exception):
    gate.mark(name)
    raise exception


def run_step(step):
    """Call a (function, *args) tuple: lets one map mix functions."""
    function, *args = step
    return function(*args)


def enter_gate(gate, value=None):
    return gate.enter(value)


def enter_gate_if(gate, wanted):
    if wanted:
        gate.enter()
    return wanted


def copy_all_lists(_value=None):
    """Look at what a memory profiler looks at."""
    for found in gc.get_objects():
        if type(found) is list:
            list(found)
    return True


def busy(seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pass


class SayWhenError(ValueError):
    """Raised by an input in the middle of an iteration."""


def say_when(total, when):
    """Yield 0..total-1, but raise instead of the item `when`."""
    if when == -1:
        raise SayWhenError("somebody said when")
    for i in range(total):
        if i == when:
            raise SayWhenError("somebody said when")
        yield i


class SaysWhenSized:
    """An iterable with a length that raises in the middle."""

    def __init__(self, total, when):
        self.total = total
        self.when = when

    def __len__(self):
        return self.total

    def __iter__(self):
        return say_when(self.total, self.when)


class Calls:
    """A callable object that counts its calls."""

    def __init__(self, count=0):
        self.count = count

    def __call__(self, _value=None):
        self.count += 1
        return self.count

    def method(self, _value=None):
        self.count += 1
        return self.count


class Point:
    def __init__(self, x, y):
        self.x = x
        self.y = y

    def __eq__(self, other):
        return (self.x, self.y) == (other.x, other.y)

    def plus(self, other):
        return Point(self.x + other.x, self.y + other.y)

    @classmethod
    def diagonal(cls, value):
        return cls(value, value)

    @staticmethod
    def norm(x, y):
        return x * x + y * y


class NotPicklable:
    def __reduce__(self):
        raise TypeError("NotPicklable refuses")


class SetStateRaises:
    """Pickles, but cannot be rebuilt."""

    def __init__(self):
        self.value = 1

    def __setstate__(self, state):
        raise RuntimeError("no state for SetStateRaises")


def make_not_picklable(_value=None):
    return NotPicklable()


def make_set_state_raises(_value=None):
    return SetStateRaises()


class NeedsTwo(Exception):
    """Cannot be rebuilt from its args, as thousands in the wild."""

    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")
        self.first = first
        self.second = second


def raise_needs_two(_value=None):
    raise NeedsTwo("salt", "pepper")


class WithLock(Exception):
    """An exception that does not pickle."""

    def __init__(self, message):
        super().__init__(message)
        self.lock = threading.Lock()


def raise_with_lock(_value=None):
    raise WithLock("held together")


# what an initializer leaves for the tasks of its process
inherited = None


def inherit(*objects):
    global inherited
    inherited = objects


def get_inherited(_value=None):
    return inherited


def add_under_lock(count):
    """Increase a shared raw value; lost updates show a missing lock."""
    lock, value = inherited
    for _ in range(count):
        with lock:
            value.value += 1


def put_inherited(value):
    inherited[0].put(value)
    return value


def initializer_raises(*_args):
    raise ZeroDivisionError("initializer failed on purpose")


def enter_then_raise(gate):
    gate.enter()
    initializer_raises()


def count_start_then_raise(gate):
    gate.arrive()
    initializer_raises()


def nested_pool(package, method, values):
    """Map in a pool of this worker's own."""
    import importlib

    multiprocessing = importlib.import_module(package)
    with multiprocessing.get_context(method).Pool(2) as pool:
        return pool.map(square, values)


def busy_square(value):
    """Square slowly enough to be met while running."""
    busy(0.0005)
    return value * value
