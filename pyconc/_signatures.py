"""What C functions take and return, as ctypes, cffi, numba and SciPy say it.

The C half of `native` asks `plan`, `number`, `pointer` and `result` about
ctypes functions; `pyconc.native` asks `resolve` about pointers of any kind.
"""

from __future__ import annotations

import ctypes
import operator
import re
import sys
from _ctypes import CFuncPtr, _Pointer, _SimpleCData
from typing import Any, NamedTuple

from . import _core

__all__ = ["CFuncPtr", "Signature", "number", "plan", "pointer", "result"]

_PYTHON_API = 4  # the flag of ctypes' functions that are called with the GIL

_INTEGER_CODES = {
    (True, 1): "b",
    (False, 1): "B",
    (True, 2): "h",
    (False, 2): "H",
    (True, 4): "i",
    (False, 4): "I",
    (True, 8): "q",
    (False, 8): "Q",
}
_SIGNED = "bhilq"
_UNSIGNED = "BHILQ"
_POINTERS = "PzZ"


class Signature(NamedTuple):
    """A C function: the codes of its result and of its parameters.

    Format characters as in `struct`; P: a pointer, v: none.
    """

    address: int
    codes: bytes
    context: object = None  # that came with it


# --- ctypes: one call --------------------------------------------------------


def _code(kind: Any) -> str | None:
    """The code of a ctypes type, None if it is no scalar or pointer."""
    if not isinstance(kind, type):
        return None
    if issubclass(kind, (_Pointer, CFuncPtr)):
        return "P"
    if not issubclass(kind, _SimpleCData):
        return None
    code: str = getattr(kind, "_type_", "O")
    if code in _POINTERS:
        return "P"
    if code in "fd?":
        return code
    if code in _SIGNED + _UNSIGNED:
        return _INTEGER_CODES[code in _SIGNED, ctypes.sizeof(kind)]
    return None


def plan(flags: int, argtypes: Any, restype: Any, errcheck: object) -> bytes:
    """The codes of a ctypes function, or nothing: only ctypes can call it.

    Raises TypeError if it cannot be called without the GIL, or if it does not
    say what it takes.
    """
    if flags & _PYTHON_API:
        raise TypeError(
            "this function needs the GIL (PyDLL, PYFUNCTYPE): use submit()"
        )
    if errcheck is not None:
        raise TypeError(
            "a function with errcheck, which is Python code, needs submit()"
        )
    if argtypes is None:
        raise TypeError(
            "declare what the function takes: function.argtypes = [...]"
        )
    codes = []
    for index, kind in enumerate(argtypes, 1):
        code = _code(kind)
        if code is None:
            raise TypeError(
                f"argument {index}: {getattr(kind, '__name__', kind)!s} is no "
                "C scalar or pointer; use submit()"
            )
        codes.append(code)
    if restype is None:
        first = "v"
    else:
        code = _code(restype)
        if code is None:
            raise TypeError(
                "the result is no C scalar, pointer or None; use submit()"
            )
        plain = restype.__base__ is _SimpleCData and restype._type_ not in "zZ"
        first = code if plain else "O"
    if first == "O" and _code(restype) in ("f", "d"):
        return b""  # only ctypes makes an object of that
    return "".join([first, *codes]).encode()


def number(kind: Any, argument: Any, real: int) -> float:
    """Return an argument that is no int or float as one."""
    if isinstance(argument, kind):
        value = argument.value
        return ord(value) if isinstance(value, bytes) else value
    if hasattr(argument, "_as_parameter_"):
        return number(kind, argument._as_parameter_, real)
    try:
        if real:
            return float(operator.index(argument))
        return operator.index(argument)
    except TypeError:
        wanted = "a number" if real else "an int"
        raise TypeError(
            f"{kind.__name__} needs {wanted}, not {type(argument).__name__}"
        ) from None


def pointer(kind: Any, argument: Any) -> tuple[int, object]:
    """Return the address that ctypes would pass, and what must stay alive."""
    if isinstance(argument, bytes):
        kind.from_param(argument)
        holder: Any = ctypes.c_char_p(argument)
        return ctypes.cast(holder, ctypes.c_void_p).value or 0, holder
    if isinstance(argument, str):
        kind.from_param(argument)
        holder = ctypes.c_wchar_p(argument)
        return ctypes.cast(holder, ctypes.c_void_p).value or 0, holder
    try:
        passed = kind.from_param(argument)
        address = ctypes.cast(passed, ctypes.c_void_p).value or 0
    except ctypes.ArgumentError as error:
        raise TypeError(str(error)) from None
    return address, (argument, passed)


def result(kind: Any, bits: int) -> Any:
    """Return the object that ctypes would make of a returned word."""
    raw = bits.to_bytes(8, sys.byteorder)
    if sys.byteorder == "big":
        raw = raw[8 - ctypes.sizeof(kind) :]
    made = kind.from_buffer_copy(raw[: ctypes.sizeof(kind)])
    if kind.__base__ is _SimpleCData:
        return made.value
    return made


# --- pointers of any kind ----------------------------------------------------

_C_NAMES = {
    "void": "v",
    "bool": "?",
    "_Bool": "?",
    "char": "b",
    "signed char": "b",
    "int8_t": "b",
    "unsigned char": "B",
    "uint8_t": "B",
    "short": "h",
    "int16_t": "h",
    "unsigned short": "H",
    "uint16_t": "H",
    "int": "i",
    "int32_t": "i",
    "unsigned int": "I",
    "uint32_t": "I",
    "long": "q" if ctypes.sizeof(ctypes.c_long) == 8 else "i",
    "unsigned long": "Q" if ctypes.sizeof(ctypes.c_long) == 8 else "I",
    "long long": "q",
    "int64_t": "q",
    "ssize_t": "q" if sys.maxsize > 2**32 else "i",
    "intptr_t": "q" if sys.maxsize > 2**32 else "i",
    "ptrdiff_t": "q" if sys.maxsize > 2**32 else "i",
    "unsigned long long": "Q",
    "uint64_t": "Q",
    "size_t": "Q" if sys.maxsize > 2**32 else "I",
    "uintptr_t": "Q" if sys.maxsize > 2**32 else "I",
    "float": "f",
    "double": "d",
}


def _code_of_name(name: str) -> str:
    """The code of a C type's name, as capsules and cffi spell it."""
    if "*" in name:
        return "P"
    words = [w for w in name.split() if w not in ("const", "volatile")]
    code = _C_NAMES.get(" ".join(words))
    if code is None and len(words) > 1:  # with the parameter's name
        code = _C_NAMES.get(" ".join(words[:-1]))
    if code is None:
        raise TypeError(f"{name!r} is no C type that pyconc knows")
    return code


def _from_text(address: int, text: str, context: object = None) -> Signature:
    found = re.fullmatch(r"\s*(.+?)\s*\((.*)\)\s*", text)
    if found is None:
        raise TypeError(f"{text!r} is not the signature of a C function")
    inside = found[2].strip()
    names = [] if inside in ("", "void") else inside.split(",")
    codes = "".join(_code_of_name(name) for name in [found[1], *names])
    return Signature(address, codes.encode(), context)


def _from_ctypes(function: Any) -> Signature:
    return Signature(*_core.signature(function))


def _from_cffi(backend: Any, function: Any) -> Signature:
    kind = backend.typeof(function)
    if kind.kind == "pointer" and kind.item.kind == "function":
        kind = kind.item
    if kind.kind != "function":
        raise TypeError(f"a cffi {kind.cname!r} is not a function pointer")
    if kind.ellipsis:
        raise TypeError("the function must not take variable arguments")
    word = backend.new_primitive_type("uintptr_t")
    codes = "".join(_code_of_name(k.cname) for k in [kind.result, *kind.args])
    return Signature(int(backend.cast(word, function)), codes.encode())


_capsule_name = ctypes.pythonapi.PyCapsule_GetName
_capsule_name.argtypes = [ctypes.py_object]
_capsule_name.restype = ctypes.c_char_p
_capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_capsule_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
_capsule_pointer.restype = ctypes.c_void_p
_capsule_context = ctypes.pythonapi.PyCapsule_GetContext
_capsule_context.argtypes = [ctypes.py_object]
_capsule_context.restype = ctypes.c_void_p

# The name of capsules around a pyconc_range_function, see pyconc.h.
RANGE_CAPSULE = "pyconc.range_function"
_RANGE_TEXT = "void (int64_t, int64_t, void *)"


_Capsule: type = type(_core._C_API)
_Reference: Any = type(ctypes.byref(ctypes.c_int()))


def is_capsule(candidate: object) -> bool:
    """Return whether this is a PyCapsule."""
    return type(candidate) is _Capsule


def capsule_pointer(capsule: object) -> int:
    """Return what a capsule holds, under whatever name."""
    return _capsule_pointer(capsule, _capsule_name(capsule)) or 0


def _from_capsule(capsule: object) -> Signature:
    name = (_capsule_name(capsule) or b"").decode()
    address = capsule_pointer(capsule)
    context = _capsule_context(capsule)
    if name == RANGE_CAPSULE:
        name = _RANGE_TEXT
    return _from_text(address, name, context)


def resolve(function: Any) -> Signature:
    """Return the address and the types of a C function pointer.

    function: of ctypes or cffi, a numba @cfunc, a SciPy LowLevelCallable, or
        a capsule whose name is a signature.

    Raises TypeError for anything else, ValueError for NULL.
    """
    found = _resolve(function)
    if found.address == 0:
        raise ValueError("the function pointer is NULL")
    return found


def _resolve(function: Any) -> Signature:
    if isinstance(function, CFuncPtr):
        return _from_ctypes(function)
    if is_capsule(function):
        return _from_capsule(function)
    backend = sys.modules.get("_cffi_backend")
    if backend is not None and isinstance(function, backend.FFI.CData):
        return _from_cffi(backend, function)
    wrapped = getattr(function, "ctypes", None)  # numba's @cfunc
    if isinstance(wrapped, CFuncPtr):
        return _from_ctypes(wrapped)
    if isinstance(function, tuple) and hasattr(function, "user_data"):
        return _from_scipy(function)
    raise TypeError(
        "a C function pointer is needed (ctypes, cffi, numba's @cfunc, SciPy's "
        f"LowLevelCallable or a capsule), not {type(function).__name__}"
    )


def _from_scipy(callable_: Any) -> Signature:
    """A LowLevelCallable: a tuple with a capsule first."""
    found = _from_capsule(tuple.__getitem__(callable_, 0))
    if callable_.user_data is None:
        return found
    return found._replace(context=callable_.user_data)


_CData: Any = _SimpleCData.__base__
_ADDRESSES = (_Pointer, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_wchar_p)


def data(context: Any) -> Any:
    """Return a context as an address, or the object itself: a buffer perhaps.

    Raises TypeError for what C code cannot be given.
    """
    if isinstance(context, _CData):
        if isinstance(context, _ADDRESSES):
            return ctypes.cast(context, ctypes.c_void_p).value or 0
        return ctypes.addressof(context)
    if type(context) is _Reference:
        return ctypes.cast(context, ctypes.c_void_p).value or 0
    if is_capsule(context):
        return capsule_pointer(context)
    backend = sys.modules.get("_cffi_backend")
    if backend is None or not isinstance(context, backend.FFI.CData):
        return context
    declared = backend.typeof(context)
    if declared.kind not in ("pointer", "array"):
        raise TypeError(
            f"context: a cffi {declared.cname!r} is not a pointer or array"
        )
    word = backend.new_primitive_type("uintptr_t")
    void = backend.new_pointer_type(backend.new_void_type())
    return int(backend.cast(word, backend.cast(void, context)))
