"""`multiprocessing.Process` and the functions about processes."""

import logging
import multiprocessing
import multiprocessing.connection
import multiprocessing.context
import multiprocessing.process
import os
import signal
import sys
import time

import parts
from tour import MORE_NAMES, attempt, refuse, run, section, show, text

METHOD = sys.argv[1]


def leave(code):
    sys.exit(code)


def fail():
    raise LookupError("in a child")


def sleep():
    time.sleep(60)


def say(queue, *args, **kwds):
    me = multiprocessing.current_process()
    parent = multiprocessing.parent_process()
    queue.put((args, kwds, me.name, me.daemon, me.pid == os.getpid(), me.exitcode))
    queue.put((parent.name, parent.is_alive(), parent.pid, bytes(me.authkey)))
    queue.put((__name__, sys.argv[1:], multiprocessing.get_start_method()))
    children = multiprocessing.active_children()
    queue.put((text(me), text(parent), children))


def put_repr(queue):
    queue.put(repr(multiprocessing.current_process()).replace(str(os.getppid()), "P"))


class Squares(multiprocessing.Process):
    def __init__(self, queue, numbers):
        super().__init__(name="squares")
        self.queue = queue
        self.numbers = numbers

    def run(self):
        self.queue.put([n * n for n in self.numbers])


def log():
    multiprocessing.log_to_stderr(logging.WARNING)
    multiprocessing.get_logger().warning("from a child")


@section()
def functions():
    show("methods", multiprocessing.get_all_start_methods())
    show("method", multiprocessing.get_start_method())
    show("method", multiprocessing.get_start_method(allow_none=True))
    refuse("set again", multiprocessing.set_start_method, METHOD)
    refuse("unknown", multiprocessing.get_context, "magic")
    refuse("unknown", multiprocessing.set_start_method, "magic", force=True)
    multiprocessing.set_start_method(METHOD, force=True)
    context = multiprocessing.get_context(method=METHOD)
    show("context", context.get_start_method(), type(context).__name__)
    show("same", context is multiprocessing.get_context(METHOD))
    default = multiprocessing.get_context()
    show("default", default.get_start_method(), type(default).__name__)
    show("type", isinstance(default, multiprocessing.context.BaseContext))
    refuse("set", context.set_start_method, METHOD)
    every = [name for part in parts.NAMES.values() for name in part]
    show("lacks", [name for name in every if not hasattr(context, name)])
    show("cpu_count", multiprocessing.cpu_count() == os.cpu_count())
    show("freeze_support", multiprocessing.freeze_support())
    show("set_executable", multiprocessing.set_executable(sys.executable))
    show("preload", multiprocessing.set_forkserver_preload(["json"]))
    attempt("preload", multiprocessing.set_forkserver_preload, [1])
    show("pickling", multiprocessing.allow_connection_pickling())
    show("reducer", multiprocessing.reducer.__name__)
    main = multiprocessing.current_process()
    show("main", main.name, main.daemon, main.pid == os.getpid(), main.exitcode)
    show("main", main.is_alive(), type(main).__name__, len(main.authkey))
    show("repr", main, repr(main.authkey)[:1])
    show("parent", multiprocessing.parent_process())
    show("children", multiprocessing.active_children())
    refuse("join itself", main.join)


@section("Process")
def process():
    queue = multiprocessing.SimpleQueue()
    p = multiprocessing.Process(
        group=None,
        target=say,
        name="worker",
        args=(queue, 1),
        kwargs={"key": 2},
        daemon=True,
    )
    show("new", p.name, p.daemon, p.pid, p.ident, p.exitcode, p.is_alive(), p)
    refuse("sentinel", lambda: p.sentinel)
    refuse("join", p.join)
    show("same key", p.authkey == multiprocessing.current_process().authkey)
    p.authkey = b"secret"
    show("authkey", bytes(p.authkey), type(p.authkey).__name__)
    refuse("pickling", multiprocessing.reducer.ForkingPickler.dumps, p.authkey)
    show("start", p.start(), p.pid == p.ident, p.pid != os.getpid())
    first, second, third, fourth = (queue.get() for _ in range(4))
    show("child", *first)
    show("parent", second[0], second[1], second[2] == os.getpid(), second[3])
    show("seen by the child", *fourth)
    show("main", third[0] in ("__main__", "__mp_main__"), third)
    show("join", p.join(), p.join(timeout=5), p.exitcode, p.is_alive(), p)
    ready = multiprocessing.connection.wait([p.sentinel], timeout=5)
    show("sentinel", ready == [p.sentinel])
    refuse("start again", p.start)
    show("close", p.close(), p.close(), p)
    refuse("closed", p.join)
    refuse("closed", lambda: p.pid)
    refuse("closed", p.is_alive)


@section("Process")
def exits():
    ps = [
        multiprocessing.Process(target=leave, args=[code], name=f"leave-{code}")
        for code in (3, None, 300)
    ]
    ps.append(multiprocessing.Process(target=fail, name="failing"))
    ps.append(multiprocessing.Process(target=os._exit, args=(9,)))
    ps.append(multiprocessing.Process(target=leave, args=("a message",)))
    for p in ps:
        p.start()
        p.join()
        show(p.name, p.exitcode, p)
    sleeper = multiprocessing.Process(target=sleep)
    other = multiprocessing.Process(target=sleep, name="other", daemon=True)
    sleeper.start()
    other.start()
    show("alive", sleeper.is_alive(), sleeper.exitcode, sleeper)
    children = multiprocessing.active_children()
    show("children", sorted(c.name for c in children), sleeper in children)
    show("join in time", sleeper.join(0.01), sleeper.is_alive())
    refuse("close", sleeper.close)
    refuse("daemon", setattr, sleeper, "daemon", True)
    show("terminate", sleeper.terminate(), sleeper.join(), sleeper)
    show("exitcode", sleeper.exitcode == -signal.SIGTERM, sleeper.exitcode)
    show("kill", other.kill(), other.join(), other)
    show("exitcode", other.exitcode == -signal.SIGKILL, other.exitcode)
    show("children", multiprocessing.active_children())
    show("of ended ones", sleeper.terminate(), sleeper.kill())
    multiprocessing.Process(target=sleep, daemon=True).start()
    show("a daemon is left", len(multiprocessing.active_children()))


@section("Process")
def kinds():
    queue = multiprocessing.SimpleQueue()
    p = Squares(queue, [1, 2, 3])
    show("subclass", isinstance(p, multiprocessing.process.BaseProcess), p)
    p.start()
    show("result", queue.get(), p.join(), p.exitcode)
    context = multiprocessing.get_context(METHOD)
    p = context.Process(target=put_repr, args=(queue,), name="ctx")
    show("of a context", type(p).__name__, isinstance(p, multiprocessing.Process), p)
    p.start()
    show("child", queue.get(), p.join(), p)
    numbers = []
    direct = multiprocessing.Process(target=numbers.append, args=(1,))
    show("run without start", direct.run(), numbers, direct.is_alive())
    show("no target", multiprocessing.Process().run())
    names = [multiprocessing.Process().name for _ in range(2)]
    numbers = [int(name.removeprefix("Process-")) for name in names]
    show("names", numbers[1] - numbers[0], names)
    refuse("group", multiprocessing.Process, "group")
    attempt("unknown argument", multiprocessing.Process, bogus=1)
    refuse("name", setattr, direct, "name", 3)
    direct.name = "direct"
    direct.daemon = True
    show("name", direct.name, direct.daemon, direct)
    if METHOD != "fork":
        attempt("lambda", multiprocessing.Process(target=lambda: 1).start)


@section()
def exceptions():
    show("ProcessError", multiprocessing.ProcessError.__mro__[1])
    show("AuthenticationError", multiprocessing.AuthenticationError.__mro__[1])
    show("BufferTooShort", multiprocessing.BufferTooShort.__mro__[1])
    show("TimeoutError", multiprocessing.TimeoutError.__mro__[1])


@section()
def logs():
    logger = multiprocessing.get_logger()
    show("logger", logger.name, logger.level, logger.propagate, logger.handlers)
    p = multiprocessing.Process(target=log)
    p.start()
    p.join()
    show("to stderr", multiprocessing.log_to_stderr(level=logging.ERROR) is logger)
    logger.warning("not shown")
    logger.error("shown")
    show("handlers", [type(h).__name__ for h in logger.handlers], logger.level)
    logger.setLevel(logging.CRITICAL)


@section()
def module():
    every = [name for part in parts.NAMES.values() for name in part]
    show("twice", sorted({name for name in every if every.count(name) > 1}))
    nowhere = set() if MORE_NAMES else set(multiprocessing.__all__) - set(every)
    show("nowhere", nowhere)
    everything = {}
    exec("from multiprocessing import *", everything)
    show("star", [name for name in every if name not in everything])
    missing = [n for n in multiprocessing.process.__all__ if n not in PROCESS]
    show("in process", missing)


PROCESS = ["BaseProcess", "current_process", "active_children", "parent_process"]


if __name__ == "__main__":
    multiprocessing.set_start_method(METHOD)
    run(
        [],
        classes={"Process": multiprocessing.Process},
        functions=parts.names("process"),
    )
