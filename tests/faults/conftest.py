"""Fixtures of the fault tests; they run on pyconc only."""

import pytest

from support.fixtures import *  # noqa: F403  pytest finds fixtures by name
from support.impls import load
from support.watchdog import limit_items, watchdog  # noqa: F401


def pytest_configure(config):
    config.addinivalue_line(
        "filterwarnings",
        # forking with threads about is what a pool under fork does
        r"ignore:.*use of fork\(\) may lead to deadlocks:DeprecationWarning",
    )
    config.addinivalue_line(
        "filterwarnings",
        # a helper thread that dies of an error is a failure
        "error::pytest.PytestUnhandledThreadExceptionWarning",
    )


def pytest_collection_modifyitems(items):
    limit_items(items, __file__, 120)


@pytest.fixture
def impl():
    return load("pyconc")
