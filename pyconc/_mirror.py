"""Modules that mirror one of the standard library."""

from __future__ import annotations

import sys
import types
from typing import Any

__all__ = ["mirror"]


class _Mirror(types.ModuleType):
    """A module that has what another one has, and something of its own.

    What is not its own is read, set, patched and deleted in the other one.
    """

    def __getattr__(self, name: str) -> Any:
        # What came later.  Dunder names are the import system's.
        if name[:2] == "__":
            raise AttributeError(
                f"module {self.__name__!r} has no attribute {name!r}"
            )
        return getattr(self.__dict__["_pyconc_mirrored"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._pyconc_theirs:
            setattr(self._pyconc_mirrored, name, value)
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        if name in self.__dict__ and name in self._pyconc_theirs:
            delattr(self._pyconc_mirrored, name)
        super().__delattr__(name)

    def __dir__(self) -> list[str]:
        theirs = getattr(self._pyconc_mirrored, "__all__", ())
        return sorted({*super().__dir__(), *theirs})


def _elsewhere(name: str) -> property:
    """An attribute of the other module.

    A descriptor, so that what undoes a patch sets it as it was (pytest), or
    deletes it first (unittest.mock).
    """
    return property(
        lambda module: getattr(module._pyconc_mirrored, name),
        lambda module, value: setattr(module._pyconc_mirrored, name, value),
        lambda module: delattr(module._pyconc_mirrored, name),
    )


def mirror(name: str, mirrored: types.ModuleType) -> None:
    """Make a module, at its end, the mirror of another one."""
    ours = sys.modules[name].__dict__
    theirs = frozenset(
        attribute
        for attribute, value in vars(mirrored).items()
        if attribute[:2] != "__"
        and ours.get(attribute, value) is value
        # The import system sets our submodules here.
        and f"{mirrored.__name__}.{attribute}" not in sys.modules
    )
    if hasattr(mirrored, "__all__"):
        # `from ... import *` gives no more names than ever.
        ours["_pyconc_all"] = ours["__all__"]
        ours["__all__"] = list(mirrored.__all__)
    ours["_pyconc_mirrored"] = mirrored
    ours["_pyconc_theirs"] = theirs
    sys.modules[name].__class__ = type(
        "module",
        (_Mirror,),
        {
            attribute: _elsewhere(attribute)
            for attribute in theirs.difference(ours)
        },
    )
