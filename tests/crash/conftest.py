"""Which part of the crash matrix is run.

Nothing said: a small sample.  --crash-sample=N: a sample of N cases, the same
for one PYCONC_TEST_SEED.  --full-matrix: every case.
"""

import random
from pathlib import Path

import pytest

from crash.points import matrix
from support.watchdog import limit_items

SMALL_SAMPLE = 12


def pytest_addoption(parser):
    parser.addoption(
        "--crash-sample",
        type=int,
        metavar="N",
        help="run N cases of the crash matrix",
    )
    parser.addoption(
        "--full-matrix",
        action="store_true",
        help="run the whole crash matrix",
    )


def _seed(config):
    """Return the seed that tests/conftest.py has printed."""
    path = Path(__file__).parents[1] / "conftest.py"
    return config.pluginmanager.get_plugin(str(path)).SEED


def pytest_generate_tests(metafunc):
    if "case" not in metafunc.fixturenames:
        return
    config = metafunc.config
    cases = matrix()
    # Without this folder on the command line the options do not exist.
    if not config.getoption("full_matrix", False):
        count = config.getoption("crash_sample", None) or SMALL_SAMPLE
        chance = random.Random(f"{_seed(config)} crash matrix")
        cases = chance.sample(cases, min(count, len(cases)))
    metafunc.parametrize("case", cases, ids=str)


def pytest_collection_modifyitems(items):
    limit_items(items, __file__, 290)


@pytest.fixture
def crash_points():
    """Skip the test unless the installed pyconc has crash points."""
    from pyconc import _core

    if not _core.debug_build:
        pytest.skip(
            "this build has no crash points; PYCONC_DEBUG=1 makes one that has"
        )
