"""What the workers are given to do."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


# About 2 ms.
LOOP_STEPS = 50_000


@dataclass(order=True)
class Point:
    """A small object: it needs pickle to travel, as most arguments do."""

    x: int
    y: int


def identity(value: T) -> T:
    return value


def first(value: T, _: object) -> T:
    return value


def loop_in_python(value: T) -> T:
    """Keep the interpreter busy, as no call into C would."""
    total = 0
    for step in range(LOOP_STEPS):
        total += step
    return value


def stamp_and_sleep(seconds: float) -> float:
    """Return when the task started, on the clock all processes share."""
    started = time.monotonic()
    time.sleep(seconds)
    return started


def sleep_in_a_row(times: int, seconds: float) -> float:
    """Sleep again and again; return how long one sleep really took."""
    started = time.monotonic()
    for _ in range(times):
        time.sleep(seconds)
    return (time.monotonic() - started) / times
