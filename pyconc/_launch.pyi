# Stub of the C module that runs a program whose imports pyconc answers.

from collections.abc import Callable
from types import ModuleType
from typing import Any

def make_import(
    previous: Callable[..., ModuleType],
    watched: set[str],
    answer: Callable[[Any, str, Any, Any], Any],
    /,
) -> Callable[..., ModuleType]: ...
def make_import_by_name(
    previous: Callable[..., ModuleType],
    watched: set[str],
    answer: Callable[[Any, str, Any, Any], Any],
    /,
) -> Callable[..., ModuleType]: ...
def run_file(path: str, /) -> int: ...
def run_input() -> int: ...
def run_string(source: str, /) -> int: ...
def run_call(function: Callable[..., object], /, *arguments: Any) -> int: ...
