"""`multiprocessing.managers`; argument: the start method."""

import multiprocessing
import multiprocessing.managers
import pickle
import queue
import sys
import threading
from multiprocessing.managers import (
    BaseManager,
    BaseProxy,
    NamespaceProxy,
    SyncManager,
    Token,
)

import parts
from tour import attempt, refuse, run, section, show

METHOD = sys.argv[1]


class Counter:
    def __init__(self, start=0):
        self.count = start

    def add(self, n=1):
        self.count += n
        return self.count

    def _hidden(self):
        return "hidden"

    def fail(self):
        raise LookupError("in the manager")


def make_squares():
    return (n * n for n in range(3))


class IteratorProxy(BaseProxy):
    """The one of the documentation."""

    _exposed_ = ("__next__",)

    def __iter__(self):
        return self

    def __next__(self):
        return self._callmethod("__next__")


class CounterProxy(BaseProxy):
    _exposed_ = ("add", "_hidden", "__getattribute__")

    def add(self, n=1):
        return self._callmethod("add", (n,))

    def whole(self):
        return self._getvalue()

    count = property(lambda self: self._callmethod("__getattribute__", ("count",)))


class Managers(BaseManager):
    pass


shared_queue = queue.Queue()


def get_queue():
    return shared_queue


def five():
    return 5


class Queues(BaseManager):
    pass


def use(a_dict, a_list, namespace, lock, q, counter):
    with lock:
        a_dict["child"] = a_list.pop()
        namespace.x += 1
    q.put(counter.add(10))


def connect(address, authkey):
    Queues.register("get_queue")
    manager = Queues(address=address, authkey=authkey)
    manager.connect()
    manager.get_queue().put("from a child")


def started(values):
    print(f"  initializer: {values}", flush=True)


@section("SyncManager")
def collections():
    with multiprocessing.Manager() as manager:
        show("type", type(manager).__name__, isinstance(manager, SyncManager))
        show("address", type(manager.address).__name__)
        d = manager.dict({"a": 1}, b=2)
        d["c"] = [3]
        show("dict", d, d.copy(), len(d), "a" in d, type(d).__name__)
        show("dict", sorted(d.keys()), sorted(d.values(), key=str), list(d.items()))
        show("dict", d.get("x"), d.get("x", 5), d.pop("a"), d.setdefault("z", 0))
        show("dict", d.update({"y": 1}), d.popitem(), list(d), d.clear(), dict(d))
        refuse("dict", d.__getitem__, "nothing")
        ls = manager.list(range(3))
        ls.append(7)
        ls += [8]
        show("list", ls[:], len(ls), ls[0], ls[-1], ls[1:2], type(ls).__name__)
        show("list", ls.insert(0, 9), ls.pop(), ls.remove(9), ls.index(7), ls.count(1))
        show("list", ls.extend([5, 4]), ls.sort(), ls.reverse(), ls, 7 in ls)
        show("list", ls * 2, ls + [1], list(ls))
        refuse("list", ls.__getitem__, 99)
        nested = manager.list([manager.dict(), manager.list()])
        nested[0]["x"] = 1
        nested[1].append(2)
        show("nested", nested[0].copy(), nested[1][:])
        ns = manager.Namespace()
        ns.x = 10
        ns._hidden = 1
        show("namespace", ns.x, ns, isinstance(ns, NamespaceProxy))
        attempt("namespace", getattr, ns, "nothing")
        show("str", str(ls), repr(ls).startswith("<ListProxy object, typeid 'list' at"))
        v = manager.Value("i", 3)
        v.value += 1
        show("value", v.value, v.get(), v.set(9), v.value, v)
        a = manager.Array("i", [1, 2])
        a[0] = 5
        show("array", a[0], len(a), list(a), a)


@section("SyncManager")
def synchronization():
    with multiprocessing.Manager() as manager:
        a = manager.Lock()
        show("lock", a.acquire(), a.acquire(False), a.release(), type(a).__name__)
        with a:
            pass
        refuse("lock", a.release)
        r = manager.RLock()
        show("rlock", r.acquire(), r.acquire(True, 1), r.release(), r.release())
        s = manager.Semaphore(1)
        show("semaphore", s.acquire(), s.acquire(False), s.release())
        b = manager.BoundedSemaphore(1)
        refuse("bounded", b.release)
        c = manager.Condition()
        with c:
            show("condition", c.wait(0.01), c.notify(), c.notify_all())
            show("condition", c.wait_for(lambda: 3, 1))
        own = manager.Condition(manager.Lock())
        with own:
            show("condition", own.wait(0.01))
        e = manager.Event()
        show("event", e.is_set(), e.wait(0.01), e.set(), e.wait(), e.clear())
        barrier = manager.Barrier(1)
        show("barrier", barrier.wait(), barrier.parties, barrier.n_waiting)
        show("barrier", barrier.abort(), barrier.broken, barrier.reset())
        q = manager.Queue(2)
        show("queue", q.put(1), q.put(2), q.full(), q.qsize(), q.get(), q.get_nowait())
        refuse("queue", q.get, True, 0.01)
        refuse("queue", q.get_nowait)
        refuse("broken", barrier.wait, -1)
        j = manager.JoinableQueue()
        show("joinable", j.put(1), j.get(), j.task_done(), j.join(), j.empty())
        with manager.Pool(1) as pool:
            show("pool", pool.apply(abs, (-3,)), pool.map(abs, [-1, 2]))
            show("pool", list(pool.imap(abs, [-1])), pool.apply_async(abs, (-9,)).get())


@section("SyncManager", "BaseManager")
def in_a_child():
    Managers.register("Counter", Counter)
    manager = Managers()
    show("start", manager.start(initializer=started, initargs=(["x"],)))
    sync = multiprocessing.Manager()
    counter = manager.Counter(5)
    a_dict, a_list, namespace = sync.dict(), sync.list([1, 2]), sync.Namespace()
    namespace.x = 1
    lock, q = sync.Lock(), sync.Queue()
    shared = (a_dict, a_list, namespace, lock, q, counter)
    p = multiprocessing.Process(target=use, args=shared)
    p.start()
    p.join()
    show("child", a_dict.copy(), a_list[:], namespace.x, q.get(), counter.add(0))
    copied = pickle.loads(pickle.dumps(a_list))
    copied.append("copy")
    show("pickled proxy", a_list[:], copied == a_list)
    show("shutdown", sync.shutdown(), sync.join(timeout=5))
    attempt("gone", a_list.append, 1)
    manager.shutdown()


@section("BaseManager", "BaseProxy")
def own_types():
    Managers.register(
        "Counter2",
        callable=Counter,
        proxytype=CounterProxy,
        exposed=None,
        method_to_typeid=None,
        create_method=True,
    )
    Managers.register("squares", make_squares, proxytype=IteratorProxy)
    Managers.register("Counter3", Counter, exposed=("add", "_hidden", "fail"))
    Managers.register("five", five)
    manager = Managers(
        address=None,
        authkey=b"key",
        serializer="pickle",
        ctx=multiprocessing.get_context(),
        shutdown_timeout=1.0,
    )
    with manager as entered:
        show("with", entered is manager)
        counter = manager.Counter()
        show("methods", counter.add(), counter.add(n=4), type(counter).__name__)
        show("exposed", hasattr(counter, "_hidden"), hasattr(counter, "count"))
        refuse("error", counter.fail)
        own = manager.Counter2(3)
        show("proxy", own.add(), own.count, own.whole().count, type(own).__name__)
        third = manager.Counter3()
        show("exposed", third._hidden(), third._callmethod("add", (2,)))
        attempt("not exposed", third._callmethod, "count")
        show("str", str(manager.five()), manager.five()._getvalue())
        show("iterator", list(manager.squares()))
        refuse("start", manager.start)
        refuse("connect", manager.connect)
        token = counter._token
        show("token", isinstance(token, Token), token.typeid, type(token.id).__name__)
        show("address", token.address == manager.address)
    refuse("serializer", BaseManager, serializer="magic")
    unused = BaseManager(
        address=None,
        authkey=b"key",
        serializer="xmlrpclib",
        ctx=None,
        shutdown_timeout=0.5,
    )
    show("unused", unused.address, type(unused).__name__)
    refuse("start", manager.start)
    refuse("get_server", manager.get_server)
    attempt("not registered", lambda: BaseManager().Counter)


@section("BaseManager", "Token")
def remote():
    Queues.register("get_queue", callable=get_queue)
    manager = Queues(address=("127.0.0.1", 0), authkey=b"secret")
    server = manager.get_server()
    show("server", type(server).__name__, server.address[0], manager.address)
    thread = threading.Thread(target=serve, args=(server,), daemon=True)
    thread.start()
    p = multiprocessing.Process(target=connect, args=(server.address, b"secret"))
    p.start()
    show("from a child", shared_queue.get(timeout=20), p.join(), p.exitcode)
    client = Queues(server.address, b"secret")
    show("connect", client.connect(), client.get_queue().qsize())
    stranger = Queues(server.address, b"wrong")
    attempt("wrong key", stranger.connect)
    token = Token("Queue", server.address, "abc")
    show("token", token.typeid, token.id, token.address[0], str(token)[:20])
    server.stop_event.set()
    thread.join()


def serve(server):
    try:
        server.serve_forever()
    except SystemExit as error:
        show("served", error.code)


if __name__ == "__main__":
    multiprocessing.set_start_method(METHOD)
    run(
        [],
        classes={
            "SyncManager": SyncManager,
            "BaseManager": BaseManager,
            "BaseProxy": BaseProxy,
            "Token": Token,
        },
        functions=parts.names("managers")
        | {
            name: getattr(multiprocessing.managers, name)
            for name in multiprocessing.managers.__all__
            # It is among what is shared.
            if name != "SharedMemoryManager"
        },
        undocumented={
            f"BaseProxy({name}=)"
            for name in ("authkey", "exposed", "incref", "manager", "manager_owned")
        },
    )
