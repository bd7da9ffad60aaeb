"""Private parts that programs in the wild use."""

import concurrent.futures
import concurrent.futures._base
import concurrent.futures.process
import concurrent.futures.thread
import importlib
import io
import logging
import multiprocessing
import multiprocessing.pool
import multiprocessing.process
import multiprocessing.queues
import multiprocessing.util
import queue
import sys
import threading
from concurrent.futures._base import LOGGER
from concurrent.futures.thread import _worker
from multiprocessing.pool import CLOSE, RUN, TERMINATE, mapstar, starmapstar, worker
from queue import deque, heappop, heappush
from threading import _shutdown

from tour import run, section, show

# What the three versions have in common.
NAMES = {
    "concurrent.futures": ["_base", "process", "thread"],
    "concurrent.futures._base": """
        ALL_COMPLETED CANCELLED CANCELLED_AND_NOTIFIED CancelledError
        DoneAndNotDoneFutures Error Executor FINISHED FIRST_COMPLETED Future
        InvalidStateError LOGGER PENDING RUNNING TimeoutError
        _AcquireFutures _AsCompletedWaiter _AllCompletedWaiter _FUTURE_STATES
        _STATE_TO_DESCRIPTION_MAP _Waiter _create_and_install_waiters
        _result_or_cancel as_completed wait
    """.split(),
    "concurrent.futures.process": """
        BrokenProcessPool EXTRA_QUEUED_CALLS ProcessPoolExecutor _CallItem
        _ExceptionWithTraceback _RemoteTraceback _ResultItem _SafeQueue
        _ThreadWakeup _WorkItem _check_system_limits _chain_from_iterable_of_lists
        _process_chunk _process_worker _python_exit _rebuild_exc
        _sendback_result _threads_wakeups
    """.split(),
    "concurrent.futures.thread": """
        BrokenThreadPool ThreadPoolExecutor _WorkItem _global_shutdown_lock
        _python_exit _shutdown _threads_queues _worker
    """.split(),
    "multiprocessing": "context connection process reduction util".split(),
    "multiprocessing.connection": """
        AuthenticationError BUFSIZE CHALLENGE Connection FAILURE WELCOME
        SocketClient SocketListener XmlClient _ConnectionBase answer_challenge
        deliver_challenge rebuild_connection reduce_connection
    """.split(),
    "multiprocessing.context": """
        BaseContext DefaultContext ForkContext ForkProcess ForkServerContext
        Process SpawnContext SpawnProcess _concrete_contexts _default_context
        assert_spawning get_spawning_popen reduction set_spawning_popen
    """.split(),
    "multiprocessing.dummy": "DummyProcess Namespace Value Array shutdown".split(),
    "multiprocessing.managers": """
        AutoProxy DictProxy ListProxy MakeProxyType Namespace PoolProxy Server
        State Value convert_to_error dispatch listener_client public_methods
    """.split(),
    "multiprocessing.pool": """
        ApplyResult AsyncResult CLOSE ExceptionWithTraceback IMapIterator
        IMapUnorderedIterator INIT MapResult MaybeEncodingError Pool RUN
        RemoteTraceback TERMINATE ThreadPool _PoolCache job_counter mapstar
        rebuild_exc starmapstar worker _helper_reraises_exception
    """.split(),
    "multiprocessing.process": """
        AuthenticationString BaseProcess ORIGINAL_DIR _ParentProcess
        _children _cleanup _current_process _exitcode_to_name _process_counter
    """.split(),
    "multiprocessing.queues": "Empty Full JoinableQueue Queue _sentinel".split(),
    "multiprocessing.reduction": "ForkingPickler DupFd dump register".split(),
    "multiprocessing.shared_memory": "_SHM_NAME_PREFIX _make_filename".split(),
    "multiprocessing.sharedctypes": """
        Synchronized SynchronizedArray SynchronizedString SynchronizedBase
        class_cache make_property prop_cache typecode_to_type _new_value
    """.split(),
    "multiprocessing.synchronize": "SEM_VALUE_MAX SemLock".split(),
    "multiprocessing.util": "Finalize ForkAwareLocal register_after_fork".split(),
    "queue": """
        Empty Full LifoQueue PriorityQueue Queue SimpleQueue _PySimpleQueue
        deque heappop heappush threading time types
    """.split(),
    "threading": """
        BrokenBarrierError _CRLock _DummyThread _MainThread _PyRLock _RLock
        _WeakSet _active _active_limbo_lock _after_fork _allocate_lock _count
        _counter _dangling _deque _enumerate _islice _limbo _main_thread _newname
        _os _profile_hook _register_atexit _shutdown _start_new_thread _sys
        _threading_atexits _time _trace_hook excepthook functools local
    """.split(),
}


@section()
def names():
    for module_name, parts in NAMES.items():
        module = importlib.import_module(module_name)
        show(module_name, [name for name in parts if not hasattr(module, name)])
        for name in parts:
            if not hasattr(module, name):
                continue
            scope = {"__name__": "__main__"}
            exec(f"from {module_name} import {name} as part", scope)
            assert scope["part"] is getattr(module, name), name


@section()
def constants():
    show("pool", RUN, CLOSE, TERMINATE, callable(worker))
    show("functions", mapstar((abs, [-1])), starmapstar((pow, [(2, 3)])))
    show("deque", deque.__name__, heappush.__name__, heappop.__name__)
    show("states", concurrent.futures._base.PENDING, concurrent.futures._base.FINISHED)
    show("hooks", callable(_worker), callable(_shutdown))
    show("Empty", multiprocessing.queues.Empty is queue.Empty)
    show("util", multiprocessing.util.get_logger().name)


@section()
def logger():
    stderr = io.StringIO()
    handler = logging.StreamHandler(stderr)
    LOGGER.addHandler(handler)
    LOGGER.propagate = False
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        f = executor.submit(abs, -1)
        f.add_done_callback(lambda f: 1 / 0)
    LOGGER.removeHandler(handler)
    show("logged", stderr.getvalue().splitlines()[-1])
    show("logger", LOGGER.name)


@section()
def attributes():
    q = queue.Queue(3)
    q.put(1)
    show("queue", q.queue, q.maxsize, q.unfinished_tasks)
    with q.mutex:
        show("mutex", q.mutex.locked(), len(q.queue))
        q.queue.clear()
    show("cleared", q.qsize(), q.empty())
    for name in ("not_empty", "not_full", "all_tasks_done"):
        with getattr(q, name):
            show(name, hasattr(getattr(q, name), "notify_all"))
    p = queue.PriorityQueue()
    for n in (3, 1, 2):
        p.put(n)
    show("heap", p.queue)
    t = threading.Thread(target=abs, args=(-1,), kwargs={})
    show("thread", t._target, t._args, t._kwargs, t._started.is_set())
    t.start()
    t.join()
    show("after", hasattr(t, "_target"), t._started.is_set())
    show("active", threading._active[threading.get_ident()].name)
    show("limbo", threading._limbo)
    s = threading.Semaphore(4)
    show("semaphore", s._value)
    c = threading.Condition(threading.Lock())
    show("condition", type(c._lock) is type(threading.Lock()), c._is_owned())
    r = threading.RLock()
    with r:
        show("rlock", r._is_owned())
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        f = executor.submit(abs, -1)
        f.result()
        show("executor", executor._max_workers, len(executor._threads))
        show("threads", all(isinstance(t, threading.Thread) for t in executor._threads))
        show("waiting", executor._work_queue.qsize(), executor._shutdown)
        show("future", f._state, f._result, f._exception)
    show("shutdown", executor._shutdown)
    with multiprocessing.pool.ThreadPool(2) as pool:
        show("pool", pool._processes, len(pool._pool), pool._state)
        pool.map(abs, range(3))
    me = multiprocessing.current_process()
    show("process", me._identity, me._config.get("daemon"), me._parent_pid)
    show("context", multiprocessing.context._default_context.get_start_method() != "")


@section()
def at_exit():
    import atexit

    atexit.unregister(concurrent.futures.thread._python_exit)
    atexit.register(concurrent.futures.thread._python_exit)
    show("queues", len(concurrent.futures.thread._threads_queues))
    show("hooks", "threading" in sys.modules, callable(threading._shutdown))
    threading._register_atexit(print, "  at exit of threads", flush=True)


if __name__ == "__main__":
    run([])
