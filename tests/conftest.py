"""For all tests: a watchdog, and random numbers that can be repeated."""

import faulthandler
import gc
import os
import random
import secrets
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# The same variables as in the C tests.
WATCHDOG_SECONDS = float(os.environ.get("PYCONC_TEST_WATCHDOG", "300"))
SEED = int(os.environ.get("PYCONC_TEST_SEED") or str(secrets.randbits(32)), 0)
# Processes that run a part of the tests draw the same sample.
os.environ["PYCONC_TEST_SEED"] = str(SEED)

# How long an example takes says how busy the machine is.
settings.register_profile(
    "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")

stderr_key = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "watchdog(seconds): print all stacks and give up after so long",
    )
    # Output is not captured yet; later on, descriptor 2 is a file.
    config.stash[stderr_key] = os.dup(2)


def pytest_sessionstart() -> None:
    # Shells start what runs in the background with SIGINT ignored, and what
    # a test starts would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    # Thousands of tests, which each collection of garbage would look at.
    gc.collect()
    gc.freeze()


def pytest_report_header() -> str:
    return f"seed: PYCONC_TEST_SEED={SEED} repeats this run"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    # A hang ends the whole run: what hangs in C cannot be interrupted, and
    # the tests that follow would meet its leftovers.
    marker = item.get_closest_marker("watchdog")
    seconds = marker.args[0] if marker else WATCHDOG_SECONDS
    stderr = item.config.stash[stderr_key]
    faulthandler.dump_traceback_later(seconds, exit=True, file=stderr)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Return random numbers of this test's own, the same for one seed."""
    return random.Random(f"{SEED} {request.node.nodeid}")
