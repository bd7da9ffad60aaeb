"""The C API, by means of the example extension, built out of the tree."""

import array
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import pyconc
from pyconc.futures import ThreadPoolExecutor

EXAMPLE = Path(__file__).parents[2] / "examples" / "extension"
LONG = 30


@pytest.fixture(scope="module")
def waves(tmp_path_factory):
    pytest.importorskip("setuptools")
    place = tmp_path_factory.mktemp("extension")
    for name in ("setup.py", "waves.c"):
        shutil.copy(EXAMPLE / name, place)
    environment = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
    # Where this pyconc is, which may be uninstalled.
    environment["PYTHONPATH"] = str(Path(pyconc.__file__).parents[1])
    environment["CFLAGS"] = "-Wall -Wextra -Werror"
    if "LD_PRELOAD" in os.environ:  # a build with sanitizers is imported
        environment["LD_PRELOAD"] = os.environ["LD_PRELOAD"]
    built = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = place.glob("waves.*.so")
    spec = importlib.util.spec_from_file_location("waves", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def executor():
    with ThreadPoolExecutor(2) as executor:
        yield executor


def test_the_header_is_there():
    header = Path(pyconc.get_include()) / "pyconc.h"
    assert "pyconc_parallel_for" in header.read_text()


@pytest.mark.parametrize("own", [False, True])
def test_parallel_for(waves, executor, own):
    values = array.array("d", range(10_000))
    assert waves.damp(values, 0.5, executor if own else None) is None
    assert list(values) == [n * 0.5 for n in range(10_000)]
    waves.damp(array.array("d"), 2)


def test_errors_of_parallel_for(waves, executor):
    values = array.array("d", [1])
    for wrong in (5, "executor", object()):
        with pytest.raises(TypeError, match="ThreadPoolExecutor"):
            waves.damp(values, 2, wrong)
    executor.shutdown()
    with pytest.raises(RuntimeError, match="shutdown"):
        waves.damp(values, 2, executor)
    assert values[0] == 1


def test_submit(waves, executor):
    values = array.array("d", [1, 2, 3])
    for _ in range(500):
        assert waves.energy(values, executor).result(LONG) == 14
    futures = [waves.energy(values, executor) for _ in range(500)]
    assert {future.result(LONG) for future in futures} == {14}
    del futures
    values.append(4)  # nothing exports it any more
    assert waves.energy(values, executor).result(LONG) == 30


def test_release_when_cancelled(waves):
    gate = threading.Event()
    values = array.array("d", [1, 2, 3])
    with ThreadPoolExecutor(1) as executor:
        executor.submit(gate.wait, LONG)
        future = waves.energy(values, executor)
        with pytest.raises(BufferError):
            values.append(4)
        assert future.cancel()
        values.append(4)
        gate.set()


def test_release_when_refused(waves, executor):
    values = array.array("d", [1, 2, 3])
    for wrong in (5, None):
        with pytest.raises(TypeError, match="ThreadPoolExecutor"):
            waves.energy(values, wrong)
    executor.shutdown()
    with pytest.raises(RuntimeError, match="shutdown"):
        waves.energy(values, executor)
    values.append(4)
