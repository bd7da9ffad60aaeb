"""The threadpool package of PyPI: on the original, if installed, and on ours."""

import gc
import queue
import sys
import threading
import weakref

import pytest

from support.children import in_forked_child
from support.errors import catch
from support.impls import PYCONC
from support.polling import eventually
from support.scripts import run_script

MODULES = {"original": "threadpool", "pyconc": "pyconc.threadpool"}
only_pyconc = pytest.mark.parametrize("tp", PYCONC, indirect=True)

# The original calls them.
pytestmark = pytest.mark.filterwarnings(
    r"ignore:(isSet|setDaemon)\(\) is deprecated:DeprecationWarning"
)


@pytest.fixture(params=["original", *PYCONC])
def tp(request):
    return pytest.importorskip(
        MODULES[request.param],
        reason="threadpool 1.3.2 of PyPI is not installed",
        exc_type=ImportError,
    )


@pytest.fixture
def make_pool(tp):
    """Make pools whose threads have ended at the end of the test."""
    pools = []

    def make(num_workers=2, *args, **kwds):
        kwds.setdefault("poll_timeout", 0.01)
        pools.append(tp.ThreadPool(num_workers, *args, **kwds))
        return pools[-1]

    yield make
    for pool in pools:
        pool.dismissWorkers(len(pool.workers))
        pool.joinAllDismissedWorkers()


class Stop:
    """A call that says that it runs, and waits to be let go."""

    def __init__(self):
        self.runs = threading.Event()
        self.go = threading.Event()

    def __call__(self, value=None):
        self.runs.set()
        assert self.go.wait(50)
        return value


@pytest.fixture
def stop(make_pool):  # it is let go before the pools are joined
    stop = Stop()
    yield stop
    stop.go.set()


class Answers(list):
    """A callback that keeps what it is given."""

    def __bool__(self):
        return True  # or it would be taken for no callback

    def __call__(self, request, result):
        self.append((request, result))

    @property
    def results(self):
        return [result for _, result in self]


def double(value):
    return 2 * value


def collect(*args, **kwds):
    return args, kwds


def fail(error):
    raise error


def put_all(pool, requests):
    for request in requests:
        pool.putRequest(request)


# --- requests ---------------------------------------------------------------


def test_public_names(tp):
    assert sorted(tp.__all__) == [
        "NoResultsPending",
        "NoWorkersAvailable",
        "ThreadPool",
        "WorkRequest",
        "WorkerThread",
        "makeRequests",
    ]
    assert tp.__version__ == "1.3.2"
    for name in ("NoResultsPending", "NoWorkersAvailable"):
        assert getattr(tp, name).__base__ is Exception


def test_a_request_by_default(tp):
    request = tp.WorkRequest(double)
    assert request.callable is double
    assert (request.args, request.kwds) == ([], {})
    assert request.requestID == id(request)
    assert request.exception is False
    assert request.callback is None
    assert request.exc_callback is tp._handle_thread_exception


def test_a_request_by_position(tp):
    request = tp.WorkRequest(double, [1], {"a": 2}, "name", max, min)
    assert request.args == [1]
    assert request.kwds == {"a": 2}
    assert request.requestID == hash("name")
    assert request.callback is max
    assert request.exc_callback is min


@pytest.mark.parametrize("name", [0, "", (), ("a", 1), 2**70])
def test_the_request_id_is_a_hash(tp, name):
    assert tp.WorkRequest(double, requestID=name).requestID == hash(name)


def test_an_unhashable_request_id_is_refused(tp):
    with pytest.raises(TypeError, match="requestID must be hashable"):
        tp.WorkRequest(double, requestID=[])


def test_str_of_a_request(tp):
    request = tp.WorkRequest(double, ["x"], {"k": 1}, requestID=7)
    assert str(request) == (
        "<WorkRequest id=7 args=['x'] kwargs={'k': 1} exception=False>"
    )


def test_make_requests_of_single_arguments(tp):
    requests = tp.makeRequests(double, iter([1, [2, 3], None]), max, min)
    assert [r.args for r in requests] == [[1], [[2, 3]], [None]]
    assert all(r.kwds == {} for r in requests)
    assert all(r.callable is double for r in requests)
    assert all(r.callback is max and r.exc_callback is min for r in requests)


def test_make_requests_of_pairs(tp):
    pairs = [([1, 2], {"a": 3}), ((), {}), (None, None), ([1], {}, "more")]
    requests = tp.makeRequests(collect, pairs)
    assert [list(r.args) for r in requests] == [[1, 2], [], [], [1]]
    assert [r.kwds for r in requests] == [{"a": 3}, {}, {}, {}]
    assert requests[0].callback is None
    assert requests[0].exc_callback is tp._handle_thread_exception


def test_make_requests_needs_pairs(tp):
    with pytest.raises(IndexError):
        tp.makeRequests(collect, [([1],)])


# --- results ----------------------------------------------------------------


def test_results_come_to_the_callback(tp, make_pool):
    pool, answers = make_pool(3), Answers()
    requests = tp.makeRequests(double, range(200), answers)
    put_all(pool, requests)
    assert pool.wait() is None
    assert sorted(answers.results) == [2 * i for i in range(200)]
    assert {request for request, _ in answers} == set(requests)
    assert pool.workRequests == {}


def test_one_worker_keeps_the_order(tp, make_pool):
    pool, answers = make_pool(1), Answers()
    put_all(pool, tp.makeRequests(double, range(100), answers))
    pool.wait()
    assert answers.results == [2 * i for i in range(100)]


def test_arguments_are_passed_on(tp, make_pool):
    pool, answers = make_pool(1), Answers()
    put_all(pool, tp.makeRequests(collect, [([1, 2], {"a": 3})], answers))
    pool.putRequest(tp.WorkRequest(collect, callback=answers))
    pool.putRequest(tp.WorkRequest(collect, "ab", callback=answers))
    pool.wait()
    assert answers.results == [
        ((1, 2), {"a": 3}),
        ((), {}),
        (("a", "b"), {}),
    ]


def test_calls_run_in_workers_and_callbacks_where_it_is_polled(tp, make_pool):
    pool, answers, callers = make_pool(2), Answers(), []

    def callback(request, result):
        callers.append(threading.current_thread())
        answers(request, result)

    requests = [
        tp.WorkRequest(threading.current_thread, callback=callback)
        for _ in range(20)
    ]
    put_all(pool, requests)
    pool.wait()
    assert set(callers) == {threading.current_thread()}
    assert set(answers.results) <= set(pool.workers)


def test_a_result_without_a_callback_is_dropped(tp, make_pool):
    pool = make_pool()
    pool.putRequest(tp.WorkRequest(double, [1]))
    pool.wait()
    assert pool.workRequests == {}


def test_work_requests_are_the_pending_ones(tp, make_pool, stop):
    pool, seen = make_pool(1), []

    def callback(request, _result):
        seen.append(pool.workRequests[request.requestID] is request)

    request = tp.WorkRequest(stop, callback=callback, requestID="name")
    pool.putRequest(request)
    assert pool.workRequests == {hash("name"): request}
    stop.go.set()
    pool.wait()
    assert seen == [True]
    assert pool.workRequests == {}


def test_a_callback_may_put_more(tp, make_pool):
    pool, seen = make_pool(2), []

    def callback(_request, result):
        seen.append(result)
        if result < 64:
            put_all(pool, tp.makeRequests(double, [result], callback))

    put_all(pool, tp.makeRequests(double, [1], callback))
    pool.wait()
    assert seen == [2, 4, 8, 16, 32, 64]


def test_requests_of_many_threads(tp, make_pool):
    pool, answers = make_pool(3), Answers()

    def put(start):
        put_all(pool, tp.makeRequests(double, range(start, start + 50), answers))

    threads = [threading.Thread(target=put, args=[50 * i]) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pool.wait()
    assert sorted(answers.results) == [2 * i for i in range(200)]


# --- errors -----------------------------------------------------------------


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt])
def test_an_error_comes_to_the_exc_callback(tp, make_pool, kind):
    pool, answers, errors = make_pool(1), Answers(), Answers()
    error = kind("oh no")
    request = tp.WorkRequest(
        fail, [error], callback=answers, exc_callback=errors
    )
    pool.putRequest(request)
    pool.putRequest(tp.WorkRequest(double, [4], callback=answers))
    pool.wait()
    ((failed, exc_info),) = errors
    assert failed is request
    assert request.exception is True
    assert str(request).endswith("exception=True>")
    assert exc_info[:2] == (kind, error)
    frames = []
    traceback = exc_info[2]
    while traceback is not None:
        frames.append(traceback.tb_frame.f_code)
        traceback = traceback.tb_next
    assert frames[-1] is fail.__code__
    assert answers.results == [8]


def test_without_an_exc_callback_the_callback_gets_the_error(tp, make_pool):
    pool, answers = make_pool(1), Answers()
    pool.putRequest(
        tp.WorkRequest(fail, [KeyError(1)], callback=answers, exc_callback=None)
    )
    pool.putRequest(tp.WorkRequest(fail, [KeyError(2)], exc_callback=None))
    pool.wait()
    ((request, exc_info),) = answers
    assert request.exception
    assert exc_info[0] is KeyError


def test_by_default_the_traceback_is_printed(tp, make_pool, capsys):
    pool, answers = make_pool(1), Answers()
    put_all(pool, tp.makeRequests(fail, [ValueError("oh no")], answers))
    pool.wait()
    printed = capsys.readouterr().err
    assert printed.startswith("Traceback (most recent call last):")
    assert "in fail" in printed
    assert printed.endswith("ValueError: oh no\n")
    assert answers == []


@pytest.mark.parametrize("bad", [(None,), (len, 5), (collect, None, [1])])
def test_what_cannot_be_called_is_the_requests_error(tp, make_pool, bad):
    pool, errors = make_pool(1), Answers()
    pool.putRequest(tp.WorkRequest(*bad, exc_callback=errors))
    pool.wait()
    assert errors.results[0][0] is TypeError


@pytest.mark.skipif(sys.flags.optimize > 0, reason="it is an assertion")
def test_only_new_requests_can_be_put(tp, make_pool):
    pool = make_pool(1)
    for bad in (None, double, object()):
        with pytest.raises(AssertionError):
            pool.putRequest(bad)
    request = tp.WorkRequest(fail, [ValueError()], exc_callback=Answers())
    pool.putRequest(request)
    pool.wait()
    with pytest.raises(AssertionError):
        pool.putRequest(request)
    assert pool.workRequests == {}


def test_a_request_that_succeeded_can_be_put_again(tp, make_pool):
    pool, answers = make_pool(1), Answers()
    request = tp.WorkRequest(double, [1], callback=answers)
    for _ in range(3):
        pool.putRequest(request)
        pool.wait()
    assert answers == [(request, 2)] * 3


def test_what_a_callback_raises_comes_out_of_poll(tp, make_pool):
    pool = make_pool(1)
    pool.putRequest(
        tp.WorkRequest(double, [1], callback=lambda r, x: fail(OSError(x)))
    )
    with pytest.raises(OSError, match="2"):
        pool.wait()


# --- polling ----------------------------------------------------------------


@pytest.mark.parametrize("block", [False, True])
def test_polling_a_pool_without_requests(tp, make_pool, block):
    for num_workers in (0, 1):
        pool = make_pool(num_workers)
        with pytest.raises(tp.NoResultsPending):
            pool.poll(block)
        assert pool.wait() is None


def test_poll_without_block_returns_while_requests_run(tp, make_pool, stop):
    pool, answers = make_pool(1), Answers()
    pool.putRequest(tp.WorkRequest(stop, [5], callback=answers))
    assert stop.runs.wait(20)
    assert pool.poll() is None
    assert pool.poll(block=False) is None
    assert answers == []
    stop.go.set()

    def ends():
        try:
            pool.poll()
        except tp.NoResultsPending:
            return True

    eventually(ends)
    assert answers.results == [5]


def test_poll_takes_all_that_is_there(tp, make_pool, stop):
    pool, answers = make_pool(2), Answers()
    pool.putRequest(tp.WorkRequest(stop, callback=answers))
    assert stop.runs.wait(20)
    put_all(pool, tp.makeRequests(double, range(5), answers))
    eventually(lambda: pool._results_queue.qsize() == 5)
    assert pool.poll() is None
    assert answers.results == [0, 2, 4, 6, 8]


def test_poll_with_block_takes_all(tp, make_pool):
    pool, answers = make_pool(2), Answers()
    put_all(pool, tp.makeRequests(double, range(5), answers))
    with pytest.raises(tp.NoResultsPending):
        pool.poll(True)
    assert len(answers) == 5


def test_without_workers_only_blocking_fails(tp, make_pool):
    pool, answers = make_pool(0), Answers()
    put_all(pool, tp.makeRequests(double, [1, 2], answers))
    assert pool.poll() is None
    for wait in (pool.wait, lambda: pool.poll(True)):
        with pytest.raises(tp.NoWorkersAvailable):
            wait()
    assert len(pool.workRequests) == 2
    pool.createWorkers(1, 0.01)
    pool.wait()
    assert answers.results == [2, 4]


def test_a_callback_may_poll(tp, make_pool):
    pool, seen = make_pool(1), []

    def callback(request, result):
        seen.append(result)
        if result == 2:
            pool.poll()

    put_all(pool, tp.makeRequests(double, [1], callback))
    pool.wait()
    assert seen == [2]


# --- bounded queues ---------------------------------------------------------


def test_a_full_request_queue(tp, make_pool, stop):
    pool, answers = make_pool(1, 2), Answers()
    pool.putRequest(tp.WorkRequest(stop, [0], callback=answers))
    assert stop.runs.wait(20)  # it is not in the queue any more
    put_all(pool, tp.makeRequests(double, [1, 2], answers))
    refused = tp.WorkRequest(double, [3], callback=answers)
    for bad in ((False,), (False, 5), (True, 0), (True, 0.01)):
        with pytest.raises(queue.Full):
            pool.putRequest(refused, *bad)
    with pytest.raises(queue.Full):
        pool.putRequest(refused, timeout=0.01)
    assert refused.requestID not in pool.workRequests
    assert pool._requests_queue.full()
    assert pool._requests_queue.qsize() == 2
    stop.go.set()
    pool.putRequest(refused)
    pool.wait()
    assert answers.results == [0, 2, 4, 6]
    assert pool._requests_queue.empty()


def test_a_negative_timeout_is_refused(tp, make_pool):
    pool = make_pool(1, 2)
    with pytest.raises(ValueError):
        pool.putRequest(tp.WorkRequest(double, [1]), True, -1)
    pool.putRequest(tp.WorkRequest(double, [1]), False, -1)
    pool.wait()
    unbounded = make_pool(1)
    unbounded.putRequest(tp.WorkRequest(double, [1]), True, -1)
    unbounded.wait()


def test_put_waits_for_room(tp, make_pool):
    pool, answers = make_pool(2, q_size=1), Answers()
    put_all(pool, tp.makeRequests(double, range(300), answers))
    pool.wait()
    assert sorted(answers.results) == [2 * i for i in range(300)]


def test_a_queue_without_workers_fills_up(tp, make_pool):
    pool = make_pool(0, 3)
    requests = tp.makeRequests(double, range(4))
    put_all(pool, requests[:3])
    with pytest.raises(queue.Full):
        pool.putRequest(requests[3], block=False)
    pool.createWorkers(1, 0.01)
    pool.putRequest(requests[3], timeout=20)
    pool.wait()


def test_a_full_result_queue_holds_up_the_workers(tp, make_pool):
    pool, answers = make_pool(1, resq_size=2), Answers()
    begun = []
    requests = tp.makeRequests(begun.append, range(6), answers)
    put_all(pool, requests)
    eventually(lambda: len(begun) == 3)
    assert pool._results_queue.qsize() == 2
    pool.wait()
    assert begun == list(range(6))
    assert [r for r, _ in answers] == requests


def test_both_queues_bounded(tp, make_pool):
    pool, answers = make_pool(2, 2, 1), Answers()
    for request in tp.makeRequests(double, range(200), answers):
        while True:
            try:
                pool.putRequest(request, timeout=0.001)
                break
            except queue.Full:
                pool.poll()
    pool.wait()
    assert sorted(answers.results) == [2 * i for i in range(200)]


# --- workers ----------------------------------------------------------------


def test_workers_are_daemon_threads(tp, make_pool):
    pool = make_pool(2)
    assert len(pool.workers) == 2
    for worker in pool.workers:
        assert isinstance(worker, tp.WorkerThread)
        assert isinstance(worker, threading.Thread)
        assert worker.daemon
        assert worker.is_alive()
    assert pool.dismissedWorkers == []


def test_more_workers(tp, make_pool):
    pool = make_pool(1)
    first = pool.workers[0]
    pool.createWorkers(2, poll_timeout=0.01)
    assert len(set(pool.workers)) == 3
    assert pool.workers[0] is first
    meet = threading.Barrier(3)
    put_all(pool, [tp.WorkRequest(meet.wait) for _ in range(3)])
    pool.wait()
    pool.createWorkers(0)
    assert len(pool.workers) == 3


def test_dismissed_workers_can_be_joined(tp, make_pool):
    pool = make_pool(4)
    workers = list(pool.workers)
    assert pool.dismissWorkers(3) is None
    assert pool.workers == workers[:1]
    assert pool.dismissedWorkers == workers[:0:-1]
    pool.joinAllDismissedWorkers()
    assert pool.dismissedWorkers == []
    assert [w.is_alive() for w in workers] == [True, False, False, False]


def test_dismiss_with_join(tp, make_pool):
    pool = make_pool(3)
    workers = list(pool.workers)
    pool.dismissWorkers(2, do_join=True)
    assert [w.is_alive() for w in workers] == [True, False, False]
    assert pool.dismissedWorkers == []
    pool.dismissWorkers(0, True)
    pool.dismissWorkers(-1, True)
    assert pool.workers == workers[:1]
    pool.dismissWorkers(99, True)
    assert pool.workers == []
    assert not workers[0].is_alive()


def test_a_dismissed_worker_finishes_its_request_only(tp, make_pool, stop):
    pool, answers = make_pool(1), Answers()
    pool.putRequest(tp.WorkRequest(stop, [3], callback=answers))
    put_all(pool, tp.makeRequests(double, range(3), answers))
    assert stop.runs.wait(20)
    pool.dismissWorkers(1)
    stop.go.set()
    pool.joinAllDismissedWorkers()
    assert pool.poll() is None
    assert answers.results == [3]
    with pytest.raises(tp.NoWorkersAvailable):
        pool.wait()
    pool.createWorkers(1, 0.01)
    pool.wait()
    assert sorted(answers.results) == [0, 2, 3, 4]


def test_a_worker_can_be_dismissed_by_itself(tp, make_pool):
    pool = make_pool(2)
    worker = pool.workers[0]
    for _ in range(3):
        worker.dismiss()
    worker.join()
    pool.putRequest(tp.WorkRequest(double, [1]))
    pool.wait()
    pool.dismissWorkers(2, True)


def test_workers_that_are_dismissed_at_once_end(make_pool):
    pool = make_pool(0)
    for _ in range(100):
        pool.createWorkers(2, 0.001)
        pool.dismissWorkers(2, True)


def test_a_request_may_dismiss_its_own_worker(tp, make_pool):
    pool, answers = make_pool(1), Answers()
    (worker,) = pool.workers
    pool.putRequest(
        tp.WorkRequest(pool.dismissWorkers, [1], callback=answers)
    )
    worker.join()
    with pytest.raises(tp.NoResultsPending):
        pool.poll()
    assert answers.results == [None]
    assert pool.dismissedWorkers == [worker]


def test_a_subclass_makes_its_own_workers(tp, make_pool):
    class Worker(tp.WorkerThread):
        def run(self):
            local.greeting = "hello"
            super().run()

    class Pool(tp.ThreadPool):
        def createWorkers(self, num_workers, poll_timeout=5):
            for i in range(num_workers):
                self.workers.append(
                    Worker(
                        self._requests_queue,
                        self._results_queue,
                        poll_timeout=poll_timeout,
                        name=f"mine-{i}",
                    )
                )

    local, answers = threading.local(), Answers()
    pool = Pool(1, poll_timeout=0.01)
    assert pool.workers[0].name == "mine-0"
    pool.putRequest(
        tp.WorkRequest(lambda: local.greeting, callback=answers)
    )
    pool.wait()
    pool.dismissWorkers(1, True)
    assert answers.results == ["hello"]


# --- what the original does not do ------------------------------------------


@only_pyconc
@pytest.mark.parametrize("kind", [ValueError, queue.Empty])
def test_a_request_whose_callback_raises_is_answered(tp, make_pool, kind):
    pool, answers = make_pool(1), Answers()
    error = kind("oh no")
    pool.putRequest(
        tp.WorkRequest(double, [1], callback=lambda *_: fail(error))
    )
    put_all(pool, tp.makeRequests(double, [2], answers))
    assert catch(pool.wait) is error
    pool.wait()
    assert answers.results == [4]


@only_pyconc
def test_requests_with_one_id_are_all_answered(tp, make_pool, stop):
    pool, answers = make_pool(2), Answers()
    first = tp.WorkRequest(stop, ["slow"], None, "name", answers)
    second = tp.WorkRequest(double, ["a"], None, "name", answers)
    put_all(pool, [first, second, second])
    eventually(lambda: pool.poll() or len(answers) == 2)
    stop.go.set()
    pool.wait()
    assert sorted(answers.results) == ["aa", "aa", "slow"]
    assert pool.workRequests == {}


@only_pyconc
def test_an_exc_callback_may_put_the_request_again(tp, make_pool):
    pool, answers, tries = make_pool(1), Answers(), []

    def succeed_at_last():
        tries.append(1)
        if len(tries) < 4:
            raise OSError
        return "done"

    def retry(request, _exc_info):
        request.exception = False
        pool.putRequest(request)

    pool.putRequest(
        tp.WorkRequest(succeed_at_last, callback=answers, exc_callback=retry)
    )
    pool.wait()
    assert answers.results == ["done"]


@only_pyconc
def test_an_idle_worker_leaves_at_once(make_pool):
    pool = make_pool(2, poll_timeout=3600)
    pool.dismissWorkers(2, do_join=True)


@only_pyconc
def test_a_dismissal_keeps_the_order(tp, make_pool, stop):
    pool, answers = make_pool(1), Answers()
    pool.putRequest(tp.WorkRequest(stop, [-1], callback=answers))
    put_all(pool, tp.makeRequests(double, range(10), answers))
    assert stop.runs.wait(20)
    pool.dismissWorkers(1)
    pool.createWorkers(1)
    stop.go.set()
    pool.wait()
    results = [r for r in answers.results if r != -1]
    assert results == [2 * i for i in range(10)]


@only_pyconc
def test_dismissing_the_last_worker_ends_the_wait(tp, make_pool, stop):
    pool = make_pool(1)
    pool.putRequest(tp.WorkRequest(stop))
    errors = []
    pollers = [
        threading.Thread(target=lambda: errors.append(catch(pool.wait)))
        for _ in range(3)
    ]
    for poller in pollers:
        poller.start()
    eventually(lambda: len(pool._pollers) == 3)
    pool.dismissWorkers(1)
    for poller in pollers:
        poller.join()
    assert [type(e) for e in errors] == [tp.NoWorkersAvailable] * 3


@only_pyconc
@pytest.mark.parametrize("block", [False, True])
def test_whoever_waits_sees_the_last_answer(tp, make_pool, stop, block):
    pool, answers = make_pool(1), Answers()
    pool.putRequest(tp.WorkRequest(stop, callback=answers))
    pollers = [threading.Thread(target=pool.wait) for _ in range(3)]
    for poller in pollers:
        poller.start()
    eventually(lambda: len(pool._pollers) == 3)
    stop.go.set()
    while True:
        try:
            pool.poll(block)
        except tp.NoResultsPending:
            break
    for poller in pollers:
        poller.join()
    assert len(answers) == 1
    assert pool.wait() is None


def dropped(tp, *args):
    """Return a weak reference to a dropped pool, its threads, a result."""
    pool, done = tp.ThreadPool(*args), threading.Event()
    pool.cycle = pool
    # The results refer to the pool.
    requests = tp.makeRequests(double, range(10), pool.putRequest)
    requests.append(tp.WorkRequest(done.set))
    put_all(pool, requests)
    return weakref.ref(pool), list(pool.workers), done


@only_pyconc
def test_a_dropped_pool_runs_its_requests_and_ends(tp):
    reference, workers, done = dropped(tp, 2)
    assert done.wait(20)
    eventually(lambda: gc.collect() is None or reference() is None)
    for worker in workers:
        worker.join()


@only_pyconc
def test_the_workers_of_a_dropped_pool_need_no_room_for_results(tp):
    reference, workers, done = [], [], threading.Event()

    def drop():
        pool = tp.ThreadPool(3, 0, 1)
        put_all(pool, tp.makeRequests(double, range(10)))
        pool.putRequest(tp.WorkRequest(done.set))
        reference.append(weakref.ref(pool))
        workers.extend(pool.workers)

    drop()
    gc.collect()
    assert reference[0]() is None
    assert done.wait(20)
    for worker in workers:
        worker.join()


@only_pyconc
def test_requests_of_a_dropped_pool_without_workers_go(tp):
    class Call:
        def __call__(self):
            pass

    call = Call()
    reference = weakref.ref(call)
    pool = tp.ThreadPool(0)
    pool.putRequest(tp.WorkRequest(call))
    del pool, call
    gc.collect()
    assert reference() is None


@only_pyconc
def test_a_result_is_not_kept_while_the_next_is_awaited(tp, make_pool, stop):
    class Result:
        pass

    pool, references = make_pool(1), []

    def callback(_request, result):
        references.append(weakref.ref(result))

    pool.putRequest(tp.WorkRequest(Result, callback=callback))
    pool.putRequest(tp.WorkRequest(stop))
    poller = threading.Thread(target=pool.wait)
    poller.start()
    eventually(lambda: references and references[0]() is None)
    stop.go.set()
    poller.join()


@only_pyconc
def test_a_forked_child_has_an_empty_pool(tp, make_pool, stop):
    pool = make_pool(2, 1, 5)
    pool.putRequest(tp.WorkRequest(stop))
    assert stop.runs.wait(20)

    def child():
        state = [pool.workers, pool.workRequests, pool.wait()]
        answers = Answers()
        pool.putRequest(tp.WorkRequest(double, [1], callback=answers))
        state.append(type(catch(pool.wait)).__name__)
        pool.createWorkers(2)
        pool.wait()
        pool.dismissWorkers(2, True)
        return [*state, answers.results]

    text, code = in_forked_child(child)
    assert (text, code) == ("[[], {}, None, 'NoWorkersAvailable', [2]]", 0)
    stop.go.set()
    pool.wait()


@only_pyconc
def test_a_request_may_fork(tp, make_pool):
    pool, answers = make_pool(2), Answers()

    def child():
        pool.createWorkers(1)
        put_all(pool, tp.makeRequests(double, [4], answers))
        pool.wait()
        return answers.results

    pool.putRequest(
        tp.WorkRequest(in_forked_child, [child], callback=answers)
    )
    pool.wait()
    assert answers.results == [("[8]", 0)]


@only_pyconc
def test_a_worker_needs_the_queues_of_a_pool(tp):
    with pytest.raises(TypeError, match="requests_queue must be the one of"):
        tp.WorkerThread(queue.Queue(), queue.Queue())


def test_importing_starts_nothing(tp):
    done = run_script(
        "-c",
        f"import threading, {tp.__name__}; print(threading.active_count())",
    )
    assert (done.stdout, done.stderr) == ("1\n", "")
