"""The names, their signatures and whose objects they are."""

import concurrent.futures
import concurrent.futures.process
import inspect
import multiprocessing
import multiprocessing.pool

import pytest

from support.impls import only_pyconc

pytestmark = only_pyconc


def test_every_name_of_concurrent_futures_is_there(impl):
    for name in concurrent.futures.__all__:
        assert hasattr(impl.futures, name), name
        assert name in dir(impl.futures)


def test_every_name_of_multiprocessing_is_there(impl):
    for name in multiprocessing.__all__:
        assert hasattr(impl.multiprocessing, name), name
        assert name in impl.multiprocessing.__all__


@pytest.mark.parametrize(
    "name",
    [
        "cpu_count",
        "current_process",
        "active_children",
        "freeze_support",
        "Process",
        "Queue",
        "Lock",
        "Manager",
        "TimeoutError",
        "get_context",
        "set_start_method",
    ],
)
def test_common_names_can_be_called(impl, name):
    assert callable(getattr(impl.multiprocessing, name))


def test_every_name_of_the_pool_module_is_there(impl):
    for name in (
        "Pool",
        "ThreadPool",
        "AsyncResult",
        "ApplyResult",
        "MapResult",
        "IMapIterator",
        "IMapUnorderedIterator",
        "MaybeEncodingError",
        "RUN",
        "CLOSE",
        "TERMINATE",
    ):
        assert hasattr(impl.pool, name), name


def test_exceptions_are_the_stdlibs_own(impl):
    assert impl.multiprocessing.TimeoutError is multiprocessing.TimeoutError
    assert impl.multiprocessing.ProcessError is multiprocessing.ProcessError
    assert (
        impl.process.BrokenProcessPool
        is concurrent.futures.process.BrokenProcessPool
    )
    assert (
        impl.pool.MaybeEncodingError is multiprocessing.pool.MaybeEncodingError
    )


def test_the_error_of_a_lost_worker_is_a_broken_process_pool(impl):
    import pyconc

    assert issubclass(pyconc.WorkerLostError, impl.process.BrokenProcessPool)


def test_the_pool_is_a_stdlib_pool(impl):
    assert issubclass(impl.pool.Pool, multiprocessing.pool.Pool)


def test_contexts_offer_their_start_method(impl):
    for method in ("fork", "spawn", "forkserver"):
        ctx = impl.multiprocessing.get_context(method)
        assert ctx.get_start_method() == method
        assert isinstance(ctx, multiprocessing.context.BaseContext)
    with pytest.raises(ValueError):
        impl.multiprocessing.get_context("no such method")
    assert (
        impl.multiprocessing.get_start_method()
        == multiprocessing.get_start_method()
    )


def assert_superset(ours, theirs):
    """Every parameter of theirs is one of ours, of the same kind.

    Names may be given to what was positional, and new ones come last
    or as keywords only.
    """
    mine = inspect.signature(ours).parameters
    for position, (name, parameter) in enumerate(
        inspect.signature(theirs).parameters.items()
    ):
        if name == "self":
            continue  # methods in C take it by position only
        assert name in mine, name
        assert mine[name].kind == parameter.kind, name
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            assert list(mine).index(name) == position, name
        assert mine[name].default == parameter.default, name


POOL_METHODS = [
    name
    for name, value in vars(multiprocessing.pool.Pool).items()
    if not name.startswith("_") and inspect.isfunction(value)
]


@pytest.mark.parametrize("name", ["__init__", *POOL_METHODS])
def test_signatures_of_pool(impl, name):
    assert_superset(
        getattr(impl.pool.Pool, name),
        getattr(multiprocessing.pool.Pool, name),
    )


@pytest.mark.parametrize("name", ["__init__", "submit", "map", "shutdown"])
def test_signatures_of_the_executor(impl, name):
    assert_superset(
        getattr(impl.futures.ProcessPoolExecutor, name),
        getattr(concurrent.futures.ProcessPoolExecutor, name),
    )


@pytest.mark.parametrize("name", ["wait", "as_completed"])
def test_signatures_of_functions(impl, name):
    assert_superset(
        getattr(impl.futures, name), getattr(concurrent.futures, name)
    )


@pytest.mark.parametrize(
    "name",
    [
        "cancel",
        "cancelled",
        "running",
        "done",
        "result",
        "exception",
        "add_done_callback",
        "set_running_or_notify_cancel",
        "set_result",
        "set_exception",
    ],
)
def test_signatures_of_the_future(impl, name):
    assert_superset(
        getattr(impl.futures.Future, name),
        getattr(concurrent.futures.Future, name),
    )


def test_public_methods_have_a_docstring(impl):
    for cls in (
        impl.pool.Pool,
        impl.futures.ProcessPoolExecutor,
        impl.futures.Future,
    ):
        for name, value in vars(cls).items():
            if not name.startswith("_") and callable(value):
                assert value.__doc__, f"{cls.__name__}.{name}"
