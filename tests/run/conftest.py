"""Fixtures of the tests of whole programs."""

import pytest

from support.watchdog import guarded, limit_items


def pytest_collection_modifyitems(items):
    limit_items(items, __file__, 180)


@pytest.fixture(autouse=True)
def watchdog():
    with guarded(120):
        yield
