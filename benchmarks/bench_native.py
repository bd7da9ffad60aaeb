"""C functions on all cores: pyconc.native, a thread pool, OpenMP."""

from __future__ import annotations

import array
import ctypes
import itertools
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import harness
from harness import Case, Goal, Implementation, Row, Session

from pyconc import native

CORES = len(os.sched_getaffinity(0))
ELEMENTS = 10**8
UNEVEN = 30_000
QUICK_DIVISOR = 10
CALLS = 2_000

RANGE = [ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]


def compile_kernels() -> Any:
    """Compile and load kernels.c, with its types declared."""
    source = Path(__file__).with_name("kernels.c")
    with tempfile.TemporaryDirectory() as place:
        target = Path(place) / "kernels.so"
        compiler = os.environ.get("CC", "gcc")
        subprocess.run(
            [compiler, "-O2", "-fopenmp", "-shared", "-fPIC", "-o", target, source],
            check=True,
        )
        library = ctypes.CDLL(str(target))
    for function in (library.nothing, library.compute, library.uneven):
        function.argtypes, function.restype = RANGE, None
    library.add.argtypes = [ctypes.c_double] * 2
    library.add.restype = ctypes.c_double
    library.compute_openmp.argtypes = [ctypes.c_int64, ctypes.c_int]
    library.compute_openmp.restype = ctypes.c_double
    return library


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def best_of_three(call: Callable[[], object]) -> float:
    return min(seconds(call) for _ in range(3))


class Range:
    """Work off a range: with parallel_for, or in equal parts of a pool."""

    def __init__(self, side: Implementation, threads: int) -> None:
        self.threads = threads
        self.executor = side.thread_executor(threads)
        self.is_native = side.name == "pyconc"

    def run(self, function: Any, n: int, context: Any) -> None:
        if self.is_native:
            native.parallel_for(function, n, context, executor=self.executor)
            return
        address = context.buffer_info()[0]
        edges = [n * i // self.threads for i in range(self.threads + 1)]
        futures = [
            self.executor.submit(function, begin, end, address)
            for begin, end in itertools.pairwise(edges)
        ]
        for future in futures:
            future.result()

    def __enter__(self) -> Range:
        return self

    def __exit__(self, *_: object) -> None:
        self.executor.shutdown()


def compute_rows(session: Session) -> Iterator[Row]:
    kernels = compile_kernels()
    sums = array.array("d", bytes(8 * 1024))
    n = ELEMENTS // (QUICK_DIVISOR if session.quick else 1)

    def speed_up(side: Implementation) -> float:
        with Range(side, 1) as one, Range(side, CORES) as all_cores:
            alone = best_of_three(lambda: one.run(kernels.compute, n, sums))
            return alone / best_of_three(
                lambda: all_cores.run(kernels.compute, n, sums)
            )

    def beside_openmp(side: Implementation) -> float:
        with Range(side, CORES) as ours:
            kernels.compute_openmp(n, CORES)
            pairs = [
                (
                    seconds(lambda: kernels.compute_openmp(n, CORES)),
                    seconds(lambda: ours.run(kernels.compute, n, sums)),
                )
                for _ in range(5)
            ]
        return statistics.median(a / b for a, b in pairs)

    yield session.measure(
        Row(
            f"10^8 elements, {CORES} cores, times one core's speed",
            "",
            Goal("at least", 0.95 * CORES),
        ),
        speed_up,
    )
    yield session.measure(
        Row("10^8 elements, times OpenMP's speed", "", Goal("at least", 0.95)),
        beside_openmp,
    )


def uneven_rows(session: Session) -> Iterator[Row]:
    kernels = compile_kernels()
    out = array.array("d", bytes(8 * UNEVEN))

    def over_ideal(side: Implementation) -> float:
        with Range(side, 1) as one, Range(side, CORES) as all_cores:
            alone = best_of_three(lambda: one.run(kernels.uneven, UNEVEN, out))
            shared = best_of_three(
                lambda: all_cores.run(kernels.uneven, UNEVEN, out)
            )
        return shared / (alone / CORES)

    yield session.measure(
        Row("uneven parts, time over the ideal", "", Goal("at most", 1.1)),
        over_ideal,
    )


def fixed_rows(session: Session) -> Iterator[Row]:
    kernels = compile_kernels()
    nothing = array.array("d", bytes(8))
    calls = CALLS // (QUICK_DIVISOR if session.quick else 1)

    def of_a_range(side: Implementation) -> float:
        with Range(side, CORES) as work:

            def run() -> None:
                for _ in range(calls):
                    work.run(kernels.nothing, 1000, nothing)

            run()
            return 1e6 * best_of_three(run) / calls

    def of_a_call(side: Implementation) -> float:
        with side.thread_executor(2) as executor:
            submit = getattr(executor, "submit_native", executor.submit)

            def run() -> None:
                for _ in range(calls):
                    submit(kernels.add, 1.0, 2.0).result()

            run()
            return 1e6 * best_of_three(run) / calls

    yield session.measure(
        Row("parallel_for of nothing", "us", Goal("at most", 5)), of_a_range
    )
    yield session.measure(
        Row("submit_native round trip", "us", Goal("at most", 2)), of_a_call
    )


def cases() -> list[Case]:
    return [
        Case("native compute", compute_rows),
        Case("native uneven", uneven_rows),
        Case("native fixed cost", fixed_rows),
    ]


if __name__ == "__main__":
    harness.main({"native": cases()})
