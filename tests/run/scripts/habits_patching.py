"""Programs, and tests above all, that patch what they use."""

import concurrent.futures
import multiprocessing
import multiprocessing.dummy
import multiprocessing.pool
import os
import queue
import sys
import threading
import types
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from unittest import mock

import client
from tour import refuse, run, section, show


@section()
def functions():
    with mock.patch("multiprocessing.cpu_count", return_value=77):
        show("cpu_count", multiprocessing.cpu_count(), client.cpus())
        from multiprocessing import cpu_count

        show("imported", cpu_count())
    show("after", multiprocessing.cpu_count() == os.cpu_count())
    original = multiprocessing.cpu_count
    multiprocessing.cpu_count = lambda: 5
    show("assigned", multiprocessing.cpu_count(), client.cpus())
    multiprocessing.cpu_count = original
    with mock.patch("threading.get_ident", return_value=42):
        show("get_ident", threading.get_ident(), client.ident())
    with mock.patch("os.cpu_count", return_value=3):
        show("os.cpu_count", multiprocessing.cpu_count(), client.cpus())
        with multiprocessing.pool.ThreadPool() as pool:
            show("pool", pool._processes, len(pool._pool))
    threading.invented = 1
    show("invented", client.invented(), hasattr(threading, "invented"))
    del threading.invented
    show("deleted", hasattr(threading, "invented"))


@section()
def classes():
    with mock.patch("threading.Thread") as fake:
        threading.Thread(target=abs).start()
        client.start_thread(abs)
        show("Thread", fake.call_count, fake.return_value.start.call_count)
        show("calls", fake.call_args_list[0].kwargs == {"target": abs})
        show("imported before", Thread is not fake)
    show("after", threading.Thread is Thread)
    with mock.patch("queue.Queue") as fake:
        client.make_queue(3)
        show("Queue", fake.call_args.args)
    with mock.patch("multiprocessing.Pool") as fake:
        fake.return_value.__enter__.return_value.map.return_value = "mapped"
        show("Pool", client.use_pool(), fake.call_args.kwargs)
    with mock.patch("multiprocessing.Process") as fake:
        client.start_process(abs)
        show("Process", fake.return_value.start.called)
    with mock.patch("concurrent.futures.ThreadPoolExecutor") as fake:
        client.use_executor()
        show("Executor", fake.return_value.__enter__.return_value.submit.called)
    with mock.patch("concurrent.futures.as_completed", return_value=[1, 2]):
        show("as_completed", concurrent.futures.as_completed([]))

    class Counting(Thread):
        count = 0

        def start(self):
            Counting.count += 1
            super().start()

    threading.Thread = Counting
    client.start_thread(abs, -1).join()
    timer = threading.Timer(0, abs, [1])
    timer.start()
    timer.join()
    threading.Thread = Thread
    show("replaced", Counting.count)


@section()
def methods():
    with mock.patch("concurrent.futures.ThreadPoolExecutor.submit") as submit:
        submit.return_value.result.return_value = "mocked"
        with ThreadPoolExecutor(1) as executor:
            show("submit", executor.submit(abs, -1).result())
        show("client", client.use_executor(), submit.call_count)
    with ThreadPoolExecutor(1) as executor:
        show("after", executor.submit(abs, -1).result())
    with mock.patch.object(ThreadPoolExecutor, "map", return_value=iter("ab")):
        with ThreadPoolExecutor(1) as executor:
            show("map", list(executor.map(abs, [1])))
    with mock.patch("queue.Queue.get", side_effect=queue.Empty):
        refuse("get", queue.Queue().get)
        refuse("get", client.make_queue(1).get)
    with mock.patch("queue.Queue.put") as put:
        q = queue.Queue()
        q.put(1, block=False)
        show("put", put.call_args.args, put.call_args.kwargs, q.qsize())
    with mock.patch("threading.Event.wait", return_value="waited") as wait:
        show("wait", threading.Event().wait(100), wait.call_count)
    with mock.patch("threading.Thread.start") as start:
        client.start_thread(abs)
        show("start", start.call_count)
    with mock.patch("threading.Thread.join") as join:
        threading.Thread().join()
        show("join", join.call_count)
    with mock.patch("threading.Condition.notify_all") as notify_all:
        with threading.Condition() as _, threading.Condition() as _:
            threading.Condition().notify_all()
        show("notify_all", notify_all.call_count)
    with mock.patch("concurrent.futures.Future.result", return_value="patched"):
        with ThreadPoolExecutor(1) as executor:
            show("result", executor.submit(abs, -1).result())


@section()
def pool_methods():
    Pool = multiprocessing.pool.Pool
    original = Pool.map

    def counted(self, func, iterable, chunksize=None):
        iterable = list(iterable)
        show("patched map", len(iterable))
        return original(self, func, iterable, chunksize)

    Pool.map = counted
    with multiprocessing.dummy.Pool(1) as pool:
        show("map", pool.map(abs, [-1, 2]))
    with multiprocessing.Pool(1) as pool:
        show("map", pool.map(abs, [-1, 2]))
    Pool.map = original
    with multiprocessing.dummy.Pool(1) as pool:
        show("map", pool.map(abs, [-1, 2]))
    with mock.patch("multiprocessing.pool.Pool.apply_async") as apply_async:
        with multiprocessing.pool.ThreadPool(1) as pool:
            pool.apply_async(abs, (-1,))
        show("apply_async", apply_async.call_args.args)
    with mock.patch("multiprocessing.pool.ThreadPool") as fake:
        multiprocessing.pool.ThreadPool(7)
        show("ThreadPool", fake.call_args.args)


@section()
def thread_run():
    """Patch Thread as recipes for logging its exceptions do."""
    events = []
    original_run, original_init = Thread.run, Thread.__init__

    def patched_run(self):
        events.append(("run", self.name))
        try:
            original_run(self)
        except LookupError as error:
            events.append(("caught", str(error)))

    def patched_init(self, *args, **kwds):
        original_init(self, *args, **kwds)
        events.append(("init", self.name))

    def fail():
        raise LookupError("in a thread")

    Thread.run = patched_run
    Thread.__init__ = patched_init
    for target in (abs, fail):
        args = (-1,) if target is abs else ()
        thread = Thread(target=target, args=args, name=target.__name__)
        thread.start()
        thread.join()

    class Own(Thread):
        def run(self):
            events.append(("own", self.name))

    own = Own(name="own")
    own.start()
    own.join()
    Thread.run, Thread.__init__ = original_run, original_init
    show("events", *events)


@section()
def excepthook():
    caught = []
    threading.excepthook = lambda args: caught.append(args.exc_type.__name__)
    thread = Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    show("hook", caught)
    threading.excepthook = threading.__excepthook__
    show("restored", threading.excepthook is threading.__excepthook__)


@section()
def instances():
    q = queue.Queue()
    q.name = "a queue"
    q.put = lambda item: show("put of an instance", item)
    q.put(1)
    t = Thread()
    t.run = lambda: show("run of an instance")
    t.note = "mine"
    t.start()
    t.join()
    show("attributes", q.name, t.note)
    e = threading.Event()
    e.payload = 3
    s = threading.Semaphore()
    s.payload = 4
    c = threading.Condition()
    c.payload = 5
    b = threading.Barrier(1)
    b.payload = 6
    show("payloads", e.payload, s.payload, c.payload, b.payload)
    with ThreadPoolExecutor(1) as executor:
        executor.note = "mine"
        f = executor.submit(abs, -1)
        f.index = 7
        show("future", f.index, executor.note, f.result())
        result = mock.Mock(wraps=executor)
        show("wrapped", result.submit(abs, -3).result(), result.submit.call_count)


@section()
def specs():
    fake = mock.create_autospec(queue.Queue, instance=True)
    fake.get.return_value = 3
    show("Queue", fake.get(timeout=1), fake.get.call_args.kwargs)
    refuse("what is not there", lambda: fake.bogus)
    fake = mock.create_autospec(threading.Thread)
    fake(target=abs).start()
    show("Thread", fake.call_count, isinstance(fake(), threading.Thread))
    fake = mock.Mock(spec=concurrent.futures.Future)
    show("Future", isinstance(fake, concurrent.futures.Future))
    fake = mock.create_autospec(threading.Event, instance=True)
    fake.wait.return_value = True
    show("Event", fake.wait(timeout=1))


@section()
def modules():
    fake = types.ModuleType("queue")
    fake.Queue = "fake"
    with mock.patch.dict(sys.modules, {"queue": fake}):
        import queue as imported

        show("fake", imported.Queue, client.import_queue().Queue)
    show("after", client.import_queue().Queue is queue.Queue)
    with mock.patch.dict(sys.modules, {"multiprocessing": None}):
        refuse("none", client.import_multiprocessing)
    show("after", client.import_multiprocessing() is multiprocessing)
    with mock.patch("client.threading") as fake:
        client.start_thread(abs)
        show("module of a module", fake.Thread.called)


if __name__ == "__main__":
    run([])
