"""Programs that ask what something is."""

import asyncio
import concurrent.futures
import concurrent.futures.thread
import inspect
import logging
import logging.handlers
import multiprocessing
import multiprocessing.dummy
import multiprocessing.managers
import multiprocessing.pool
import multiprocessing.process
import multiprocessing.queues
import multiprocessing.synchronize
import pickle
import queue
import sched
import socket
import socketserver
import sys
import threading
import typing

from tour import attempt, run, section, show

CLASSES = [
    concurrent.futures.CancelledError,
    concurrent.futures.Executor,
    concurrent.futures.Future,
    concurrent.futures.ProcessPoolExecutor,
    concurrent.futures.ThreadPoolExecutor,
    concurrent.futures.thread.BrokenThreadPool,
    multiprocessing.Process,
    multiprocessing.pool.ApplyResult,
    multiprocessing.pool.MapResult,
    multiprocessing.pool.Pool,
    multiprocessing.pool.ThreadPool,
    multiprocessing.queues.Queue,
    queue.Empty,
    queue.Full,
    queue.LifoQueue,
    queue.PriorityQueue,
    queue.Queue,
    queue.SimpleQueue,
    threading.Barrier,
    threading.BoundedSemaphore,
    threading.BrokenBarrierError,
    threading.Condition,
    threading.Event,
    threading.Semaphore,
    threading.Thread,
    threading.Timer,
    threading.local,
]


@section()
def pickled_classes():
    for cls in CLASSES:
        show(cls.__qualname__, pickle.loads(pickle.dumps(cls)) is cls)
    for function in (multiprocessing.Process, threading.get_ident, queue.Queue.put):
        show(function.__name__, pickle.loads(pickle.dumps(function)) == function)


@section()
def modules():
    for module in (threading, queue, multiprocessing, concurrent.futures):
        show("module", inspect.ismodule(module))
        show("file", module.__file__.rpartition("/")[2])
        show("in sys.modules", module.__name__ in sys.modules)
    show("package", multiprocessing.__path__ != [])


@section()
def threads():
    t = threading.Thread()
    show("Thread", isinstance(t, threading.Thread), type(t) is threading.Thread)
    show("Timer", isinstance(threading.Timer(1, abs), threading.Thread))
    show("main", isinstance(threading.main_thread(), threading.Thread))
    show("main", type(threading.main_thread()) is threading._MainThread)
    show("dummy", isinstance(multiprocessing.dummy.Process(), threading.Thread))
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        t = executor.submit(threading.current_thread).result()
        show("executor", isinstance(t, threading.Thread), t in threading.enumerate())
        show("same", t is executor.submit(threading.current_thread).result())
        show("daemon", t.daemon, t.is_alive(), type(t).__name__)
    with multiprocessing.pool.ThreadPool(1) as pool:
        t = pool.apply(threading.current_thread)
        show("pool", isinstance(t, threading.Thread), t in threading.enumerate())
        show("daemon", t.daemon, t.is_alive())
    show("mro", [cls.__name__ for cls in threading.Timer.__mro__])
    show("subclass", issubclass(threading.Timer, threading.Thread))
    show("no thread", isinstance(3, threading.Thread))
    show("no thread", issubclass(int, threading.Thread))

    class Own(threading.Thread):
        pass

    show("own", isinstance(threading.Thread(), Own), isinstance(Own(), Own))
    show("main is not own", isinstance(threading.main_thread(), Own))


@section()
def locks():
    lock_type, rlock_type = type(threading.Lock()), type(threading.RLock())
    show("Lock", isinstance(threading.Lock(), lock_type))
    show("RLock", isinstance(threading.RLock(), rlock_type))
    show("not both", isinstance(threading.RLock(), lock_type))
    show("Lock is", inspect.isclass(threading.Lock) == (sys.version_info >= (3, 13)))
    show("Event", isinstance(threading.Event(), threading.Event))
    show("bounded", isinstance(threading.BoundedSemaphore(), threading.Semaphore))
    show("condition", isinstance(threading.Condition(), threading.Condition))
    show("context managers", hasattr(lock_type, "__enter__"))
    show("Barrier", isinstance(multiprocessing.Barrier(1), threading.Barrier))
    with multiprocessing.Manager() as manager:
        attempt("manager", lambda: type(manager.Lock()).__name__)
    show("mp", isinstance(multiprocessing.Lock(), multiprocessing.synchronize.Lock))
    show("mp is not", isinstance(multiprocessing.Lock(), lock_type))


@section()
def pools():
    with multiprocessing.Pool(1) as pool:
        show("Pool", isinstance(pool, multiprocessing.pool.Pool))
        show("same", type(pool) is multiprocessing.pool.Pool)
        show("not ThreadPool", isinstance(pool, multiprocessing.pool.ThreadPool))
        result = pool.apply_async(abs, (-1,))
        show("AsyncResult", isinstance(result, multiprocessing.pool.AsyncResult))
        result = pool.map_async(abs, [-1])
        show("MapResult", isinstance(result, multiprocessing.pool.MapResult))
        result = pool.imap(abs, [-1])
        show("IMapIterator", isinstance(result, multiprocessing.pool.IMapIterator))
        result = pool.imap_unordered(abs, [-1])
        cls = multiprocessing.pool.IMapUnorderedIterator
        show("unordered", isinstance(result, cls), list(result))
        try:
            pool.apply(int, ("x",))
        except ValueError as error:
            cause = error.__cause__
            show("cause", isinstance(cause, multiprocessing.pool.RemoteTraceback))
    with multiprocessing.dummy.Pool(1) as pool:
        show("ThreadPool", isinstance(pool, multiprocessing.pool.ThreadPool))
        show("Pool", isinstance(pool, multiprocessing.pool.Pool))
    show("Pool is no class", inspect.isclass(multiprocessing.Pool))
    Pool, ThreadPool = multiprocessing.pool.Pool, multiprocessing.pool.ThreadPool
    show("subclass", issubclass(ThreadPool, Pool), issubclass(Pool, ThreadPool))


@section()
def queues():
    show("Queue", isinstance(queue.LifoQueue(), queue.Queue))
    show("dummy", multiprocessing.dummy.Queue is queue.Queue)
    show("mp", isinstance(multiprocessing.Queue(), queue.Queue))
    show("mp", isinstance(multiprocessing.Queue(), multiprocessing.queues.Queue))
    try:
        multiprocessing.Queue().get_nowait()
    except queue.Empty:
        show("Empty is caught")
    try:
        multiprocessing.dummy.Queue().get_nowait()
    except queue.Empty:
        show("Empty is caught")
    with multiprocessing.Manager() as manager:
        try:
            manager.Queue().get_nowait()
        except queue.Empty:
            show("Empty is caught")
    try:
        multiprocessing.Barrier(2).wait(0)
    except threading.BrokenBarrierError:
        show("BrokenBarrierError is caught")


@section()
def futures():
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        f = executor.submit(abs, -1)
        show("Future", isinstance(f, concurrent.futures.Future), type(f).__name__)
        show("Executor", isinstance(executor, concurrent.futures.Executor))

        async def main():
            loop = asyncio.get_running_loop()
            show("run_in_executor", await loop.run_in_executor(executor, abs, -2))
            show("wrap_future", await asyncio.wrap_future(executor.submit(abs, -3)))
            show("to_thread", await asyncio.to_thread(abs, -4))
            t = await asyncio.to_thread(threading.current_thread)
            show("its thread", isinstance(t, threading.Thread), t.name[:7])
            loop.set_default_executor(executor)
            show("default", await loop.run_in_executor(None, abs, -5))

            async def coroutine():
                return 6

            def call():
                f = asyncio.run_coroutine_threadsafe(coroutine(), loop)
                return isinstance(f, concurrent.futures.Future), f.result()

            show("threadsafe", await asyncio.to_thread(call))
            show("shared executor is free", await asyncio.to_thread(abs, -7))

        asyncio.run(main())


@section()
def of_the_standard_library():
    q = queue.Queue()
    handler = logging.handlers.QueueHandler(q)
    records = []
    target = logging.Handler()
    target.emit = lambda record: records.append(record.getMessage())
    listener = logging.handlers.QueueListener(q, target)
    listener.start()
    logger = logging.getLogger("habits")
    logger.propagate = False
    logger.addHandler(handler)
    logger.warning("through %s", "a queue")
    listener.stop()
    show("logging", records)
    show("thread name", logging.makeLogRecord({}).threadName)
    done = []

    class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
        daemon_threads = True

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            done.append(isinstance(threading.current_thread(), threading.Thread))
            self.request.sendall(b"hello")

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        with socket.create_connection(server.server_address) as client:
            show("server", client.recv(10), done)
        server.shutdown()
        thread.join()
    scheduler = sched.scheduler()
    scheduler.enter(0, 1, done.append, ("scheduled",))
    scheduler.run()
    show("sched", done[-1])
    names = []

    def log():
        names.append(logging.makeLogRecord({}).__class__.__name__)
        names.append(logging.LogRecord("", 0, "", 0, "", (), None).threadName)

    thread = threading.Thread(target=log, name="named")
    thread.start()
    thread.join()
    show("names in logs", names)


def parameters(function):
    parameters = inspect.signature(function).parameters.values()
    return [(p.name, "" if p.default is p.empty else p.default) for p in parameters]


@section()
def inspected():
    for number, function in enumerate((
        queue.Queue.put,
        queue.Queue.get,
        queue.Queue,
        threading.Thread,
        threading.Thread.join,
        threading.Condition.wait,
        threading.Semaphore.acquire,
        threading.Barrier,
        multiprocessing.pool.Pool.map,
        multiprocessing.pool.Pool.apply_async,
        concurrent.futures.Future.result,
        concurrent.futures.wait,
    )):
        attempt(f"signature {number}", parameters, function)
    show("docs", bool(threading.Thread.__doc__), bool(queue.Queue.put.__doc__))

    def annotated(t: threading.Thread, q: "queue.Queue[int]"):
        pass

    hints = typing.get_type_hints(annotated)
    show("hints", hints["t"] is threading.Thread, hints["q"].__origin__ is queue.Queue)
    show("optional", typing.Optional[threading.Event] is not None)  # noqa: UP045
    show("union", (threading.Thread | None).__args__[1].__name__)
    show("match", matched(threading.Thread()), matched(queue.Queue()), matched(1))


def matched(value):
    match value:
        case threading.Thread(daemon=daemon):
            return "thread", daemon
        case queue.Queue(maxsize=size):
            return "queue", size
        case _:
            return "other"


if __name__ == "__main__":
    run([])
