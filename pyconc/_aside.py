"""Subclasses that replace the inner workings of the standard library's classes.

A pool whose queues a subclass sets up, an executor whose threads it starts:
with our engines those methods would never be called.  Such a subclass is one
of the standard library's class, as it was written to be.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from types import FunctionType
from typing import TypeVar

__all__ = ["SteppingAside", "replaces"]

_T = TypeVar("_T", bound=type)


def _is_ours(cls: type) -> bool:
    # Not the attribute: while a class is made that is its metaclass's.
    module: str = vars(cls).get("__module__", "builtins")
    return module.partition(".")[0] == "pyconc"


class SteppingAside(abc.ABCMeta):
    """The type of a class that leaves some subclasses to the standard library's.

    An ABCMeta, so that classes may be both one of ours and an ABC.
    """

    # Methods of the standard library's class that ours never calls.
    _pyconc_unused: frozenset[str]

    def mro(cls) -> list[type]:
        """Leave our classes out if what they do not call is overridden."""
        order = type.mro(cls)  # there is no super() of what is being made
        for place, base in enumerate(order):
            unused = vars(base).get("_pyconc_unused")
            if unused is None:
                continue
            if any(unused & vars(derived).keys() for derived in order[:place]):
                return [base for base in order if not _is_ours(base)]
            break
        return order


def replaces(*theirs: type) -> Callable[[_T], _T]:
    """Say which classes of the standard library a class stands for."""

    def decorate(ours: _T) -> _T:
        own = {
            name
            for base in ours.__mro__
            if _is_ours(base)
            for name in vars(base)
        }
        ours._pyconc_unused = frozenset(  # type: ignore[attr-defined]
            name
            for cls in theirs
            for name, value in vars(cls).items()
            if name[0] == "_"
            and name[:2] != "__"
            and name not in own
            and isinstance(value, (FunctionType, classmethod, staticmethod))
        )
        return ours

    return decorate
