"""ThreadPool does what Pool does: the tests of Pool, over threads."""

import collections
import types

import pytest

from conform.test_pool import *  # noqa: F403
from conform.test_pool_imap import *  # noqa: F403
from conform.test_pool_imap_end import *  # noqa: F403
from conform.test_pool_lifecycle import *  # noqa: F403
from conform.test_results import *  # noqa: F403

# What is about processes, or about arguments that travel.
for name in """
    test_a_dropped_pool_ends_its_workers
    test_a_pool_does_not_pickle
    test_a_pool_may_be_used_inside_of_an_ordinary_process
    test_a_subclass_may_extend_the_methods
    test_a_subclass_may_override_process
    test_an_exception_comes_with_the_workers_traceback
    test_an_unpicklable_argument_fails_its_task_only
    test_an_unpicklable_exception_is_a_maybe_encoding_error
    test_an_unpicklable_item_fails_alone
    test_an_unpicklable_item_fails_its_map_only
    test_an_unpicklable_result_is_a_maybe_encoding_error
    test_callable_objects_are_fresh_for_every_chunk
    test_every_way_to_a_pool
    test_imap_goes_on_after_a_tasks_error
    test_join_ends_the_workers
    test_locks_and_queues_do_not_travel_as_arguments
    test_maxtasksperchild_and_many_tasks
    test_maxtasksperchild_counts_chunks
    test_maxtasksperchild_renews_the_workers
    test_several_pools_beside_each_other
    test_tasks_run_in_other_processes
    test_terminate_does_not_wait_for_tasks
    test_the_context_manager_terminates
    test_the_initializer_runs_once_in_every_worker
    test_the_workers_are_children
    test_there_are_as_many_workers_as_asked_for
    test_workers_are_daemons_with_a_name
    test_workers_that_are_no_daemons_may_have_children
""".split():
    del globals()[name]


@pytest.fixture
def ctx_method():
    return "threads"


@pytest.mark.parametrize("keywords", [[("a", 1)], 5, None, "a", (), [], "", 0])
def test_keywords_are_a_mapping(pool, keywords):
    kind = type(keywords).__name__
    with pytest.raises(
        TypeError, match=rf"argument after \*\* must be a mapping, not {kind}"
    ):
        pool.apply(abs, (1,), keywords)
    assert pool.apply(abs, (-1,), {}) == 1


class NoDict:
    """What ** takes: it has keys and can be subscripted."""

    def keys(self):
        return ["base"]

    def __getitem__(self, key):
        return {"base": 16}[key]


@pytest.mark.parametrize(
    "make",
    [
        NoDict,
        lambda: types.MappingProxyType({"base": 16}),
        lambda: collections.UserDict(base=16),
        lambda: collections.OrderedDict(base=16),
    ],
    ids=["no dict", "proxy", "user dict", "ordered"],
)
def test_any_mapping_of_keywords_will_do(pool, make):
    assert pool.apply(int, ("ff",), make()) == 255
    assert pool.apply_async(int, ("ff",), make()).get(30) == 255
