"""`multiprocessing.dummy`: the interface of processes over threads."""

import multiprocessing
import multiprocessing.dummy
import multiprocessing.dummy.connection
import multiprocessing.pool
import os
import queue
import threading

from tour import attempt, refuse, run, section, show


def square(n):
    return n * n


def fail(n):
    raise LookupError(f"task {n}")


@section("Process", "DummyProcess")
def process():
    seen = []
    p = multiprocessing.dummy.Process(
        group=None, target=seen.append, name="worker", args=(1,), kwargs={}
    )
    show("new", p.name, p.exitcode, p.is_alive(), p.daemon, p.ident, p.native_id)
    show("a thread", isinstance(p, threading.Thread), type(p).__name__, p)
    refuse("join", p.join)
    show("start", p.start(), p.join(), p.join(timeout=1), p.exitcode, seen)
    show("ended", p.is_alive(), p.ident is None, p)
    refuse("start again", p.start)
    direct = multiprocessing.dummy.Process(target=seen.append, args=(2,))
    show("run", direct.run(), seen)
    current = multiprocessing.dummy.current_process()
    show("current", current.name, current is threading.current_thread())
    show("children", multiprocessing.dummy.active_children())
    go = multiprocessing.dummy.Event()
    p = multiprocessing.dummy.Process(target=go.wait, args=(20,), name="waits")
    p.daemon = True
    p.start()
    children = multiprocessing.dummy.active_children()
    show("children", [c.name for c in children], p.exitcode, p.daemon)
    go.set()
    p.join()
    show("children", multiprocessing.dummy.active_children())
    show("freeze_support", multiprocessing.dummy.freeze_support())

    class Squares(multiprocessing.dummy.Process):
        def run(self):
            seen.append(square(5))

    p = Squares()
    p.start()
    p.join()
    show("subclass", seen[-1], p.exitcode)
    old = multiprocessing.dummy.Process()
    old.name = "renamed"
    show("name", old.name)
    show("old methods", [hasattr(old, name) for name in ("getName", "setDaemon")])


@section("Semaphore", "BoundedSemaphore", "Condition", "Event", "Barrier")
def locks():
    a = multiprocessing.dummy.Lock()
    show("lock", a.acquire(), a.acquire(False), a.release())
    a = multiprocessing.dummy.RLock()
    show("rlock", a.acquire(), a.acquire(), a.release(), a.release())
    s = multiprocessing.dummy.Semaphore(value=1)
    show("semaphore", s.acquire(), s.acquire(blocking=False, timeout=None), s)
    show("release", s.release(n=1), isinstance(s, threading.Semaphore))
    b = multiprocessing.dummy.BoundedSemaphore(value=1)
    refuse("bounded", b.release)
    c = multiprocessing.dummy.Condition(lock=None)
    with c:
        show("condition", c.wait(timeout=0.01), c.wait_for(lambda: 3, timeout=1))
        show("condition", c.notify(n=1), c.notify_all())
    e = multiprocessing.dummy.Event()
    show("event", e.is_set(), e.wait(timeout=0.01), e.set(), e.clear(), e)
    barrier = multiprocessing.dummy.Barrier(1, action=None, timeout=None)
    show("barrier", barrier.wait(timeout=1), barrier.parties, barrier.n_waiting)
    show("barrier", barrier.abort(), barrier.broken, barrier.reset(), barrier)


@section("Queue", "JoinableQueue")
def queues():
    q = multiprocessing.dummy.Queue(maxsize=2)
    show("queue", q.put(1), q.put_nowait(2), q.full(), q.empty(), q.qsize())
    attempt("full", q.put, 3, block=False, timeout=None)
    show("get", q.get(block=True, timeout=1), q.get_nowait())
    show("tasks", q.task_done(), q.task_done(), q.join(), isinstance(q, queue.Queue))
    refuse("empty", q.get_nowait)
    j = multiprocessing.dummy.JoinableQueue(maxsize=0)
    show("joinable", j.put("x"), j.get(), j.task_done(), j.join())
    if hasattr(q, "shutdown"):
        q.shutdown(immediate=True)


@section("Connection", "Listener")
def connections():
    a, b = multiprocessing.dummy.Pipe()
    show("pipe", a.send([1]), b.poll(), b.recv(), b.poll(timeout=0.01))
    show("bytes", b.send_bytes(b"x"), a.recv_bytes(), a.close(), type(a).__name__)
    a, b = multiprocessing.dummy.Pipe(duplex=False)
    show("one way", b.send(1), a.recv())
    module = multiprocessing.dummy.connection
    with module.Listener(address=None, family=None, backlog=1) as listener:
        client = module.Client(listener.address)
        server = listener.accept()
        with client, server:
            show("listener", client.send("hello"), server.recv(), server.poll())
        listener.close()


@section()
def managers():
    manager = multiprocessing.dummy.Manager()
    show("manager", manager is multiprocessing.dummy)
    d, ls = manager.dict(a=1), manager.list([1])
    show("collections", d, ls, type(d), type(ls))
    namespace = manager.Namespace(x=1)
    namespace.y = 2
    show("namespace", namespace)
    value = manager.Value("i", 3)
    value.value += 1
    show("value", value.value, value)
    array = manager.Array("i", [1, 2])
    show("array", array, type(array).__name__)
    show("shutdown", multiprocessing.dummy.shutdown())


@section("Pool")
def pools():
    with multiprocessing.dummy.Pool(
        processes=2, initializer=None, initargs=()
    ) as pool:
        show("pool", type(pool).__name__)
        show("type", isinstance(pool, multiprocessing.pool.ThreadPool))
        show("apply", pool.apply(square, (3,)), pool.apply_async(square, (2,)).get())
        show("map", pool.map(square, range(4)), pool.map_async(square, [1]).get())
        show("imap", list(pool.imap(square, range(4))))
        show("unordered", sorted(pool.imap_unordered(square, range(4))))
        show("starmap", pool.starmap(pow, [(2, 3)]))
        show("starmap", pool.starmap_async(pow, [(2, 3)]).get())
        refuse("error", pool.apply, fail, (1,))
        go = multiprocessing.dummy.Event()
        result = pool.map_async(go.wait, [60, 60])
        show("not yet", result.ready(), result.wait(0.01))
        show("get", go.set(), result.get())
        show("pid", set(pool.map(lambda _: os.getpid(), [1])) == {os.getpid()})
    refuse("ended", pool.apply, square, (1,))
    pool = multiprocessing.dummy.Pool()
    show("close", pool.close(), pool.join(), pool.terminate())


@section()
def module():
    every = sorted(multiprocessing.dummy.__all__)
    show("names", [n for n in every if not hasattr(multiprocessing.dummy, n)])
    everything = {}
    exec("from multiprocessing.dummy import *", everything)
    show("star", [n for n in every if n not in everything])


if __name__ == "__main__":
    run(
        [multiprocessing.dummy],
        classes={
            "Connection": multiprocessing.dummy.connection.Connection,
            "Listener": multiprocessing.dummy.connection.Listener,
        },
        undocumented={
            *(f"Process.{n}" for n in ("getName", "setName", "isDaemon", "setDaemon")),
            "Condition.notifyAll",
            "Event.isSet",
            "a section about Lock",  # which is no class before 3.13
        },
    )
