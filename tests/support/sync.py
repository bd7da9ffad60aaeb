"""The two implementations of threading and of queue."""

import decimal
import fractions
import importlib
import queue
import re
import threading
from types import ModuleType
from typing import NamedTuple

import pytest

from support.impls import NAMES, PYCONC

HAS_SHUTDOWN = hasattr(queue, "ShutDown")

only_pyconc = pytest.mark.parametrize("sync", PYCONC, indirect=True)
with_shutdown = pytest.mark.parametrize(
    "sync",
    [name for name in NAMES if name != "stdlib" or HAS_SHUTDOWN],
    indirect=True,
)

# What a wait with a timeout makes of each kind of number.
PAST = [0, 0.0, False, -1, -0.5, -1e300, float("-inf")]
TOO_LONG = [float("inf"), 1e300, threading.TIMEOUT_MAX * 2, 10**30]
NO_TIMEOUT = ["1", [], 1.5j, fractions.Fraction(1, 100), decimal.Decimal("0.01")]
NAN = float("nan")


class Sync(NamedTuple):
    name: str
    threading: ModuleType
    queue: ModuleType


def load_sync(name):
    if name == "stdlib":
        return Sync(name, threading, queue)
    return Sync(
        name,
        importlib.import_module("pyconc.threading"),
        importlib.import_module("pyconc.queue"),
    )


def shape(text):
    """Return a repr without addresses and the names of modules."""
    text = re.sub(r"0x[0-9a-f]+", "0x", text)
    text = re.sub(r"\b(pyconc\.)?_?(threading|thread|queue|core)\.", "", text)
    return text.replace("locked lock object", "locked Lock object")
