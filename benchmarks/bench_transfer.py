"""64 MB to a worker and back, and what it takes to start a pool."""

from __future__ import annotations

import functools
import importlib.util
import os
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import harness
import operations
from harness import Case, Goal, Implementation, Row, Session
from tasks import identity

PAYLOAD_BYTES = 64 << 20
ROUND_TRIPS = 3
STARTS = 10


def make_bytes() -> bytes:
    # Not zeros, which the kernel may serve from one page.
    return os.urandom(1 << 20) * (PAYLOAD_BYTES >> 20)


def make_array() -> Any:
    import numpy

    return numpy.arange(PAYLOAD_BYTES // 8, dtype=numpy.float64)


def executor_round_trip(executor: Any, payload: Any) -> Any:
    return executor.submit(identity, payload).result()


def pool_round_trip(pool: Any, payload: Any) -> Any:
    return pool.apply(identity, (payload,))


def transfer_case(
    name: str,
    make_payload: Callable[[], Any],
    open_pool: Callable[[Implementation, int], Any],
    round_trip: Callable[[Any, Any], Any],
    target: float,
) -> Case:
    def rows(session: Session) -> Iterator[Row]:
        payload = make_payload()

        def milliseconds(side: Implementation) -> float:
            with open_pool(side, 2) as pool:
                # Either worker may get a task: warm up both.
                for _ in range(2):
                    round_trip(pool, payload)
                times = []
                for _ in range(1 if session.quick else ROUND_TRIPS):
                    start = time.perf_counter()
                    echo = round_trip(pool, payload)
                    times.append(time.perf_counter() - start)
            if bytes(memoryview(echo)) != bytes(memoryview(payload)):
                raise AssertionError(f"{side.name}: {name}: wrong result")
            return statistics.median(times) * 1e3

        yield session.measure(
            Row(name, "ms", Goal("ratio", target)), milliseconds
        )

    return Case(name, rows)


def start_case(name: str, use: Callable[[Any], object]) -> Case:
    def rows(session: Session) -> Iterator[Row]:
        def milliseconds(side: Implementation) -> float:
            times = []
            for _ in range(2 if session.quick else STARTS):
                start = time.perf_counter()
                with side.pool(2) as pool:
                    use(pool)
                    times.append(time.perf_counter() - start)
            return statistics.median(times) * 1e3

        yield session.measure(Row(name, "ms", Goal("ratio", 1)), milliseconds)

    return Case(name, rows)


def cases() -> list[Case]:
    transfer_in_executor = functools.partial(
        transfer_case,
        open_pool=operations.open_executor,
        round_trip=executor_round_trip,
    )
    transfer_in_pool = functools.partial(
        transfer_case,
        open_pool=operations.open_pool,
        round_trip=pool_round_trip,
    )
    arrays = []
    if importlib.util.find_spec("numpy"):
        arrays = [
            transfer_in_executor(
                "executor, 64 MB ndarray", make_array, target=10
            ),
            transfer_in_pool(
                "Pool.apply, 64 MB ndarray", make_array, target=10
            ),
        ]
    return [
        transfer_in_executor("executor, 64 MB bytes", make_bytes, target=5),
        transfer_in_pool("Pool.apply, 64 MB bytes", make_bytes, target=5),
        *arrays,
        start_case("start Pool(2)", lambda pool: None),
        # So that a pool which starts its workers late gains nothing by it.
        start_case(
            "start Pool(2), first result",
            lambda pool: pool.apply(identity, (1,)),
        ),
    ]


if __name__ == "__main__":
    harness.main({"transfer": cases()})
