"""Modules that have what the standard library's have, patched or not."""

import concurrent.futures
import concurrent.futures._base
import importlib
import inspect
import multiprocessing
import multiprocessing.context
import multiprocessing.dummy
import multiprocessing.pool
import queue
import threading
from unittest import mock

import pytest

import pyconc.threading

PAIRS = [
    ("pyconc.threading", threading),
    ("pyconc.queue", queue),
    ("pyconc.futures", concurrent.futures),
    ("pyconc.futures._base", concurrent.futures._base),
    ("pyconc.multiprocessing", multiprocessing),
    ("pyconc.multiprocessing.context", multiprocessing.context),
    ("pyconc.multiprocessing.dummy", multiprocessing.dummy),
    ("pyconc.multiprocessing.pool", multiprocessing.pool),
]
all_pairs = pytest.mark.parametrize(("name", "theirs"), PAIRS)


@all_pairs
def test_every_name_is_there(name, theirs):
    ours = importlib.import_module(name)
    for attribute in vars(theirs):
        if attribute[:2] != "__":
            assert hasattr(ours, attribute), attribute


@all_pairs
def test_a_name_that_nobody_has(name, theirs):
    ours = importlib.import_module(name)
    with pytest.raises(AttributeError):
        _ = ours.no_such_name
    ours.no_such_name = 1
    assert not hasattr(theirs, "no_such_name")
    del ours.no_such_name
    assert not hasattr(ours, "no_such_name")


@pytest.mark.parametrize("patch", ["set", "mock", "monkeypatch"])
@pytest.mark.parametrize(
    ("name", "theirs", "attribute"),
    [
        ("pyconc.threading", threading, "current_thread"),
        ("pyconc.threading", threading, "excepthook"),
        ("pyconc.threading", threading, "_time"),
        ("pyconc.queue", queue, "Empty"),
        ("pyconc.futures._base", concurrent.futures._base, "LOGGER"),
        ("pyconc.multiprocessing", multiprocessing, "cpu_count"),
        ("pyconc.multiprocessing.pool", multiprocessing.pool, "worker"),
        ("pyconc.multiprocessing.pool", multiprocessing.pool, "RUN"),
    ],
)
def test_what_is_theirs_is_patched_there(name, theirs, attribute, patch):
    ours, before = importlib.import_module(name), getattr(theirs, attribute)
    if patch == "set":
        setattr(ours, attribute, 5)
        assert getattr(theirs, attribute) == getattr(ours, attribute) == 5
        setattr(ours, attribute, before)
    elif patch == "mock":
        with mock.patch.object(ours, attribute, 5):
            assert getattr(theirs, attribute) == getattr(ours, attribute) == 5
    else:
        with pytest.MonkeyPatch.context() as context:
            context.setattr(ours, attribute, 5)
            assert getattr(theirs, attribute) == getattr(ours, attribute) == 5
    assert getattr(theirs, attribute) is getattr(ours, attribute) is before


def test_what_was_deleted_comes_back():
    ours, before = pyconc.threading, threading.get_ident
    del ours.get_ident
    assert not hasattr(threading, "get_ident")
    ours.get_ident = before
    assert threading.get_ident is ours.get_ident is before


def test_what_is_ours_is_patched_here():
    import pyconc.multiprocessing as ours

    theirs = multiprocessing.Pool
    with mock.patch.object(ours, "Pool", 5):
        assert ours.Pool == 5
        assert multiprocessing.Pool == theirs
    assert ours.Pool != 5


def test_submodules_stay_apart():
    import pyconc.multiprocessing.dummy as ours

    assert multiprocessing.dummy is not ours
    assert concurrent.futures.thread is not importlib.import_module(
        "pyconc.futures.thread"
    )


@pytest.mark.parametrize("name", ["queues", "connection", "managers"])
def test_what_is_not_replaced_is_the_library_s_own(name):
    module = importlib.import_module(f"multiprocessing.{name}")
    assert importlib.import_module(f"pyconc.multiprocessing.{name}") is module
    assert getattr(importlib.import_module("pyconc.multiprocessing"), name) is module


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("queue", "Queue"),
        ("queue", "LifoQueue"),
        ("queue", "PriorityQueue"),
        ("threading", "Condition"),
        ("threading", "Semaphore"),
        ("threading", "BoundedSemaphore"),
        ("threading", "Event"),
        ("threading", "Barrier"),
    ],
)
def test_signatures_of_primitives(module, name):
    mine = getattr(importlib.import_module(f"pyconc.{module}"), name)
    theirs = getattr(importlib.import_module(module), name)
    assert [
        (parameter.name, parameter.kind, parameter.default)
        for parameter in inspect.signature(mine).parameters.values()
    ] == [
        (parameter.name, parameter.kind, parameter.default)
        for parameter in inspect.signature(theirs).parameters.values()
    ]
