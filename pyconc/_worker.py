"""What runs in a worker process before and after the C loop."""

from __future__ import annotations

import os
import pickle
import random
import signal
import sys
from collections.abc import Callable
from concurrent.futures._base import LOGGER
from multiprocessing import reduction
from multiprocessing.context import get_spawning_popen
from typing import Any

from . import _core, _wire

_FLAVOURS = {
    "futures": (_wire.encode_error_futures, _wire.unsendable_futures),
    "pool": (_wire.encode_error_pool, _wire.unsendable_pool),
}


class _ByValue:
    """A callable that pickle refuses, as cloudpickle writes it."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __reduce__(self) -> tuple[Any, ...]:
        return pickle.loads, (self.data,)


def _portable(function: Callable[..., object]) -> Any:
    try:
        reduction.ForkingPickler.dumps(function)
    except Exception as refusal:
        import cloudpickle

        try:
            return _ByValue(cloudpickle.dumps(function))
        except Exception as error:
            refusal.add_note(f"cloudpickle says: {error}")
            raise refusal from None
    return function


class WorkerPlan:
    """Everything that a worker is told at its start.

    Inherited as it is under fork.  Under spawn and forkserver it is pickled,
    its descriptors travel with the start of the process, and the engine,
    which only a forked child shares, stays behind.
    """

    def __init__(
        self,
        engine: _core.ProcessEngine,
        lifeline: int,
        slot: int,
        flavour: str,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
        max_tasks: int,
        reseed: bool,
        results_by_value: bool,
    ) -> None:
        self.engine: _core.ProcessEngine | None = engine
        self.region = engine.region_fd
        self.geometry = engine.geometry
        self.lifeline = lifeline
        self.slot = slot
        self.flavour = flavour
        self.initializer = initializer
        self.initargs = initargs
        self.max_tasks = max_tasks
        self.reseed = reseed
        self.results_by_value = results_by_value

    def __getstate__(self) -> dict[str, Any]:
        if get_spawning_popen() is None:
            raise RuntimeError(
                "a worker's plan is passed on only while its process starts"
            )
        state = self.__dict__.copy()
        state["engine"] = None
        state["region"] = reduction.DupFd(self.region)
        state["lifeline"] = reduction.DupFd(self.lifeline)
        if self.initializer is not None:
            state["initializer"] = _portable(self.initializer)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.region = state["region"].detach()
        self.lifeline = state["lifeline"].detach()


def _on_interrupt(signal_number: int, frame: object) -> None:
    """Interrupt the task, if there is one; an idle worker is not concerned."""
    if _core.in_task():
        raise KeyboardInterrupt


def _reseed() -> None:
    """Give this worker random numbers of its own, from fresh entropy."""
    random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def worker_main(plan: WorkerPlan) -> None:
    """Live as a worker: set up, run tasks, return to leave."""
    _core.crash_role("worker")
    signal.signal(signal.SIGINT, _on_interrupt)
    # The starting thread blocked it, so that no Ctrl-C could hit a half-made
    # worker; programs that tasks start must not inherit that.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    _core.lifeline_arm(plan.lifeline)
    encode_error, unsendable = _FLAVOURS[plan.flavour]
    worker = _core.Worker(
        plan.engine,
        plan.region,
        plan.geometry,
        plan.slot,
        encode_error,
        unsendable,
        _wire.undecodable,
        plan.results_by_value,
    )
    if plan.engine is None:
        os.close(plan.region)
        os.close(plan.lifeline)
    if plan.reseed:
        _reseed()
    if plan.initializer is not None:
        try:
            plan.initializer(*plan.initargs)
        except BaseException as error:
            if plan.flavour == "futures":
                LOGGER.critical("Exception in initializer:", exc_info=True)
            worker.fail(error)
            return
    worker.run(plan.max_tasks)
