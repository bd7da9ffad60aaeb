"""ScheduledThreadPoolExecutor: tasks that wait for their time.

The standard library has no counterpart; the names follow Java's.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, ParamSpec, TypeVar

from .. import _core
from ._base import Future
from .thread import ThreadPoolExecutor

__all__ = ["ScheduledThreadPoolExecutor"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


class ScheduledThreadPoolExecutor(_core.Scheduling, ThreadPoolExecutor):
    """A ThreadPoolExecutor whose tasks may wait for a time, or repeat.

    Takes what ThreadPoolExecutor takes.  `schedule`, `schedule_at`,
    `schedule_at_fixed_rate` and `schedule_with_fixed_delay` return futures
    like those of `submit`; times are seconds on the monotonic clock, which
    nobody can set.  With context=True each run of a periodic task begins with
    a copy of the context in which it was scheduled.

    One more thread sleeps until something is due, and then queues it for the
    threads of the pool, behind whatever is queued by then.

    An executor lives as long as anything is scheduled, also if the program
    does not refer to it any more.

    Thread-safe.  In a forked child it is empty and usable; futures from
    before the fork raise RuntimeError there, and nothing fires twice.
    """

    # --- hooks of the C half -----------------------------------------------

    def _enable_timers(self) -> None:
        self._group.enable_timers()

    def _watch(self) -> None:
        self._get_ready()
        self._group.watch(f"{self._thread_name_prefix}_timers")

    # --- the interface ------------------------------------------------------

    if TYPE_CHECKING:  # these are the C half's, which does not know our Future

        def schedule(
            self,
            delay: float,
            fn: Callable[_P, _T],
            /,
            *args: _P.args,
            **kwargs: _P.kwargs,
        ) -> Future[_T]: ...

        def schedule_at_fixed_rate(
            self,
            initial_delay: float,
            period: float,
            fn: Callable[_P, object],
            /,
            *args: _P.args,
            **kwargs: _P.kwargs,
        ) -> Future[NoReturn]: ...

        def schedule_with_fixed_delay(
            self,
            initial_delay: float,
            delay: float,
            fn: Callable[_P, object],
            /,
            *args: _P.args,
            **kwargs: _P.kwargs,
        ) -> Future[NoReturn]: ...

    def schedule_at(
        self,
        when: datetime.datetime,
        fn: Callable[_P, _T],
        /,
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> Future[_T]:
        """Run fn(*args, **kwargs) once, at `when`; return its Future.

        when: without a time zone it is local time.  What lies in the past
            runs at once.

        It is made a delay at this call.  If the wall clock is set afterwards,
        or the machine is suspended, the task still runs after as many seconds
        of the monotonic clock.

        Raises TypeError if `when` is no datetime, and as schedule().
        Thread-safe; in a forked child the executor is empty and usable.
        """
        if not isinstance(when, datetime.datetime):
            raise TypeError(
                "when must be a datetime.datetime, not "
                f"{type(when).__name__}"
            )
        delay = max(0.0, when.timestamp() - time.time())
        return self.schedule(delay, fn, *args, **kwargs)

    def shutdown(
        self, wait: bool = True, *, cancel_futures: bool = False
    ) -> None:
        """Accept no more tasks; the threads end once all are done.

        Periodic tasks are cancelled; a run under way is finished.  What is
        scheduled once still runs at its time, unless `cancel_futures` is
        true.  At the interpreter's exit that is cancelled, too.

        wait: return only when everything is done, callbacks included.
        cancel_futures: cancel what no thread has started.
        Idempotent, thread-safe.
        """
        super().shutdown(wait, cancel_futures=cancel_futures)
