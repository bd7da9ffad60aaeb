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

import asyncio
import functools
import heapq
import queue as _queue
import types
from collections import deque
from collections.abc import Iterable
from queue import Empty, Full, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from . import _core, threading
from .errors import ShutDown

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


class Queue(_core.Queue, Generic[_T]):
    """A queue that many threads put into and take from; first in, first out.

    maxsize: how many items there may be; any number if 0 or less.

    Safe in threads and signal handlers.  In a forked child a queue has its
    items, and nobody waits.  Cannot be pickled.  Mirrors `queue.Queue`.
    """

    _kind: ClassVar[int] = 0
    _overrides: ClassVar[int] = 0

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        kin = next(c for c in cls.__mro__ if "_kind" in vars(c))
        changed = any(
            getattr(cls, hook) is not getattr(kin, hook) for hook in _HOOKS
        )
        cls._overrides = (
            _ORGANIZATION * changed
            + _PUT * (cls.put is not Queue.put)
            + _GET * (cls.get is not Queue.get)
        )

    if TYPE_CHECKING:  # they are the C half's, which does not know our items

        def put(
            self, item: _T, block: bool = True, timeout: float | None = None
        ) -> None: ...

        def get(
            self, block: bool = True, timeout: float | None = None
        ) -> _T: ...

        def put_nowait(self, item: _T, /) -> None: ...

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

        Threads and coroutines of any event loop may wait on the same queue,
        and take turns in the order in which they came.  Cancelling loses no
        item.  Raises ShutDown as get() does.
        """
        return await self._until(True, self.get_nowait)  # type: ignore[no-any-return]

    async def aput(self, item: _T) -> None:
        """Put an item in; other coroutines run while there is no room.

        As aget().  Raises ShutDown as put() does.
        """
        await self._until(False, functools.partial(self.put_nowait, item))

    async def _until(self, getting: bool, attempt: Any) -> Any:
        try:
            return attempt()
        except (Empty, Full):
            loop = asyncio.get_running_loop()
        place = self._awaiter(getting)
        try:
            while True:
                woken = loop.create_future()
                place.join(
                    functools.partial(loop.call_soon_threadsafe, _wake, woken)
                )
                try:
                    return attempt()
                except (Empty, Full):
                    await woken
        finally:
            place.leave()

    # --- with a mutex; called from C ---------------------------------------

    def _make_conditions(self) -> tuple[Any, ...]:
        mutex = threading.Lock()
        return (mutex, *(threading.Condition(mutex) for _ in range(3)))

    def _open_put(self, item: _T, block: bool, timeout: float | None) -> None:
        with self.not_full:
            self._await(self.not_full, self._has_room, block, timeout, Full)
            self._put(item)
            self.unfinished_tasks += 1
            self.not_empty.notify()
        self._offer()

    def _open_get(self, block: bool, timeout: float | None) -> _T:
        with self.not_empty:
            self._await(self.not_empty, self._has_item, block, timeout, Empty)
            item = self._get()
            self.not_full.notify()
        self._offer()
        return item

    def _has_room(self) -> bool:
        if self.is_shutdown:
            raise ShutDown
        return not 0 < self.maxsize <= self._qsize()

    def _has_item(self) -> bool:
        if self._qsize():
            return True
        if self.is_shutdown:
            raise ShutDown
        return False

    def _await(
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

    def _open_task_done(self) -> None:
        with self.all_tasks_done:
            unfinished = self.unfinished_tasks - 1
            if unfinished < 0:
                raise ValueError("task_done() called too many times")
            self.unfinished_tasks = unfinished
            if unfinished == 0:
                self.all_tasks_done.notify_all()

    def _open_join(self) -> None:
        with self.all_tasks_done:
            while self.unfinished_tasks:
                self.all_tasks_done.wait()

    def _open_qsize(self) -> int:
        with self.mutex:
            return self._qsize()

    def _open_shutdown(self, immediate: bool) -> None:
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
        self._offer()

    __class_getitem__: Any = classmethod(types.GenericAlias)


class LifoQueue(Queue[_T]):
    """A queue that gives out what came last.  Mirrors `queue.LifoQueue`."""

    _kind = 1

    def _init(self, maxsize: int) -> None:
        self.queue = []

    def _get(self) -> _T:
        return self.queue.pop()  # type: ignore[no-any-return]

    def _qsize(self) -> int:
        return len(self.queue)

    def _put(self, item: _T) -> None:
        self.queue.append(item)


class PriorityQueue(Queue[_T]):
    """A queue that gives out the smallest item.

    The order is that of `heapq`.  A comparison that raises fails the put() or
    get() that made it, and leaves the queue as it was.  Mirrors
    `queue.PriorityQueue`.
    """

    _kind = 2

    def _init(self, maxsize: int) -> None:
        self.queue = []

    def _qsize(self) -> int:
        return len(self.queue)

    def _put(self, item: _T) -> None:
        heapq.heappush(self.queue, item)

    def _get(self) -> _T:
        return heapq.heappop(self.queue)  # type: ignore[no-any-return]


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)


def __getattr__(name: str) -> Any:
    """Private names are the standard library's."""
    return getattr(_queue, name)
