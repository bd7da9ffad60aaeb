"""Fixtures of the tests of whole programs."""

from support.watchdog import limit_items, watchdog  # noqa: F401


def pytest_collection_modifyitems(items):
    limit_items(items, __file__, 290)
