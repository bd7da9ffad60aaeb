"""Queues between threads, in C.

Mirrors `queue`, with `shutdown()` of Python 3.13 on every version; adds
`put_many` and `get_many`, and `aget` and `aput` for coroutines.  `Empty`,
`Full` and `SimpleQueue` are the standard library's own, and so is `ShutDown`
where it exists.

A queue works without its `mutex` and conditions until somebody asks for one
of them, or a subclass overrides `_init`, `_qsize`, `_put` or `_get`: from then
on it does everything under the mutex, as documented, at the speed of Python
code.
"""

from __future__ import annotations

import contextlib
import functools
import heapq
import queue as _queue
import sys
import types
from collections import deque
from collections.abc import Iterable
from queue import Empty, Full, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from . import _core, threading
from ._mirror import mirror
from ._replacement import Replacement, replaces
from ._sync_errors import ShutDown

if TYPE_CHECKING:
    import asyncio

__all__ = [
    "Empty",
    "Full",
    "LifoQueue",
    "PriorityQueue",
    "Queue",
    "ShutDown",
    "SimpleQueue",
]

_T = TypeVar("_T")

_HOOKS = ("_init", "_qsize", "_put", "_get")
# What a subclass overrides, for the C side.
_ORGANIZATION, _PUT, _GET = 1, 2, 4


@replaces(_queue.Queue, calls=_HOOKS)
class Queue(_core.Queue, Generic[_T], metaclass=Replacement):
    """A queue that many threads put into and take from; first in, first out.

    maxsize: how many items there may be; any number if 0 or less.

    Safe in threads and signal handlers.  In a forked child a queue has its
    items, and nobody waits.  Cannot be pickled.  Mirrors `queue.Queue`.
    """

    @classmethod
    def _pyconc_kind(cls) -> int:
        return _KINDS.index(_kin(cls))

    @classmethod
    def _pyconc_overrides(cls) -> int:
        kin = _kin(cls)
        changed = any(
            getattr(cls, hook) is not original
            for hook, original in zip(_HOOKS, _ORIGINALS[kin], strict=True)
        )
        return (
            _ORGANIZATION * changed
            + _PUT * (cls.put is not _core.Queue.put)
            + _GET * (cls.get is not _core.Queue.get)
        )

    if TYPE_CHECKING:  # they are the C half's, which does not know our items

        def put(
            self, item: _T, block: bool = True, timeout: float | None = None
        ) -> None: ...

        def get(
            self, block: bool = True, timeout: float | None = None
        ) -> _T: ...

        def put_nowait(self, item: _T) -> None: ...

        def get_nowait(self) -> _T: ...

        def put_many(
            self,
            items: Iterable[_T],
            block: bool = True,
            timeout: float | None = None,
        ) -> None: ...

        def get_many(
            self, max: int, timeout: float | None = None
        ) -> list[_T]: ...

    # To be overridden; called with the mutex held.

    def _init(self, maxsize: int) -> None:
        self.queue = deque()

    def _qsize(self) -> int:
        return len(self.queue)

    def _put(self, item: _T) -> None:
        self.queue.append(item)

    def _get(self) -> _T:
        return self.queue.popleft()  # type: ignore[no-any-return]

    # --- for coroutines ----------------------------------------------------

    async def aget(self) -> _T:
        """Take an item out; other coroutines run while there is none.

        Threads and coroutines of any event loop may wait on the same queue;
        either take turns in the order in which they came.  Cancelling loses
        no item.  Raises ShutDown as get() does.
        """
        return await self._pyconc_until(True, self.get_nowait)  # type: ignore[no-any-return]

    async def aput(self, item: _T) -> None:
        """Put an item in; other coroutines run while there is no room.

        As aget().  Raises ShutDown as put() does.
        """
        await self._pyconc_until(False, functools.partial(self.put_nowait, item))

    async def _pyconc_until(self, getting: bool, attempt: Any) -> Any:
        with contextlib.suppress(Empty, Full):
            return attempt()
        import asyncio  # which most programs have no use for

        loop = asyncio.get_running_loop()
        place = self._pyconc_awaiter(getting)
        try:
            while True:
                woken = loop.create_future()
                place.join(
                    functools.partial(loop.call_soon_threadsafe, _wake, woken)
                )
                with contextlib.suppress(Empty, Full):
                    return attempt()
                await woken
        finally:
            place.leave()

    # --- with a mutex; called from C ---------------------------------------

    def _pyconc_make_conditions(self) -> tuple[Any, ...]:
        mutex = threading.Lock()
        return (
            mutex,
            _QueueCondition(mutex, self, True),
            _QueueCondition(mutex, self, False),
            threading.Condition(mutex),
        )

    def _pyconc_open_put(self, item: _T, block: bool, timeout: float | None) -> None:
        with self.not_full:
            self._pyconc_await(
                self.not_full, self._pyconc_has_room, block, timeout, Full
            )
            self._put(item)
            self.unfinished_tasks += 1
            self.not_empty.notify()

    def _pyconc_open_get(self, block: bool, timeout: float | None) -> _T:
        with self.not_empty:
            self._pyconc_await(
                self.not_empty, self._pyconc_has_item, block, timeout, Empty
            )
            item = self._get()
            self.not_full.notify()
        return item

    def _pyconc_has_room(self) -> bool:
        if self.is_shutdown:
            raise ShutDown
        return not 0 < self.maxsize <= self._qsize()

    def _pyconc_has_item(self) -> bool:
        if self._qsize():
            return True
        if self.is_shutdown:
            raise ShutDown
        return False

    def _pyconc_await(
        self,
        condition: Any,
        is_possible: Any,
        block: bool,
        timeout: float | None,
        error: type[Exception],
    ) -> None:
        possible = is_possible()
        if not block:
            if not possible:
                raise error
            return
        if timeout is None:
            while not possible:
                condition.wait()
                possible = is_possible()
            return
        if not timeout >= 0 and (error is Empty or self.maxsize > 0):
            raise ValueError("'timeout' must be a non-negative number")
        end = monotonic() + timeout
        while not possible:
            left = end - monotonic()
            if left <= 0:
                raise error
            condition.wait(left)
            possible = is_possible()

    def _pyconc_open_task_done(self) -> None:
        with self.all_tasks_done:
            unfinished = self.unfinished_tasks - 1
            if unfinished < 0:
                raise ValueError("task_done() called too many times")
            self.unfinished_tasks = unfinished
            if unfinished == 0:
                self.all_tasks_done.notify_all()

    def _pyconc_open_join(self) -> None:
        with self.all_tasks_done:
            while self.unfinished_tasks:
                self.all_tasks_done.wait()

    def _pyconc_open_qsize(self) -> int:
        with self.mutex:
            return self._qsize()

    def _pyconc_open_shutdown(self, immediate: bool) -> None:
        with self.mutex:
            self.is_shutdown = True
            if immediate:
                while self._qsize():
                    self._get()
                    if self.unfinished_tasks > 0:
                        self.unfinished_tasks -= 1
                self.all_tasks_done.notify_all()
            self.not_empty.notify_all()
            self.not_full.notify_all()

    __class_getitem__: Any = classmethod(types.GenericAlias)


@replaces(_queue.LifoQueue, calls=_HOOKS)
class LifoQueue(Queue[_T]):
    """A queue that gives out what came last.  Mirrors `queue.LifoQueue`."""

    def _init(self, maxsize: int) -> None:
        self.queue = []

    def _get(self) -> _T:
        return self.queue.pop()  # type: ignore[no-any-return]

    def _qsize(self) -> int:
        return len(self.queue)

    def _put(self, item: _T) -> None:
        self.queue.append(item)


@replaces(_queue.PriorityQueue, calls=_HOOKS)
class PriorityQueue(Queue[_T]):
    """A queue that gives out the smallest item.

    The order is that of `heapq`.  A comparison that raises fails the put() or
    get() that made it, and leaves the queue as it was.  Mirrors
    `queue.PriorityQueue`.
    """

    def _init(self, maxsize: int) -> None:
        self.queue = []

    def _qsize(self) -> int:
        return len(self.queue)

    def _put(self, item: _T) -> None:
        heapq.heappush(self.queue, item)

    def _get(self) -> _T:
        return heapq.heappop(self.queue)  # type: ignore[no-any-return]


_KINDS: list[type[Queue[Any]]] = [Queue, LifoQueue, PriorityQueue]
_ORIGINALS = {
    kind: [vars(kind)[hook] for hook in _HOOKS] for kind in _KINDS
}


def _kin(cls: type[Queue[Any]]) -> type[Queue[Any]]:
    return next(base for base in cls.__mro__ if base in _ORIGINALS)


class _QueueCondition(threading.Condition):
    """A condition of an open queue: coroutines are notified as well."""

    def __init__(self, mutex: Any, queue: Queue[Any], getting: bool) -> None:
        super().__init__(mutex)
        self._queue = queue
        self._getting = getting

    def notify(self, n: int = 1) -> None:
        super().notify(n)
        self._queue._pyconc_notify_tasks(self._getting, n)

    def notify_all(self) -> None:
        super().notify_all()
        self._queue._pyconc_notify_tasks(self._getting, sys.maxsize)


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)


if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...


mirror(__name__, _queue)
