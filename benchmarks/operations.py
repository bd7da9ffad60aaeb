"""The calls of an executor and of a pool that are measured."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from harness import Implementation, Operation
from tasks import first, identity


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


def _submit_all(
    implementation: Implementation, executor: Any, items: list[Any]
) -> list[Any]:
    futures = [executor.submit(identity, item) for item in items]
    implementation.futures.wait(futures)
    # Results are read, too: an implementation may decode them only now.
    return [future.result() for future in futures]


SUBMIT_ALL = Operation("executor submit all, wait", open_executor, _submit_all)

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
