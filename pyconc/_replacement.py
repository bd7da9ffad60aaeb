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

__all__ = ["Replacement", "replaces"]

_T = TypeVar("_T", bound=type)


def _is_ours(cls: type) -> bool:
    # Not the attribute: while a class is made that is its metaclass's.
    module: object = vars(cls).get("__module__")
    return str(module).partition(".")[0] == "pyconc"


class Replacement(abc.ABCMeta):
    """The type of a class that stands for one of the standard library's.

    An ABCMeta, so that classes may be both one of ours and an ABC.
    """

    # The standard library's class, and its methods that ours never calls.
    _pyconc_theirs: type
    _pyconc_unused: frozenset[str]

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
            if vars(base).get("_pyconc_has_parent") and not vars(base)[
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
    theirs: type, *, calls: Collection[str] = (), inherits: bool = False
) -> Callable[[_T], _T]:
    """Say which class of the standard library a class stands for.

    calls: the private methods that it calls, so that they can be overridden.
    inherits: it works as the standard library's class does.
    """

    def decorate(ours: _T) -> _T:
        ours._pyconc_theirs = theirs  # type: ignore[attr-defined]
        # Pools and executors.  Others have a layout in C, for which their
        # class must stay in the order.
        ours._pyconc_has_parent = (  # type: ignore[attr-defined]
            theirs in ours.__mro__ and not hasattr(theirs, "set_result")
        )
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
