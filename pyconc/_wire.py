"""How errors and functions of `__main__` cross between processes.

The rare paths of the codec, which the C core calls.  Imports nothing of the
core, which imports this.
"""

from __future__ import annotations

import pickle
import pickletools
import sys
import threading
import traceback
from concurrent.futures.process import _RemoteTraceback as FuturesTraceback
from multiprocessing.pool import (  # type: ignore[attr-defined]
    MaybeEncodingError,
)
from multiprocessing.pool import (  # type: ignore[attr-defined]
    RemoteTraceback as PoolTraceback,
)
from multiprocessing.reduction import ForkingPickler
from types import GetSetDescriptorType
from typing import Any

from .errors import DecodeError

_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made by a class statement

_FUTURES = "futures"
_POOL = "pool"


def _type_name(obj: object) -> str:
    cls = type(obj)
    return f"{cls.__module__}.{cls.__qualname__}"


def _text_of(exception: BaseException) -> str:
    """Format with the remote traceback; a faulty __str__ must not win."""
    try:
        return "".join(traceback.format_exception(exception))
    except Exception:
        return f"{_type_name(exception)} (its traceback cannot be shown)\n"


def _maybe_encoding_error(
    refusal: BaseException, value: object
) -> MaybeEncodingError:
    try:
        return MaybeEncodingError(refusal, value)
    except Exception:  # its __repr__ raises
        return MaybeEncodingError(refusal, _type_name(value))


def _encode(exception: BaseException, flavour: str) -> bytes:
    text = _text_of(exception)
    name = _type_name(exception)
    pickled: bytes | None
    try:
        pickled = bytes(ForkingPickler.dumps(exception))
    except Exception as refusal:
        # As in the stdlib: a Pool wraps it, an executor raises the refusal.
        substitute: BaseException
        if flavour == _POOL:
            substitute = _maybe_encoding_error(refusal, exception)
        else:
            substitute = refusal
        substitute.add_note(
            f"the task raised {name}, which cannot be pickled"
        )
        try:
            pickled = bytes(ForkingPickler.dumps(substitute))
        except Exception:
            pickled = None
    return pickle.dumps((flavour, pickled, name, text))


def encode_error_futures(exception: BaseException) -> bytes:
    """Encode what a task of an executor raised."""
    return _encode(exception, _FUTURES)


def encode_error_pool(exception: BaseException) -> bytes:
    """Encode what a task of a Pool raised."""
    return _encode(exception, _POOL)


def decode_error(data: bytes) -> BaseException:
    """Rebuild what a worker encoded; never raises for the user's reasons."""
    flavour, pickled, name, text = pickle.loads(data)
    exception: Any = None
    reason: BaseException | None = None
    if pickled is not None:
        try:
            exception = ForkingPickler.loads(pickled)
        except Exception as error:
            reason = error
    if not isinstance(exception, BaseException):
        exception = DecodeError(
            f"the task raised {name}, which cannot be rebuilt in this "
            f"process ({reason!r}); give it an __init__ or __reduce__ that "
            f"pickle can use. What it said:\n{text}"
        )
        exception.__cause__ = reason
        return exception  # type: ignore[no-any-return]
    remote: Any = PoolTraceback if flavour == _POOL else FuturesTraceback
    exception.__cause__ = remote(f'\n"""\n{text}"""')
    return exception


def unsendable_futures(result: object, refusal: BaseException) -> BaseException:
    """Return the error of an executor's task with an unpicklable result."""
    refusal.add_note(
        f"the task returned {_type_name(result)}, which cannot be pickled"
    )
    return refusal


def unsendable_pool(result: object, refusal: BaseException) -> BaseException:
    """Return the error of a Pool's task with an unpicklable result."""
    error: BaseException = _maybe_encoding_error(refusal, result)
    error.add_note(
        f"the task returned {_type_name(result)}, which cannot be pickled"
    )
    return error


def _named_in(data: bytes | None, error: BaseException) -> str:
    """Name the class that a pickle was rebuilding, as well as can be told."""
    frame = error.__traceback__
    found = None
    while frame is not None:
        if "self" in frame.tb_frame.f_locals:
            found = _type_name(frame.tb_frame.f_locals["self"])
        frame = frame.tb_next
    if found is None and data is not None:
        strings: list[str] = []
        try:
            for opcode, argument, _ in pickletools.genops(data):
                if opcode.name in ("SHORT_BINUNICODE", "BINUNICODE"):
                    strings.append(str(argument))
                elif opcode.name == "STACK_GLOBAL":
                    return ".".join(strings[-2:])
        except Exception:
            pass
    return found or "an object"


def undecodable(data: bytes | None, error: BaseException) -> BaseException:
    """Return the error of a task whose arguments could not be rebuilt."""
    stand_in = DecodeError(
        f"an argument of the task, {_named_in(data, error)}, could not be "
        f"rebuilt in the worker: {type(error).__name__}: {error}"
    )
    stand_in.__cause__ = error
    return stand_in


def result_error(error: BaseException, data: bytes | None) -> BaseException:
    """Return the error of a task whose result could not be rebuilt here."""
    stand_in = DecodeError(
        f"the result of the task, {_named_in(data, error)}, could not be "
        f"rebuilt in this process: {type(error).__name__}: {error}"
    )
    stand_in.__cause__ = error
    return stand_in


# A class that defines one of these tells pickle more than its __dict__.
_NOT_PLAIN = frozenset(
    {
        "__class__",
        "__getattr__",
        "__getattribute__",
        "__getnewargs__",
        "__getnewargs_ex__",
        "__getstate__",
        "__new__",
        "__reduce__",
        "__reduce_ex__",
        "__setstate__",
        "__slots__",
    }
)


# The `__dict__` of a class that defines none itself.
_MADE_BY_CLASS = (GetSetDescriptorType, type(None))


def is_plain_class(cls: type) -> bool:
    """Whether pickle only stores an instance's __dict__ and puts it back."""
    for base in cls.__mro__[:-1]:
        if type(base) is not type or not base.__flags__ & _HEAP_TYPE:
            return False
        if not _NOT_PLAIN.isdisjoint(vars(base)):
            return False
        if not isinstance(vars(base).get("__dict__"), _MADE_BY_CLASS):
            return False
    return cls.__dictoffset__ != 0


def dump_main(function: object) -> bytes:
    """Encode a function of `__main__`: by name, and by value for workers
    whose `__main__` lacks it."""
    import cloudpickle

    reference = bytes(ForkingPickler.dumps(function))
    try:
        value = cloudpickle.dumps(function)
    except Exception:
        value = None
    return pickle.dumps((reference, value))


def load_main(both: tuple[bytes, bytes | None]) -> object:
    """Decode what dump_main made."""
    reference, value = both
    try:
        return pickle.loads(reference)
    except AttributeError:
        if value is None:
            raise
        return pickle.loads(value)


def report_callback_error(error: BaseException) -> None:
    """Report what a Pool's callback raised, once, as for a thread."""
    threading.excepthook(
        threading.ExceptHookArgs(
            (type(error), error, error.__traceback__, threading.current_thread())
        )
    )
    sys.stderr.flush()
