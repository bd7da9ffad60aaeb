"""What is defined in the script goes to children; argument: the start method."""

import collections
import concurrent.futures
import dataclasses
import enum
import functools
import multiprocessing
import multiprocessing.pool
import operator
import pickle
import sys

import shapes
from tour import attempt, run, section, show

METHOD = sys.argv[1]

Pair = collections.namedtuple("Pair", "x y")


class Color(enum.Enum):
    RED = 1
    BLUE = 2

    def other(self):
        return Color.BLUE if self is Color.RED else Color.RED


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0
    tags: list = dataclasses.field(default_factory=list)

    def moved(self, by):
        return Point(self.x + by, self.y + by, [*self.tags, "moved"])

    @classmethod
    def origin(cls):
        return cls(0)

    @staticmethod
    def add(a, b):
        return a + b

    class Inner:
        def __init__(self, value):
            self.value = value

        def __repr__(self):
            return f"Inner({self.value})"


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


class Reduced:
    def __init__(self, value):
        self.value = value

    def __reduce__(self):
        return Reduced, (self.value + 1,)

    def __repr__(self):
        return f"Reduced({self.value})"


class Stateful:
    def __init__(self):
        self.open = True

    def __getstate__(self):
        return {"sent": True}

    def __setstate__(self, state):
        self.__dict__.update(state, received=True)


class Callable:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, n):
        return n * self.factor


class Custom(Exception):
    def __init__(self, message, code=0):
        super().__init__(message, code)
        self.code = code


def square(n, power=2):
    return n**power


def same(value):
    return value


def describe(value):
    return type(value).__module__ in ("__main__", "__mp_main__"), type(value).__name__


def fail(error):
    raise error


def name_of_main():
    return __name__ in ("__main__", "__mp_main__"), sys.argv[1:] == [METHOD]


def is_same_class(value, cls):
    return type(value) is cls, isinstance(value, Point)


FUNCTIONS = [
    (square, (3,)),
    (functools.partial(square, power=3), (2,)),
    (Callable(10), (4,)),
    (Point(1, 2).moved, (5,)),
    (Point.origin, ()),
    (Point.add, (1, 2)),
    (Point.Inner, (9,)),
    (operator.itemgetter(1), ("abc",)),
    (operator.methodcaller("upper"), ("abc",)),
    (str.upper, ("abc",)),
    ("a-b".split, ("-",)),
    (Pair, (1, 2)),
    (Color, (2,)),
    (Color.RED.other, ()),
    (shapes.area, (shapes.Square(3),)),
    (shapes.Square(2).grown, (1,)),
    (Reduced, (1,)),
    (len, ([1, 2],)),
    (name_of_main, ()),
    (is_same_class, (Point(1), Point)),
]
VALUES = [
    Point(1, 2, [Color.RED]),
    Pair(Point(0), [1]),
    Color.BLUE,
    Reduced(1),
    Point.Inner({"key": (1, None)}),
    {Color.RED: {1, 2}, "x": frozenset([3])},
    collections.OrderedDict(a=1),
    collections.Counter("aab"),
    collections.defaultdict(list, a=[1]),
    1.5 + 2j,
    range(3),
    slice(1, 2),
    b"bytes",
    bytearray(b"array"),
    2**100,
    float("inf"),
    (),
    "é\U0001f600\ud800",
    Point,
    square,
    shapes.Square,
    Ellipsis,
    NotImplemented,
]


@section()
def functions():
    with multiprocessing.Pool(1) as pool:
        for function, args in FUNCTIONS:
            show("apply", pool.apply(function, args))
        show("map", pool.map(Callable(3), range(3)))
        show("starmap", pool.starmap(Point, [(1, 2), (3,)]))
        attempt("error", pool.apply, fail, (Custom("why", code=3),))
        try:
            pool.apply(fail, (Custom("why", code=3),))
        except Custom as error:
            show("error", error.code, error.args)


@section()
def values():
    with multiprocessing.Pool(1) as pool:
        for value in VALUES:
            show("same", pool.apply(same, (value,)))
            assert pool.apply(describe, (value,)) == describe(value), value
        show("slots", pool.apply(same, (Slotted(5),)).value)
        show("state", sorted(vars(pool.apply(same, (Stateful(),)))))
        shared = [1]
        a, b = pool.apply(same, ((shared, shared),))
        show("shared", a is b)
        cycle = []
        cycle.append(cycle)
        cycle = pool.apply(same, (cycle,))
        show("cycle", cycle[0] is cycle)
        show("class", pool.apply(same, (Point,)) is Point)


@section()
def executors():
    with concurrent.futures.ProcessPoolExecutor(1) as executor:
        for function, args in FUNCTIONS[:8]:
            show("submit", executor.submit(function, *args).result())
        show("map", list(executor.map(same, VALUES[:8])))
        error = executor.submit(fail, Custom("why", code=3)).exception()
        show("error", error.code, error.args, type(error) is Custom)


def put(queue, connection, value):
    queue.put(value)
    connection.send(value)


@section()
def processes():
    queue = multiprocessing.Queue()
    here, there = multiprocessing.Pipe()
    p = multiprocessing.Process(target=put, args=(queue, there, Point(3)))
    p.start()
    show("queue", queue.get(), here.recv(), p.join())
    p = multiprocessing.Process(target=functools.partial(put, queue), args=(there, 1))
    p.start()
    show("partial", queue.get(), here.recv(), p.join())
    show("here", pickle.loads(pickle.dumps(Point(1))))


if __name__ == "__main__":
    multiprocessing.set_start_method(METHOD)
    run([])
