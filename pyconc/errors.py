"""Exceptions that the standard library has no name for."""

from concurrent.futures.process import BrokenProcessPool

from ._sync_errors import DeadlockError, ShutDown

__all__ = [
    "CorruptionError",
    "DeadlockError",
    "DecodeError",
    "PoolTerminatedError",
    "ShutDown",
    "WorkerLostError",
]


class WorkerLostError(BrokenProcessPool):
    """The process that was running this task ended before it answered.

    Only this task is lost; the pool goes on and has replaced the worker.
    A subclass of BrokenProcessPool, so that existing `except` clauses keep
    their meaning.

    Attributes: `pid` of the worker; `exitcode` as in
    multiprocessing.Process.exitcode (negative: the signal; None: unknown,
    because somebody else reaped the process); `function`, the name of the
    task's function, or None.
    """

    def __init__(
        self,
        message: str = "",
        pid: int | None = None,
        exitcode: int | None = None,
        function: str | None = None,
    ) -> None:
        super().__init__(message)
        self.pid = pid
        self.exitcode = exitcode
        self.function = function

    def __reduce__(self) -> tuple[object, ...]:
        return (
            type(self),
            (str(self), self.pid, self.exitcode, self.function),
        )


class DecodeError(BrokenProcessPool):
    """An argument, result or exception of this task could not be rebuilt.

    Unpickling it raised, which is this error's cause.  The task alone is
    affected; the pool goes on.  (In the standard library this breaks the
    whole executor, hence the base class.)
    """


class PoolTerminatedError(RuntimeError):
    """The pool was terminated before this task had finished."""


class CorruptionError(RuntimeError):
    """Shared memory holds what no part of pyconc writes.

    Some process of the pool wrote where it must not, usually a faulty
    extension module.  Nothing was read beyond the damage.
    """
