"""`python -m pyconc doctor`: what the machine offers and pyconc makes of it."""

from __future__ import annotations

import ctypes
import mmap
import multiprocessing
import os
import platform
import resource
import signal
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator

from . import __version__, _core, native, threading
from ._install import is_disabled
from .errors import WorkerLostError
from .futures import ProcessPoolExecutor, ThreadPoolExecutor
from .futures._executor import default_workers

_MiB = 1 << 20
# How long each engine is tried, in seconds.
_TRIAL = 0.8


# --- what there is -----------------------------------------------------------


def _size(count: int) -> str:
    value = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"


def _gil() -> str:
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "one lock (GIL): Python code of threads takes turns"
    if getattr(sys, "_is_gil_enabled", lambda: True)():
        return "free-threaded build, with the GIL switched on"
    return "free-threaded"


def _cpus() -> str:
    machine = os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0))
    usable = _core.cpus_usable()
    text = f"{usable} usable"
    if allowed < machine:
        text += f", affinity allows {allowed} of {machine}"
    if usable < allowed:
        text += f", the CPU quota of the control group allows {usable}"
    return text


def _memory() -> str:
    available, limit = _core.memory_available()
    return f"{_size(available)} available, by {limit}"


def _has_pidfd() -> str:
    os.close(os.pidfd_open(os.getpid()))
    return "works: deaths of workers are seen at once"


def _has_memfd() -> str:
    descriptor = os.memfd_create("pyconc-doctor", os.MFD_ALLOW_SEALING)
    try:
        os.posix_fallocate(descriptor, 0, _MiB)
        with mmap.mmap(descriptor, _MiB) as memory:
            memory[:4] = b"memo"
    finally:
        os.close(descriptor)
    return "works: pools share memory without names"


def _wait() -> float:
    started = time.monotonic()
    threading.Event().wait(0.01)
    return time.monotonic() - started


def _has_futex() -> str:
    waited = min(_wait() for _ in range(3))  # the machine may be busy
    if not 0.009 < waited < 1:
        raise OSError(f"a wait of 0.01 s took {waited:.3f} s")
    return "works: waiting burns nothing"


def _shm() -> str:
    try:
        status = os.statvfs("/dev/shm")
    except OSError as error:
        return f"not there ({error.strerror}); pyconc does not need it"
    size = status.f_blocks * status.f_frsize
    return f"{_size(size)}; pyconc leaves no files there"


_LIMITS = {
    "RLIMIT_NOFILE": "open files: a pool takes 3 and some per worker",
    "RLIMIT_NPROC": "processes and threads of this user",
    "RLIMIT_AS": "address space: pools reserve less if it is small",
    "RLIMIT_FSIZE": "file size: bounds shared memory as well",
}


def _limits() -> Iterator[tuple[str, str]]:
    for name, meaning in _LIMITS.items():
        soft, hard = resource.getrlimit(getattr(resource, name))
        infinite = resource.RLIM_INFINITY
        text = "unlimited" if soft == infinite else str(soft)
        if soft != hard:
            text += f" (up to {'unlimited' if hard == infinite else hard})"
        yield name, f"{text}; {meaning}"


def _plan() -> Iterator[tuple[str, str]]:
    method = multiprocessing.get_start_method(allow_none=True)
    default = multiprocessing.get_all_start_methods()[0]
    others = ", ".join(multiprocessing.get_all_start_methods()[1:])
    yield "start method", f"{method or default} (also {others})"
    count = default_workers()
    yield "Pool(), ProcessPoolExecutor()", f"{count} processes"
    yield "ThreadPoolExecutor()", f"up to {min(32, count + 4)} threads"
    spinners = _core.cpus_usable() - 1
    yield (
        "idle workers",
        f"up to {spinners} look for work for some microseconds, then all sleep"
        if spinners
        else "sleep at once, since there is one CPU",
    )
    yield "parallel_for", f"{_core.cpus_usable()} threads"


# --- the engines at work -----------------------------------------------------


def _square(number: int) -> int:
    return number * number


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _rate(executor: ProcessPoolExecutor | ThreadPoolExecutor) -> str:
    """Run small tasks for a moment, check their results, tell the speed."""
    executor.submit(_square, 1).result(30)
    done, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < _TRIAL / 2:
        futures = [executor.submit(_square, i) for i in range(1000)]
        for i, future in enumerate(futures):
            if future.result(30) != i * i:
                raise AssertionError(f"{i} squared is not {future.result()}")
        done += 1000
    each = passed / done
    trips, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < _TRIAL / 4:
        executor.submit(_square, trips).result(30)
        trips += 1
    return (
        f"works: {each * 1e6:.1f} us for each of 1000 tasks, "
        f"{passed / trips * 1e6:.1f} us for one there and back"
    )


def _try_threads() -> str:
    with ThreadPoolExecutor(2) as executor:
        return _rate(executor)


def _try_processes() -> str:
    with ProcessPoolExecutor(2, on_worker_lost="replace") as executor:
        text = _rate(executor)
        try:
            executor.submit(_die).result(30)
        except WorkerLostError:
            pass
        else:
            raise AssertionError("a killed worker was not missed")
        if executor.submit(_square, 3).result(30) != 9:
            raise AssertionError("the pool did not survive its worker")
    return f"{text}; a killed worker was reported and replaced"


def _try_native() -> str:
    function = ctypes.CDLL(None).abs
    function.argtypes, function.restype = [ctypes.c_int], ctypes.c_int
    numbers = (ctypes.c_int * 1000)(*range(-1000, 0))
    native.map(function, numbers, numbers)
    if list(numbers) != list(range(1000, 0, -1)):
        raise AssertionError("a C function over a buffer gave wrong results")
    return "works: a C function ran without the interpreter lock"


# --- the report --------------------------------------------------------------


def _print(name: str, text: str) -> None:
    print(f"  {name:30} {text}", flush=True)


def _check(name: str, call: Callable[[], str]) -> bool:
    try:
        text = call()
    except Exception as error:
        _print(name, f"FAILS: {type(error).__name__}: {error}")
        return False
    _print(name, text)
    return True


def main(arguments: list[str]) -> int:
    """Print the report; return 0 if everything works, 1 if not."""
    if arguments:
        print("usage: python -m pyconc doctor", file=sys.stderr)
        return 2
    print(
        f"pyconc {__version__} on {platform.python_implementation()} "
        f"{platform.python_version()}, {platform.system()} "
        f"{platform.release()}, {platform.machine()}"
    )
    print("\nThis machine")
    well = [
        _check("CPUs", _cpus),
        _check("memory", _memory),
        _check("threads", _gil),
        _check("futex", _has_futex),
        _check("pidfd", _has_pidfd),
        _check("memfd", _has_memfd),
        _check("/dev/shm", _shm),
    ]
    for name, text in _limits():
        _print(name, text)
    print("\nWhat pyconc does with it")
    if is_disabled():
        _print("PYCONC_DISABLE", "set: run and install() do nothing")
    for name, text in _plan():
        _print(name, text)
    print("\nSelf-test")
    well += [
        _check("threads", _try_threads),
        _check("processes", _try_processes),
        _check("C functions", _try_native),
    ]
    print("\nAll is well." if all(well) else "\nSomething is wrong: see FAILS.")
    return 0 if all(well) else 1
