"""The two implementations that the same assertions are run on."""

import concurrent.futures
import concurrent.futures.process
import multiprocessing
import multiprocessing.dummy
import multiprocessing.pool
import os
from types import ModuleType
from typing import NamedTuple

import pytest

METHODS = os.environ.get("PYCONC_TEST_METHODS", "fork spawn forkserver").split()
# One side alone: to try a test on the standard library, or where only our code
# is of interest (sanitizers).
NAMES = os.environ.get("PYCONC_TEST_SIDES", "stdlib pyconc").split()
PYCONC = [name for name in NAMES if name == "pyconc"]

all_methods = pytest.mark.parametrize("ctx_method", METHODS, indirect=True)
only_pyconc = pytest.mark.parametrize("impl", PYCONC, indirect=True)


class Impl(NamedTuple):
    name: str
    futures: ModuleType
    multiprocessing: ModuleType
    pool: ModuleType
    process: ModuleType

    def context(self, method):
        if method == "threads":
            return self.multiprocessing.dummy
        return self.multiprocessing.get_context(method)


def load(name):
    if name == "stdlib":
        return Impl(
            name,
            concurrent.futures,
            multiprocessing,
            multiprocessing.pool,
            concurrent.futures.process,
        )
    import pyconc.futures.process
    import pyconc.multiprocessing.dummy
    import pyconc.multiprocessing.pool

    return Impl(
        name,
        pyconc.futures,
        pyconc.multiprocessing,
        pyconc.multiprocessing.pool,
        pyconc.futures.process,
    )
