"""Answering a program's imports with pyconc's modules.

Who imports decides: the program and the packages that it uses get pyconc's
modules; the standard library and pyconc itself get the standard library's.
`sys.modules` stays as it is, so whatever looks there (pickle, for one) finds
what it always found.
"""

from __future__ import annotations

import _thread
import builtins
import importlib
import os
import sys

from . import _launch

# Programs wait for this module: what others import it does without.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType, ModuleType
    from typing import Any

__all__ = ["install", "installed", "is_disabled", "uninstall"]

# What a user names, and the modules that are then answered with pyconc's.
# Modules of these packages that are not listed are the standard library's.
_ANSWERS = {
    "concurrent.futures": {
        "concurrent": "pyconc.concurrent",
        "concurrent.futures": "pyconc.futures",
        "concurrent.futures._base": "pyconc.futures._base",
        "concurrent.futures.process": "pyconc.futures.process",
        "concurrent.futures.thread": "pyconc.futures.thread",
    },
    "multiprocessing": {
        "multiprocessing": "pyconc.multiprocessing",
        "multiprocessing.context": "pyconc.multiprocessing.context",
        "multiprocessing.dummy": "pyconc.multiprocessing.dummy",
        "multiprocessing.pool": "pyconc.multiprocessing.pool",
    },
    "queue": {"queue": "pyconc.queue"},
    "threading": {"threading": "pyconc.threading"},
    "threadpool": {"threadpool": "pyconc.threadpool"},
}
_LIBRARY = os.path.dirname(os.__file__)
_PLACES = (
    os.path.join(_LIBRARY, ""),
    os.path.join(sys.base_exec_prefix, "lib", ""),
    os.path.join(sys.base_prefix, "lib", ""),
)
_bootstrap = importlib._bootstrap

# install() and uninstall(); not of `threading`, which few programs need.
_lock = _thread.allocate_lock()
_installed: tuple[str, ...] = ()
_answers: dict[str, str] = {}
# First names of modules that _answer is asked about.
_watched: set[str] = set()


# --- who answers -------------------------------------------------------------


def _kind(namespace: dict[str, Any]) -> str:
    """Whose code runs in a namespace."""
    name = namespace.get("__name__")
    if not isinstance(name, str) or name in ("__main__", "__mp_main__"):
        return "program"
    first = name.partition(".")[0]
    if first == "pyconc":
        return "pyconc"
    if first not in sys.stdlib_module_names:
        return "program"
    path = namespace.get("__file__")
    if isinstance(path, str) and not path.startswith(_PLACES):
        return "program"  # a file of its own, of that name
    return "library"


def _is_for_program(namespace: dict[str, Any] | None) -> bool:
    if namespace is not None:
        return _kind(namespace) == "program"
    # By name: the library does that for others (unittest.mock, pkgutil).
    try:
        frame: FrameType | None = sys._getframe(2)
    except ValueError:
        return False  # a thread, or the end, called it directly
    while frame is not None and _kind(frame.f_globals) == "library":
        frame = frame.f_back
    return frame is not None and _kind(frame.f_globals) == "program"


# By first name, modules that were found to be the ones that pyconc mirrors.
_mirrored: dict[str, object] = {}


def _is_replaced(first: str) -> bool:
    """Whether a name means the module that pyconc mirrors.

    And not a file of the program's own that has the same name.
    """
    module = sys.modules.get(first)
    if module is None or module is _mirrored.get(first):
        return module is not None
    path = os.path.splitext(getattr(module, "__file__", None) or "")[0]
    if first == "threadpool":
        # PyPI's, not a file of the program's own.
        known = "-packages" in path and hasattr(module, "NoResultsPending")
    else:
        place = os.path.join(_LIBRARY, first)
        known = path in (place, os.path.join(place, "__init__"))
    if known:
        _mirrored[first] = module
    return known


def _ours(name: str) -> ModuleType | None:
    """Our module; None if this thread is importing it just now."""
    module = sys.modules.get(name)
    if module is None or getattr(module.__spec__, "_initializing", False):
        hidden = _hidden_names()
        if hidden:
            with _LibraryFirst(hidden):
                module = importlib.import_module(name)
        else:
            module = importlib.import_module(name)  # waits for other threads
    if getattr(module.__spec__, "_initializing", False):
        return None
    return module


# --- files of the program that have names of standard modules -----------------


def _hidden_names() -> frozenset[str]:
    """Names of standard modules that files before them on the path have."""
    found: set[str] = set()
    for place in sys.path:
        if place == _LIBRARY:
            break
        try:
            found.update(entry.partition(".")[0] for entry in os.listdir(place or "."))
        except OSError:
            continue
    return sys.stdlib_module_names & found


class _LibraryFirst:
    """What is imported meanwhile gets the standard library's modules.

    Afterwards the names mean the program's files again, which have neither
    been imported nor run.
    """

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names

    def _loaded(self) -> dict[str, ModuleType]:
        return {
            name: module
            for name, module in list(sys.modules.items())
            if name.partition(".")[0] in self.names
        }

    def __enter__(self) -> None:
        self.before = self._loaded()
        for name, module in self.before.items():
            path = getattr(module, "__file__", None)
            if path is not None and not path.startswith(_PLACES):
                del sys.modules[name]
        sys.meta_path.insert(0, self)

    def __exit__(self, *_: object) -> None:
        sys.meta_path.remove(self)
        for name in self._loaded():
            del sys.modules[name]
        sys.modules.update(self.before)

    def find_spec(self, name: str, path: object = None, target: object = None) -> Any:
        """Find a standard module in its place."""
        if path is not None or name not in self.names:
            return None
        finder = importlib._bootstrap_external.PathFinder
        places = [place for place in sys.path if place.startswith(_PLACES)]
        return finder.find_spec(name, places)


# --- answering -----------------------------------------------------------------


def _answer(
    found: Any, name: str, namespace: dict[str, Any] | None, fromlist: Any
) -> Any:
    """Say what an import gives.

    found: what it would give, or the ModuleNotFoundError that it would raise.
    namespace: of the importing code; None: whoever calls.
    fromlist: as of __import__; true: the module itself is wanted.
    """
    answers = _answers  # another thread may install
    first = name.partition(".")[0]
    if first == "multiprocessing" and _is_replaced(first):
        _equip_children()
    if first not in answers or not _is_for_program(namespace):
        return found
    if isinstance(found, ModuleNotFoundError):
        # PyPI's package need not be there.
        if name != "threadpool" or found.name != name:
            return found
    elif not _is_replaced(first):
        return found
    if name in answers:
        ours = _ours(answers[name])
        if fromlist:
            return ours or found
    elif fromlist:
        return found
    return _ours(answers[first]) or found


# --- processes that multiprocessing starts -----------------------------------

_HELPERS = (
    "from multiprocessing.spawn import spawn_main",
    "from multiprocessing.forkserver import main",
)
_UTIL = "multiprocessing.util"
_is_equipping = False


def _equipped(start_process: Callable[..., int]) -> Callable[..., int]:
    """multiprocessing.util.spawnv_passfds, for processes that run programs."""

    def spawnv_passfds(path: Any, arguments: Any, descriptors: Any) -> int:
        if _installed:
            arguments = [
                _preamble() + argument
                if isinstance(argument, str) and argument.startswith(_HELPERS)
                else argument
                for argument in arguments
            ]
        return start_process(path, arguments, descriptors)

    spawnv_passfds._pyconc_equipped = True  # type: ignore[attr-defined]
    return spawnv_passfds


def _preamble() -> str:
    place = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return (
        f"import sys; sys.path.insert(0, {place!r}); import pyconc; "
        f"pyconc.install({_installed!r}); del sys.path[0], sys, pyconc; "
    )


def _equip_children() -> None:
    """Install in processes to come what is installed here.

    Forked ones have it; the others are given it on their command line.
    """
    global _is_equipping
    util: Any = sys.modules.get(_UTIL)
    if _is_equipping or hasattr(
        getattr(util, "spawnv_passfds", None), "_pyconc_equipped"
    ):
        return
    _is_equipping = True
    try:
        util = importlib.import_module(_UTIL)
        util.spawnv_passfds = _equipped(util.spawnv_passfds)
    finally:
        _is_equipping = False


# --- on and off --------------------------------------------------------------

_hooks: dict[str, tuple[Any, Any]] = {}


def install(only: Iterable[str] | None = None) -> None:
    """Answer imports of standard modules with pyconc's from now on.

    only: some of "concurrent.futures", "multiprocessing", "queue",
        "threading", "threadpool"; None: all of them.  What was installed
        before stays so.

    Concerns the modules of the program and of third-party packages, and those
    in processes that multiprocessing starts; modules that have been imported
    keep what they have.  The standard library itself and pyconc are never
    concerned.  Does nothing if the environment variable PYCONC_DISABLE is set
    and not 0.  Raises TypeError or ValueError for other names.  Thread-safe.
    """
    global _installed, _answers
    if isinstance(only, str):
        raise TypeError(f"only: a collection of names, as [{only!r}]")
    names = tuple(_ANSWERS if only is None else only)
    unknown = [str(name) for name in names if name not in _ANSWERS]
    if unknown:
        raise ValueError(
            f"pyconc does not replace {', '.join(unknown)}; "
            f"choose from {', '.join(_ANSWERS)}"
        )
    if is_disabled() or not names:
        return
    with _lock:
        _installed = tuple(sorted({*_installed, *names}))
        answers = dict(_answers)
        for name in names:
            answers.update(_ANSWERS[name])
        _answers = answers
        _watched.update(name.partition(".")[0] for name in answers)
        _watched.add("multiprocessing")  # for its processes
        _hook(builtins, "__import__", _launch.make_import)
        _hook(_bootstrap, "_gcd_import", _launch.make_import_by_name)
    if _is_replaced("multiprocessing"):
        _equip_children()


def is_disabled() -> bool:
    """Return whether the environment variable PYCONC_DISABLE is set."""
    return os.environ.get("PYCONC_DISABLE", "0") not in ("", "0")


def uninstall() -> None:
    """Answer no import any more.

    Modules keep what they have imported.  Thread-safe.
    """
    global _installed, _answers
    with _lock:
        _installed = ()
        _watched.clear()
        _answers = {}
        _unhook(builtins, "__import__")
        _unhook(_bootstrap, "_gcd_import")


def installed() -> tuple[str, ...]:
    """Return the names of the modules that are answered, sorted."""
    return _installed


def _hook(place: Any, name: str, make: Callable[..., Any]) -> None:
    previous = getattr(place, name)
    if name not in _hooks or _hooks[name][0] is not previous:
        ours = make(previous, _watched, _answer)
        _hooks[name] = ours, previous
        setattr(place, name, ours)


def _unhook(place: Any, name: str) -> None:
    """Take ours away; where somebody else's wraps it, it does nothing."""
    ours, previous = _hooks.get(name, (None, None))
    if ours is not None and getattr(place, name) is ours:
        setattr(place, name, previous)
        del _hooks[name]
