"""What is public is documented: in its docstring and in docs/api/."""

from __future__ import annotations

import concurrent.futures
import inspect
import multiprocessing
import multiprocessing.dummy
import multiprocessing.pool
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import pyconc
import pyconc.futures
import pyconc.multiprocessing
import pyconc.multiprocessing.dummy
import pyconc.multiprocessing.pool
import pyconc.native
import pyconc.queue
import pyconc.threading
import pyconc.threadpool

API = Path(__file__).parents[2] / "docs" / "api"
INDEX = (API / "index.md").read_text() + (API / "threadpool.md").read_text()
DIFFERENCES = (API / "differences.md").read_text()

MODULES = [
    pyconc,
    pyconc.futures,
    pyconc.multiprocessing.pool,
    pyconc.native,
    pyconc.queue,
    pyconc.threading,
    pyconc.threadpool,
]

# Our callables that the standard library has too.
MIRRORED: list[tuple[Callable[..., Any], Callable[..., Any]]] = [
    (
        pyconc.futures.ProcessPoolExecutor,
        concurrent.futures.ProcessPoolExecutor,
    ),
    (
        pyconc.futures.ThreadPoolExecutor,
        concurrent.futures.ThreadPoolExecutor,
    ),
    (pyconc.multiprocessing.Pool, multiprocessing.Pool),
    (
        pyconc.multiprocessing.get_context("fork").Pool,
        multiprocessing.get_context("fork").Pool,
    ),
    (pyconc.multiprocessing.pool.Pool, multiprocessing.pool.Pool),
    (
        pyconc.multiprocessing.pool.ThreadPool,
        multiprocessing.pool.ThreadPool,
    ),
    (pyconc.multiprocessing.dummy.Pool, multiprocessing.dummy.Pool),
]


def public_names() -> Iterator[tuple[ModuleType, str]]:
    for module in MODULES:
        # Of mirrors __all__ is the standard library's.
        for name in getattr(module, "_pyconc_all", module.__all__):
            yield module, name


def is_ours(thing: object) -> bool:
    module = getattr(thing, "__module__", None) or ""
    return module.partition(".")[0] == "pyconc"


def our_objects() -> Iterator[tuple[str, Any]]:
    """Yield our public classes and functions and the classes' methods."""
    for module, name in public_names():
        thing = getattr(module, name)
        if not is_ours(thing):
            continue
        yield name, thing
        if not inspect.isclass(thing):
            continue
        for base in filter(is_ours, thing.__mro__):
            for attribute, value in vars(base).items():
                if not attribute.startswith("_") and callable(
                    getattr(base, attribute)
                ):
                    yield f"{name}.{attribute}", value


def mirrored() -> Iterator[tuple[Any, Any]]:
    yield from MIRRORED
    for ours, theirs in MIRRORED:
        if inspect.isclass(ours):
            for name, value in vars(ours).items():
                counterpart = getattr(theirs, name, None)
                if (
                    not name.startswith("_")
                    and inspect.isfunction(value)
                    and callable(counterpart)
                ):
                    yield value, counterpart


def keywords_of(function: Callable[..., Any]) -> set[str]:
    return set(inspect.signature(function).parameters) - {"args", "kwds"}


@pytest.mark.parametrize(
    "module, name",
    list(public_names()),
    ids=lambda x: getattr(x, "__name__", x),
)
def test_name_is_in_the_index(module: ModuleType, name: str) -> None:
    assert f"`{name}`" in INDEX


@pytest.mark.parametrize(
    "thing", [pytest.param(t, id=name) for name, t in our_objects()]
)
def test_has_a_docstring(thing: Any) -> None:
    if isinstance(thing, (staticmethod, classmethod)):
        thing = thing.__func__
    assert (thing.__doc__ or "").strip()


def test_extra_keywords_are_listed() -> None:
    for ours, theirs in mirrored():
        extra = keywords_of(ours) - keywords_of(theirs)
        for keyword in extra:
            assert f"`{keyword}" in DIFFERENCES, (ours, keyword)
            assert f"`{keyword}" in INDEX, (ours, keyword)


def test_the_keywords_that_no_version_has_are_found() -> None:
    found = {
        keyword
        for ours, theirs in mirrored()
        for keyword in keywords_of(ours) - keywords_of(theirs)
    }
    assert {"on_worker_lost", "reseed", "buffersize"} <= found
