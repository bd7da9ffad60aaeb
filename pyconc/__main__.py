"""The command line: `python -m pyconc --help`."""

from __future__ import annotations

import sys

import pyconc

_USAGE = """\
usage: python -m pyconc run [--only NAMES] (script.py | -m module | -c code | -) \
[arguments ...]
       python -m pyconc doctor
       python -m pyconc --help | --version

run     Run a program as python itself does, with multiprocessing, threading,
        queue, concurrent.futures and threadpool answered by pyconc: for the
        program, for the packages that it imports and in its child processes.
        --only NAMES: only these modules, as queue,threading
        The environment variable PYCONC_DISABLE=1 runs it without pyconc.
doctor  Say what this machine offers, what pyconc does with it, and whether
        both engines work.
"""


def _fail(message: str) -> int:
    print(_USAGE, end="", file=sys.stderr)
    print(f"pyconc: {message}", file=sys.stderr)
    return 2


def _run(arguments: list[str]) -> int:
    only = None
    while arguments and arguments[0].startswith("--only"):
        option, equals, names = arguments.pop(0).partition("=")
        if option != "--only" or not (equals or arguments):
            return _fail(f"{option}: no such option, or without NAMES")
        only = (names if equals else arguments.pop(0)).split(",")
    if not arguments:
        return _fail("run: which program? (- is standard input)")
    kind = arguments[0]
    if kind in ("-m", "-c") and len(arguments) < 2:
        return _fail(f"argument expected for the {kind} option")
    if kind.startswith("-") and kind[:2] not in ("-m", "-c", "-"):
        return _fail(f"run: unknown option {kind}")
    try:
        pyconc.install(only)
    except ValueError as error:
        return _fail(f"--only: {error}")
    from . import _program

    return _program.run(arguments)


def main(arguments: list[str]) -> int:
    """Do what the arguments say; return the exit status."""
    command, *rest = arguments or ["--help"]
    if command == "run":
        return _run(rest)
    if command == "doctor":
        from . import _doctor

        return _doctor.main(rest)
    if command in ("-h", "--help"):
        print(_USAGE, end="")
        return 0
    if command in ("-V", "--version"):
        print(f"pyconc {pyconc.__version__}")
        return 0
    return _fail(f"unknown command {command}")


if __name__ == "__main__":
    status = main(sys.argv[1:])
    if not sys.flags.inspect:  # the interpreter goes on with -i
        sys.exit(status)
