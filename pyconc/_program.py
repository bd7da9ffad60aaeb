"""Running a program as `__main__`, as the interpreter's command line does."""

from __future__ import annotations

import os
import sys

from . import _launch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_our_main = None


def run(arguments: list[str]) -> int:
    """Run `script args`, `-m module args`, `-c code args` or `- args`.

    Returns the exit status, if the program does not end the process.
    """
    _make_main()
    kind = arguments[0]
    if kind.startswith(("-m", "-c")):
        attached = [kind[2:]] if kind[2:] else []
        value, *rest = attached + arguments[1:]
        sys.argv[:] = [kind[:2], *rest]
        if kind.startswith("-m"):
            return _run_module(value, True)
        _search_in("")
        if sys.version_info >= (3, 13):
            _show_lines(value)
        return _launch.run_string(value + "\n")
    sys.argv[:] = arguments
    if kind == "-":
        _search_in("")
        return _launch.run_input()
    path = kind if os.path.isabs(kind) else os.path.join(os.getcwd(), kind)
    if _is_package(path):
        sys.path[: not sys.flags.safe_path] = [path]
        return _run_module("__main__", False)
    _search_in(os.path.dirname(os.path.realpath(path)))
    return _run_script(path)


def _make_main() -> None:
    """Put a new `__main__` in our own's place."""
    global _our_main
    _our_main = sys.modules["__main__"]  # it still runs
    main: Any = type(sys)("__main__")
    main.__builtins__ = sys.modules["builtins"]
    main.__loader__ = sys.modules["_frozen_importlib"].BuiltinImporter
    main.__annotations__ = {}
    sys.modules["__main__"] = main


def _search_in(directory: str) -> None:
    """Put a directory where `python -m` has put the current one."""
    if not sys.flags.safe_path:
        sys.path[0] = directory


def _is_package(path: str) -> bool:
    """Whether it is a directory or an archive, that has a `__main__`."""
    for hook in sys.path_hooks:
        try:
            hook(path)
        except ImportError:
            continue
        return True
    return False


def _show_lines(source: str) -> None:
    """Let tracebacks show the lines of `-c`, as they do from 3.13 on."""
    import linecache

    register = linecache._register_code  # type: ignore[attr-defined]
    try:
        code = compile(source, "<string>", "exec")
    except (SyntaxError, ValueError):
        return  # reported when it is run
    # 3.13.0 knows it by its name.
    by_code = hasattr(linecache, "_interactive_cache")
    register(code if by_code else code.co_filename, source, code.co_filename)


def _run_module(name: str, is_named: bool) -> int:
    import runpy

    return _launch.run_call(
        runpy._run_module_as_main,  # type: ignore[attr-defined]
        name,
        is_named,
    )


def _run_script(path: str) -> int:
    try:
        return _launch.run_file(path)
    except OSError as error:
        print(
            f"{sys.executable}: can't open file {path!r}: "
            f"[Errno {error.errno}] {error.strerror}",
            file=sys.stderr,
        )
        return 2
