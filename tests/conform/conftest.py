"""Fixtures of the conformance tests."""

import pytest

from support.fixtures import *  # noqa: F403  pytest finds fixtures by name
from support.impls import NAMES, load
from support.sync import load_sync
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
    items[:] = [item for item in items if not is_repetition(item)]


def is_repetition(item):
    """Threads have no start method: one run of their tests will do."""
    method = getattr(item, "callspec", None) and item.callspec.params.get("ctx_method")
    threads = item.module.__name__.rpartition(".")[2].startswith("test_thread_")
    return threads and method not in (None, "fork")


@pytest.fixture(params=NAMES)
def impl(request):
    return load(request.param)


@pytest.fixture(params=NAMES)
def sync(request):
    """threading and queue of one implementation."""
    return load_sync(request.param)
