"""Classes that stand for one of the standard library's.

Their instances and those of the standard library's class count as the same
kind: asyncio and `multiprocessing` make the latter for everybody.

A subclass that replaces inner workings, such as a pool whose queues it sets up
or an executor whose threads it starts, overrides what our engines never call.
It becomes a subclass of the standard library's class, for which it was written.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Collection
from types import FunctionType
from typing import Any, TypeVar

__all__ = ["Replacement", "described", "replaces", "their_name"]

_T = TypeVar("_T", bound=type)


def _is_ours(cls: type) -> bool:
    # Not the attribute: while a class is made that is its metaclass's.
    module: object = vars(cls).get("__module__")
    return str(module).partition(".")[0] == "pyconc"


def their_name(self: object) -> str:
    """Return the name of its class as reprs of the standard library show it."""
    cls = type(self)
    return f"{cls.__module__.removeprefix('pyconc.')}.{cls.__qualname__}"


def described(self: object, state: str = "") -> str:
    """Return its repr, with its state if there is one to show."""
    if state:
        return f"<{their_name(self)} at {id(self):#x}: {state}>"
    return f"<{their_name(self)} object at {id(self):#x}>"


class Replacement(abc.ABCMeta):
    """The type of a class that stands for one of the standard library's.

    An ABCMeta, so that classes may be both one of ours and an ABC.
    """

    # The standard library's class, and its methods that ours never calls.
    _pyconc_theirs: type
    _pyconc_unused: frozenset[str]
    _pyconc_in_python: bool

    def __new__(
        mcls,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        **keywords: Any,
    ) -> Any:
        """Derive from their class if what ours does not call is overridden."""
        overridden, chosen = set(namespace), []
        for base in bases:
            unused = vars(base).get("_pyconc_unused")
            if unused is None:  # perhaps it comes with methods for ours
                overridden.update(*map(vars, base.__mro__))
            elif not unused.isdisjoint(overridden):
                base = vars(base)["_pyconc_theirs"]
            chosen.append(base)
        return super().__new__(mcls, name, tuple(chosen), namespace, **keywords)

    def mro(cls) -> list[type]:
        """Do the same for a class that derives from one that derives from ours.

        Its bases exist by now, but the order in which methods are looked up
        can do without ours.
        """
        order = type.mro(cls)
        for place, base in enumerate(order):
            if "_pyconc_unused" not in vars(base):
                continue
            overridden: set[str] = set().union(*map(vars, order[:place]))
            if vars(base)["_pyconc_in_python"] and not vars(base)[
                "_pyconc_unused"
            ].isdisjoint(overridden):
                return [c for c in order if not _is_ours(c)]
            break
        return order

    def __instancecheck__(cls, instance: object) -> bool:
        theirs = vars(cls).get("_pyconc_theirs", ())
        return isinstance(instance, theirs) or super().__instancecheck__(
            instance
        )

    def __subclasscheck__(cls, subclass: type) -> bool:
        theirs = vars(cls).get("_pyconc_theirs", ())
        if issubclass(subclass, theirs):
            return True
        # list[int], for one, is none; ABCMeta would say so by TypeError.
        return isinstance(subclass, type) and super().__subclasscheck__(
            subclass
        )


def replaces(
    theirs: type,
    *,
    calls: Collection[str] = (),
    inherits: bool = False,
    in_python: bool = False,
) -> Callable[[_T], _T]:
    """Say which class of the standard library a class stands for.

    calls: the private methods that it calls, so that they can be overridden.
    inherits: it works as the standard library's class does.
    in_python: it derives from that class, and can be left out of the order in
        which methods are looked up: nothing in C looks for it there.
    """

    def decorate(ours: _T) -> _T:
        ours._pyconc_theirs = theirs  # type: ignore[attr-defined]
        ours._pyconc_in_python = in_python  # type: ignore[attr-defined]
        ours._pyconc_unused = frozenset(  # type: ignore[attr-defined]
            name
            for cls in (() if inherits else theirs.__mro__)
            for name, value in vars(cls).items()
            if name[0] == "_"
            and name[:2] != "__"
            and name not in calls
            and isinstance(value, (FunctionType, classmethod, staticmethod))
        )
        return ours

    return decorate
