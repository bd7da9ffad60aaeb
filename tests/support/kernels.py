"""C functions for tests of pyconc.native, compiled when they are needed."""

import atexit
import ctypes
import functools
import os
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("kernels.c")

RANGE = [ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
DECLARED = {
    "add": (ctypes.c_double, [ctypes.c_double] * 2),
    "halve": (ctypes.c_float, [ctypes.c_float]),
    "narrow": (ctypes.c_int8, [ctypes.c_int8]),
    "wrap": (ctypes.c_uint8, [ctypes.c_uint8]),
    "subtract": (ctypes.c_int32, [ctypes.c_int32] * 2),
    "largest": (ctypes.c_uint64, []),
    "flip": (ctypes.c_bool, [ctypes.c_bool]),
    "mixed": (
        ctypes.c_double,
        [
            ctypes.c_int32,
            ctypes.c_double,
            ctypes.c_float,
            ctypes.c_int64,
            ctypes.c_uint8,
            ctypes.c_double,
        ],
    ),
    "many": (ctypes.c_int64, [ctypes.c_int64] * 8),
    "note": (None, [ctypes.c_int64]),
    "get_noted": (ctypes.c_int64, []),
    "length": (ctypes.c_size_t, [ctypes.c_char_p]),
    "hello": (ctypes.c_char_p, []),
    "null": (ctypes.c_void_p, []),
    "total": (ctypes.c_double, [ctypes.POINTER(ctypes.c_double), ctypes.c_int64]),
    "same": (ctypes.POINTER(ctypes.c_double), [ctypes.POINTER(ctypes.c_double)]),
    "thread": (ctypes.c_ulong, []),
    "nap": (ctypes.c_int64, [ctypes.c_int64]),
    "wait_at": (ctypes.c_int, [ctypes.POINTER(ctypes.c_int)]),
    "square": (ctypes.c_double, [ctypes.c_double]),
    "weigh": (ctypes.c_int64, [ctypes.c_int64, ctypes.c_double]),
    "scale32": (ctypes.c_float, [ctypes.c_float, ctypes.c_uint16]),
    "invert": (ctypes.c_uint8, [ctypes.c_uint8]),
    **dict.fromkeys(("twice", "count", "tally", "slow", "meet"), (None, RANGE)),
}


@functools.cache
def compiled():
    """The path of the library; the test is skipped where nothing compiles C."""
    configured = (sysconfig.get_config_var("CC") or "").split()
    names = [os.environ.get("CC"), *configured[:1], "cc", "gcc", "clang"]
    compiler = next(
        (found for name in names if name and (found := shutil.which(name))), None
    )
    if compiler is None:
        pytest.skip("there is no C compiler")
    place, maker = Path(tempfile.mkdtemp(prefix="pyconc-kernels-")), os.getpid()

    @atexit.register
    def remove():
        if os.getpid() == maker:
            shutil.rmtree(place, ignore_errors=True)

    environment = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
    subprocess.run(
        [
            compiler,
            "-O1",
            "-g",
            "-shared",
            "-fPIC",
            "-w",
            "-o",
            "kernels.so",
            str(SOURCE),
            "-pthread",
            "-lm",
        ],
        cwd=place,
        env=environment,
        check=True,
    )
    return place / "kernels.so"


def load():
    """A new ctypes library, with its types declared."""
    library = ctypes.CDLL(str(compiled()))
    for name, (restype, argtypes) in DECLARED.items():
        function = getattr(library, name)
        function.restype, function.argtypes = restype, argtypes
    return library


class Gate:
    """What wait_at() waits at."""

    def __init__(self):
        self.words = (ctypes.c_int * 2)(0, 0)

    @property
    def inside(self):
        return self.words[1]

    def open(self):
        self.words[0] = 1
