"""C functions on the threads of a pool, without the GIL.

`parallel_for` calls a C function for parts of a range, `map` applies one to
the items of arrays, on all CPUs; `ThreadPoolExecutor.submit_native` calls one
in a thread.  The functions touch no Python object.  One that crashes takes the
process with it.

There is nothing in the standard library to mirror.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from . import _core, _signatures
from .futures.thread import ThreadPoolExecutor

__all__ = ["map", "parallel_for"]

_lock = threading.Lock()
_shared: ThreadPoolExecutor | None = None
_RANGE = b"vqqP"


def _executor(executor: ThreadPoolExecutor | None) -> ThreadPoolExecutor:
    """Return the executor, or the one that all calls without one share."""
    global _shared
    if executor is not None:
        return executor
    if _shared is not None:
        return _shared
    with _lock:
        if _shared is None:
            _shared = ThreadPoolExecutor(
                _core.cpus_usable(), "pyconc-native", daemon=True
            )
        return _shared


def _renew_lock() -> None:
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


def _grain(grain: int | None) -> int:
    if grain is None:
        return 0
    if grain < 1:
        raise ValueError("grain must be None or >= 1")
    return grain


def parallel_for(
    function: Any,
    n: int,
    context: Any = None,
    *,
    grain: int | None = None,
    executor: ThreadPoolExecutor | None = None,
) -> None:
    """Call function(begin, end, context) for parts that make up range(n).

    function: `void f(int64_t begin, int64_t end, void *context)`, as a ctypes
        or cffi pointer, a numba @cfunc, a SciPy LowLevelCallable (its
        user_data is the context if none is given), or a capsule named
        "pyconc.range_function" or by that signature.  Its declared types are
        checked.
    context: None for NULL; an address; a C-contiguous buffer (NumPy array,
        bytearray, ...), which stays exported; a ctypes object, pointer or
        byref(); a cffi pointer or array; a capsule.  It stays referenced
        until the last call has returned.  Whether the function writes to it is
        not known here: that of a read-only buffer must not.
    grain: how many indexes a call gets at most; None: as many as should take
        some 50 microseconds, judged by the ones before.
    executor: whose threads help; None: those that all calls share.  No more
        threads take part than there are CPUs, this one included.

    Returns when all calls have returned.  Parts are handed out by work
    stealing: no order, and no thread, is promised.  Calls may be nested and
    come from several threads.

    Raises TypeError or ValueError for a wrong function, context, n or grain
    before anything runs, BufferError for a buffer that is not contiguous,
    RuntimeError after shutdown().  What a signal handler raises (Ctrl-C) is
    raised once the calls that run have returned; no further one begins.

    Thread-safe.  In a forked child new threads are started at need.
    """
    if isinstance(function, _signatures.CFuncPtr):
        found: tuple[Any, ...] = _core.signature(function)
    else:
        found = _signatures.resolve(function)
    if found[1] != _RANGE:
        raise TypeError(
            "the function must be void f(int64_t begin, int64_t end, "
            "void *context)"
        )
    if context is None and len(found) > 2:
        context = found[2]
    pointer = 0 if context is None else _signatures.data(context)
    _core.run_range(_executor(executor), found[0], n, pointer, _grain(grain))


def map(  # named as what it does
    function: Any,
    inputs: Any,
    outputs: Any,
    *,
    grain: int | None = None,
    executor: ThreadPoolExecutor | None = None,
) -> None:
    """Set outputs[i] = function(inputs[i]), or function(a[i], b[i]), for all i.

    function: `T f(T)` or `T f(T, U)` with integers of 1 to 8 bytes, float or
        double, as a ctypes or cffi pointer, a numba @cfunc, or a capsule or
        SciPy LowLevelCallable that tells its signature.
    inputs: a C-contiguous buffer of T (NumPy array, array.array, ...), or a
        tuple of two, of T and U, for a function of two.
    outputs: a writable one of T, of the same shape; may be an input.
    grain, executor: as for parallel_for().

    Raises TypeError if the types are not the buffers' formats, ValueError if
    the shapes differ, BufferError for a buffer that is not contiguous or not
    writable, before anything runs; else as parallel_for().
    """
    found = _signatures.resolve(function)
    arrays = inputs if isinstance(inputs, tuple) else (inputs,)
    codes = found.codes
    if len(codes) not in (2, 3) or codes[0] != codes[1]:
        raise TypeError("the function must be T f(T) or T f(T, U)")
    if len(arrays) != len(codes) - 1:
        raise TypeError(
            f"the function takes {len(codes) - 1} array(s), not {len(arrays)}"
        )
    first, second = (*arrays, None)[:2]
    _core.map_range(
        _executor(executor),
        found.address,
        chr(codes[1]),
        chr(codes[-1]),
        first,
        second,
        outputs,
        _grain(grain),
    )
