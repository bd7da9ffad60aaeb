"""Everything that the documentation of `threading` lists."""

import contextlib
import io
import sys
import threading
import time
import traceback

from tour import attempt, refuse, run, section, show, warned


def in_thread(function, *args, **kwds):
    """Return what the function returns, or its error, in another thread."""
    results = []

    def body():
        try:
            results.append(function(*args, **kwds))
        except Exception as error:
            results.append(f"{type(error).__name__}: {error}")

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    return results[0]


@section()
def functions():
    show("main is current", threading.main_thread() is threading.current_thread())
    show("main's type", type(threading.main_thread()).__name__)
    show("main's name", threading.main_thread().name)
    show("main", threading.main_thread())
    show("active", threading.active_count(), len(threading.enumerate()))
    show("enumerate", threading.enumerate())
    show("ident", threading.get_ident() == threading.current_thread().ident)
    show("type of ident", type(threading.get_ident()).__name__)
    show(
        "native id",
        threading.get_native_id() == threading.current_thread().native_id,
    )
    show("other ident", in_thread(threading.get_ident) != threading.get_ident())
    show("main elsewhere", in_thread(threading.main_thread).name)
    show("current elsewhere", in_thread(threading.current_thread) is not None)
    show("TIMEOUT_MAX", threading.TIMEOUT_MAX > 1e6, type(threading.TIMEOUT_MAX))
    show("ThreadError", threading.ThreadError is RuntimeError)
    show("broken barrier", threading.BrokenBarrierError.__mro__[1].__name__)
    show("stack size", threading.stack_size())
    show("set", threading.stack_size(256 * 1024))
    show("now", threading.stack_size(0))
    refuse("small", threading.stack_size, 1)
    refuse("negative", threading.stack_size, -1)
    with warned("activeCount"):
        show("old spelling", threading.activeCount())
    with warned("currentThread"):
        show("old spelling", threading.currentThread() is threading.main_thread())


@section()
def tracing():
    events = []

    def hook(frame, event, _arg):
        if frame.f_code.co_name == "traced":
            events.append(event)
        return hook

    def traced():
        return 1

    for setter, getter in (
        (threading.settrace, threading.gettrace),
        (threading.setprofile, threading.getprofile),
    ):
        show("before", getter())
        setter(hook)
        show("is set", getter() is hook)
        in_thread(traced)
        setter(None)
        show("after", getter())
        show("events", events)
        events.clear()
    if sys.version_info >= (3, 12):
        for setter, getter in (
            (threading.settrace_all_threads, threading.gettrace),
            (threading.setprofile_all_threads, threading.getprofile),
        ):
            setter(hook)
            show("is set for all", getter() is hook)
            traced()
            in_thread(traced)
            setter(None)
            show("after", getter())
            show("events", events)
            events.clear()


@section("ExceptHookArgs")
def excepthook():
    def fail():
        raise LookupError("in a thread")

    def leave():
        sys.exit(3)

    def remember(args):
        show("hook", args.exc_type, args.exc_value, args.thread.name)
        last = traceback.extract_tb(args.exc_traceback)[-1]
        show("traceback", last.name, last.line)
        show("type", type(args).__name__, len(args), isinstance(args, tuple))
        show("args", args._fields if hasattr(args, "_fields") else None)
        show("named fields", args.n_fields, args.n_sequence_fields)
        show("unnamed fields", args.n_unnamed_fields)
        show("tuple", args.index(args.exc_type), args.count(args.exc_type))

    show("default", threading.excepthook is threading.__excepthook__)
    threading.excepthook = remember
    thread = threading.Thread(target=fail, name="failing")
    thread.start()
    thread.join()
    threading.excepthook = threading.__excepthook__
    for target in (fail, leave):
        stderr = io.StringIO()
        with contextlib.redirect_stderr(stderr):
            thread = threading.Thread(target=target, name="failing")
            thread.start()
            thread.join()
        lines = stderr.getvalue().splitlines()
        show("lines", lines[:2], lines[-1:])
    error = KeyError("x")
    stderr = io.StringIO()
    with contextlib.redirect_stderr(stderr):
        args = (KeyError, error, None, threading.current_thread())
        threading.excepthook(threading.ExceptHookArgs(args))
        threading.excepthook(threading.ExceptHookArgs((KeyError, error, None, None)))
    lines = stderr.getvalue().splitlines()
    show("lines", lines[0], lines[1], len(lines), lines[2].split()[-1:] != [])
    attempt("too few", threading.ExceptHookArgs, (1, 2))


@section("local")
def local():
    data = threading.local()
    data.x = 1

    def look():
        try:
            return data.x
        except AttributeError as error:
            return type(error).__name__

    show("here", data.x, data.__dict__)
    show("elsewhere", in_thread(look))
    del data.x
    show("deleted", look())

    class Initialised(threading.local):
        shared = ("of", "the class")

        def __init__(self, start, *, step=1):
            self.value = start
            self.step = step

    own = Initialised(5, step=2)
    own.value += own.step
    show("subclass", own.value, in_thread(lambda: own.value))
    show("class attribute", in_thread(lambda: own.shared == Initialised.shared))
    refuse("arguments", threading.local, 1)


class Squares(threading.Thread):
    def __init__(self, count, **kwds):
        super().__init__(**kwds)
        self.count = count
        self.result = None

    def run(self):
        self.result = [n * n for n in range(self.count)]


class Uninitialised(threading.Thread):
    def __init__(self):
        pass


@section("Thread")
def thread():
    seen = []
    go = threading.Event()

    def body(*args, **kwds):
        go.wait()
        seen.append((args, kwds, threading.current_thread().name))

    t = threading.Thread(
        group=None,
        target=body,
        name="worker",
        args=(1, 2),
        kwargs={"key": 3},
        daemon=True,
    )
    show("new", t.name, t.daemon, t.ident, t.native_id, t.is_alive(), t)
    refuse("join before start", t.join)
    show("start", t.start())
    show("alive", t.is_alive(), t in threading.enumerate(), t)
    show("ids", type(t.ident).__name__, type(t.native_id).__name__)
    show("join in time", t.join(timeout=0.01), t.is_alive())
    refuse("daemon while it runs", setattr, t, "daemon", False)
    refuse("start twice", t.start)
    go.set()
    show("join", t.join(), t.join(), t.join(5), t.join(timeout=-1))
    show("ended", t.is_alive(), t in threading.enumerate(), t.ident is None, t)
    refuse("start again", t.start)
    refuse("daemon when ended", setattr, t, "daemon", False)
    show("seen", seen)
    t.name = "other"
    show("name", t.name, t)
    t.name = 12
    show("name of no str", t.name)
    subclassed = Squares(4, name="squares")
    subclassed.start()
    subclassed.join()
    show("subclass", subclassed.result, subclassed.name, subclassed.daemon)
    direct = threading.Thread(target=seen.append, args=["direct"])
    show("run without start", direct.run(), seen[-1], direct.is_alive())
    show("no target", threading.Thread().run())
    refuse("join itself", threading.current_thread().join)
    show("join itself", in_thread(lambda: threading.current_thread().join()))
    refuse("group", threading.Thread, "group")
    attempt("unknown argument", threading.Thread, bogus=1)
    refuse("uninitialised", Uninitialised().start)
    refuse("uninitialised", Uninitialised().join)
    attempt("timeout of no number", t.join, "1")


@section("Thread")
def thread_names():
    named = [threading.Thread(), threading.Thread(target=in_thread)]
    first = int(named[0].name.removeprefix("Thread-"))
    show("names", named[1].name == f"Thread-{first + 1} (in_thread)")
    show("inherited daemon", in_thread(lambda: threading.Thread().daemon))
    daemon = threading.Thread(
        target=lambda: show("of a daemon", threading.Thread().daemon), daemon=True
    )
    daemon.start()
    daemon.join()
    for name, args in (
        ("getName", ()),
        ("setName", ("renamed",)),
        ("isDaemon", ()),
        ("setDaemon", (True,)),
    ):
        with warned(name):
            attempt(name, getattr(named[0], name), *args)
    show("result", named[0].name, named[0].daemon)
    old = named[1]
    with warned("old methods"):
        old.setName("a")
        old.setDaemon(False)
        show("old methods", old.getName(), old.isDaemon())


@section("Lock")
def lock():
    a = threading.Lock()
    show("unlocked", a.locked())
    show("acquire", a.acquire(), a.locked())
    show("again", a.acquire(blocking=False), a.acquire(False))
    show("in time", a.acquire(timeout=0.01), a.acquire(True, 0.01))
    show("release", a.release(), a.locked())
    refuse("release", a.release)
    show("with", a.__enter__(), a.locked(), a.__exit__(None, None, None), a.locked())
    with a:
        show("held", a.locked(), in_thread(a.locked), in_thread(a.acquire, False))
        show("released elsewhere", in_thread(a.release), a.locked())
        a.acquire()
    refuse("timeout of non-blocking", a.acquire, False, 1)
    refuse("negative timeout", a.acquire, True, -2)
    attempt("long timeout", a.acquire, timeout=threading.TIMEOUT_MAX * 2)
    attempt("timeout of no number", a.acquire, timeout="1")
    show("timeout -1", a.acquire(timeout=-1), a.release())
    show("old names", a.acquire_lock(blocking=True, timeout=1), a.locked_lock())
    show("old names", a.release_lock(), a.locked())
    attempt("argument", threading.Lock, 1)


@section("RLock")
def rlock():
    a = threading.RLock()
    show("acquire", a.acquire(), a.acquire(blocking=False), a.acquire(timeout=1))
    show("elsewhere", in_thread(a.acquire, blocking=False))
    show("in time", in_thread(a.acquire, timeout=0.01))
    show("release elsewhere", in_thread(a.release))
    show("release", a.release(), a.release(), a.release())
    refuse("release", a.release)
    with a, a:
        show("entered twice", in_thread(a.acquire, False))
    show("with", a.__enter__(), a.__exit__(None, None, None))
    show("free", in_thread(lambda: (a.acquire(False), a.release())))
    refuse("timeout of non-blocking", a.acquire, False, 1)
    refuse("negative timeout", a.acquire, True, -2)


@section("Condition")
def condition():
    for lock in (None, threading.Lock(), threading.RLock()):
        c = threading.Condition(lock=lock)
        refuse("wait", c.wait)
        refuse("notify", c.notify)
        refuse("notify_all", c.notify_all)
        show("acquire", c.acquire(), in_thread(c.acquire, blocking=False))
        show("wait", c.wait(timeout=0.01), c.wait(0))
        show("wait_for", c.wait_for(lambda: [], timeout=0.01), c.wait_for(lambda: 7))
        show("notify", c.notify(), c.notify(n=2), c.notify_all())
        show("release", c.release())
        with c as entered:
            show("with", entered)
    items, taken = [], []
    c = threading.Condition()

    def take():
        with c:
            c.wait_for(lambda: items)
            taken.append(items.pop())

    def wait():
        with c:
            items.append("waits")
            return c.wait(timeout=30)

    threads = [threading.Thread(target=take) for _ in range(3)]
    for t in threads:
        t.start()
    for n in range(3):
        with c:
            items.append(n)
            c.notify_all()
    for t in threads:
        t.join()
    show("taken", sorted(taken))

    def waiter():
        show("woken", wait())

    t = threading.Thread(target=waiter)
    t.start()
    while True:
        with c:
            if items:
                c.notify(1)
                break
        time.sleep(0.001)
    t.join()
    with c, warned("notifyAll"):
        c.notifyAll()
    own = threading.Lock()
    with threading.Condition(own):
        show("given lock", own.locked())
    attempt("lock of no lock", threading.Condition, 3)


@section("Semaphore")
def semaphore():
    s = threading.Semaphore(value=2)
    show("acquire", s.acquire(), s.acquire(blocking=True), s.acquire(blocking=False))
    show("in time", s.acquire(timeout=0.01), s.acquire(True, 0))
    show("release", s.release(), s.release(n=2))
    show("value", s, [s.acquire(False) for _ in range(4)])
    s.release(3)
    with s as entered:
        show("with", entered, s)
    refuse("value", threading.Semaphore, -1)
    refuse("timeout of non-blocking", s.acquire, False, 1)
    refuse("release 0", s.release, 0)
    show("default", threading.Semaphore())
    show("exit", s.__enter__(), s.__exit__(None, None, None))


@section("BoundedSemaphore")
def bounded_semaphore():
    s = threading.BoundedSemaphore(value=2)
    refuse("release", s.release)
    show("acquire", s.acquire(), s.acquire(blocking=False), s.acquire(timeout=0))
    show("release", s.release(n=2), s)
    refuse("release 2", s.release, n=2)
    refuse("release 0", s.release, 0)
    refuse("value", threading.BoundedSemaphore, -1)
    with s:
        show("is a Semaphore", isinstance(s, threading.Semaphore), s)
    show("default", threading.BoundedSemaphore())


@section("Event")
def event():
    e = threading.Event()
    show("new", e.is_set(), e)
    show("wait", e.wait(timeout=0.01), e.wait(0))
    results = []
    t = threading.Thread(target=lambda: results.append(e.wait()))
    t.start()
    show("set", e.set(), e.set(), e.is_set(), e)
    t.join()
    show("wait", e.wait(), e.wait(5), results)
    show("clear", e.clear(), e.is_set(), e)
    with warned("isSet"):
        show("old name", e.isSet())


@section("Timer")
def timer():
    calls = []
    t = threading.Timer(
        0.01,
        lambda *args, **kwds: calls.append((args, kwds)),
        args=[1],
        kwargs={"key": 2},
    )
    show("new", t.is_alive(), t.daemon, isinstance(t, threading.Thread))
    show("interval", t.interval, t.args, t.kwargs, callable(t.function))
    t.start()
    t.join()
    show("calls", calls, t.finished.is_set())
    cancelled = threading.Timer(60, calls.append)
    cancelled.daemon = True
    cancelled.name = "timer"
    cancelled.start()
    show("ids", cancelled.ident is None, cancelled.native_id is None)
    show("cancel", cancelled.cancel(), cancelled.cancel())
    cancelled.join(timeout=30)
    show("calls", len(calls), cancelled.is_alive(), cancelled.name)
    early = threading.Timer(0, calls.append, ["run"])
    early.cancel()
    show("run after cancel", early.run(), len(calls))
    with warned("old methods"):
        early.setName("early")
        early.setDaemon(True)
        show("old methods", early.getName(), early.isDaemon())
    attempt("no function", threading.Timer, 1)


@section("Barrier")
def barrier():
    actions = []
    b = threading.Barrier(3, action=lambda: actions.append(1), timeout=30)
    show("new", b.parties, b.n_waiting, b.broken, b)
    indices = []
    threads = [
        threading.Thread(target=lambda: indices.append(b.wait())) for _ in range(6)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    show("indices", sorted(indices), actions)
    refuse("wait in time", b.wait, timeout=0.01)
    show("broken", b.broken, b)
    refuse("wait", b.wait)
    show("reset", b.reset(), b.broken, b.n_waiting)
    show("abort", b.abort(), b.broken)

    def fail():
        raise LookupError("action")

    failing = threading.Barrier(1, fail)
    refuse("action fails", failing.wait)
    show("broken", failing.broken)
    refuse("wait", failing.wait)
    default = threading.Barrier(2, timeout=0.01)
    refuse("default timeout", default.wait)
    alone = threading.Barrier(1)
    show("alone", alone.wait(), alone.wait(timeout=1))
    b.reset()
    outcomes = []

    def wait():
        try:
            b.wait()
        except threading.BrokenBarrierError as error:
            outcomes.append(str(error))

    t = threading.Thread(target=wait)
    t.start()
    while not b.n_waiting:
        time.sleep(0.001)
    show("waiting", b.n_waiting, b)
    b.abort()
    t.join()
    show("outcome", outcomes)


@section()
def module():
    show("classes", threading.Thread.__name__, threading.Event.__qualname__)
    show(
        "names",
        [
            cls.__name__
            for cls in (
                threading.Condition,
                threading.Semaphore,
                threading.BoundedSemaphore,
                threading.Barrier,
                threading.Timer,
                threading.BrokenBarrierError,
            )
        ],
    )
    everything = {}
    exec("from threading import *", everything)
    missing = [n for n in threading.__all__ if n not in everything]
    show("star", missing, everything["Thread"] is threading.Thread)


if __name__ == "__main__":
    run(
        [threading],
        classes={
            "Lock": type(threading.Lock()),
            "RLock": type(threading.RLock()),
        },
    )
