"""The calls of an executor and of a pool that are measured."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from harness import Implementation, Operation
from tasks import first, identity, loop_in_python


def open_executor(
    implementation: Implementation, processes: int
) -> AbstractContextManager[Any]:
    executor: AbstractContextManager[Any] = implementation.executor(processes)
    return executor


def open_pool(
    implementation: Implementation, processes: int
) -> AbstractContextManager[Any]:
    pool: AbstractContextManager[Any] = implementation.pool(processes)
    return pool


def open_thread_executor(
    implementation: Implementation, threads: int
) -> AbstractContextManager[Any]:
    executor: AbstractContextManager[Any] = implementation.thread_executor(
        threads
    )
    return executor


def open_thread_pool(
    implementation: Implementation, threads: int
) -> AbstractContextManager[Any]:
    pool: AbstractContextManager[Any] = implementation.thread_pool(threads)
    return pool


def in_threads(operation: Operation) -> Operation:
    """Return the same calls on threads instead of processes."""
    if operation.open is open_executor:
        return dataclasses.replace(
            operation,
            name=f"thread {operation.name}",
            open=open_thread_executor,
        )
    return dataclasses.replace(
        operation, name=f"Thread{operation.name}", open=open_thread_pool
    )


def submit_each(
    _: Implementation,
    executor: Any,
    items: list[Any],
    function: Callable[[Any], Any] = identity,
) -> list[Any]:
    return [executor.submit(function, item) for item in items]


def _submit_all(
    implementation: Implementation,
    executor: Any,
    items: list[Any],
    function: Callable[[Any], Any] = identity,
) -> list[Any]:
    futures = submit_each(implementation, executor, items, function)
    implementation.futures.wait(futures)
    # Results are read, too: an implementation may decode them only now.
    return [future.result() for future in futures]


SUBMIT_ALL = Operation("executor submit all, wait", open_executor, _submit_all)

SUBMIT_ALL_LOOPS = Operation(
    "executor, Python loops",
    open_executor,
    functools.partial(_submit_all, function=loop_in_python),
)

# Some tasks have finished when the clock starts, some have yet to run.
AS_COMPLETED = Operation(
    "executor as_completed",
    open_executor,
    lambda implementation, _, futures: [
        future.result()
        for future in implementation.futures.as_completed(futures)
    ],
    in_order=False,
    prepare=submit_each,
)

SUBMIT_ONE = Operation(
    "executor round trip",
    open_executor,
    lambda _, executor, items: [
        executor.submit(identity, item).result() for item in items
    ],
)

EXECUTOR_MAP = Operation(
    "executor map(chunksize=1)",
    open_executor,
    lambda _, executor, items: list(
        executor.map(identity, items, chunksize=1)
    ),
)

MAP_ONE_BY_ONE = Operation(
    "Pool.map(chunksize=1)",
    open_pool,
    lambda _, pool, items: pool.map(identity, items, chunksize=1),
)

MAP_LOOPS = Operation(
    "Pool.map(chunksize=1), Python loops",
    open_pool,
    lambda _, pool, items: pool.map(loop_in_python, items, chunksize=1),
)

MAP = Operation(
    "Pool.map, default chunks",
    open_pool,
    lambda _, pool, items: pool.map(identity, items),
)

IMAP = Operation(
    "Pool.imap",
    open_pool,
    lambda _, pool, items: list(pool.imap(identity, items)),
)

IMAP_UNORDERED = Operation(
    "Pool.imap_unordered",
    open_pool,
    lambda _, pool, items: list(pool.imap_unordered(identity, items)),
    in_order=False,
)

STARMAP = Operation(
    "Pool.starmap(chunksize=1)",
    open_pool,
    lambda _, pool, items: pool.starmap(
        first, [(item, 1) for item in items], chunksize=1
    ),
)

APPLY = Operation(
    "Pool.apply",
    open_pool,
    lambda _, pool, items: [pool.apply(identity, (item,)) for item in items],
)


def _apply_async(_: Implementation, pool: Any, items: list[Any]) -> list[Any]:
    pending = [pool.apply_async(identity, (item,)) for item in items]
    return [result.get() for result in pending]


APPLY_ASYNC = Operation("Pool.apply_async all, get", open_pool, _apply_async)
