"""Shared values, arrays and memory; argument: the start method."""

import ctypes
import multiprocessing
import multiprocessing.managers
import multiprocessing.shared_memory
import multiprocessing.sharedctypes
import pickle
import sys
from multiprocessing.shared_memory import ShareableList, SharedMemory

import parts
from tour import attempt, refuse, run, section, show

METHOD = sys.argv[1]


class Pair(ctypes.Structure):
    _fields_ = (("x", ctypes.c_double), ("n", ctypes.c_int))


def change(value, array, text, raw, raw_array, pair, pairs):
    with value.get_lock():
        value.value += 1
    for i in range(len(array)):
        array[i] = -array[i]
    text.value = text.value.upper()
    raw.value *= 2
    raw_array[0] = 99
    pair.x, pair.n = pair.n, 7
    pairs[1].x = 2.5


def change_memory(name, shareable, passed):
    memory = SharedMemory(name)
    memory.buf[0] = 200
    memory.close()
    passed.buf[1] = 201
    passed.close()
    shareable[0] = "changed"
    shareable.shm.close()


@section()
def in_a_child():
    value = multiprocessing.Value("d", 1.5)
    array = multiprocessing.Array("i", range(4))
    text = multiprocessing.Array("c", b"hello")
    raw = multiprocessing.RawValue("i", 21)
    raw_array = multiprocessing.RawArray("h", 3)
    pair = multiprocessing.Value(Pair, 1.0, 2)
    pairs = multiprocessing.Array(Pair, [(1, 2), (3, 4)], lock=False)
    shared = (value, array, text, raw, raw_array, pair, pairs)
    p = multiprocessing.Process(target=change, args=shared)
    p.start()
    p.join()
    show("value", value.value, array[:], text.value, raw.value, raw_array[:])
    show("pair", pair.x, pair.n, [(each.x, each.n) for each in pairs])


@section()
def value():
    v = multiprocessing.Value("i", 7)
    show("value", v.value, v, type(v).__name__, type(v.get_obj()).__name__)
    show("lock", type(v.get_lock()).__name__, v.acquire(), v.release())
    with v:
        v.value += 1
    show("changed", v.value)
    own = multiprocessing.RLock()
    v = multiprocessing.Value(ctypes.c_double, 2.5, lock=own)
    show("given lock", v.get_lock() is own, v.value)
    v = multiprocessing.Value("c", b"x", lock=False)
    show("no lock", v.value, type(v).__name__, hasattr(v, "get_lock"))
    show("default", multiprocessing.Value("q").value)
    raw = multiprocessing.RawValue("f", 0.5)
    show("raw", raw.value, type(raw).__name__, raw)
    show("positional", multiprocessing.Value(Pair, 1, 2).n)
    attempt("typecode", multiprocessing.Value, "nonsense")
    attempt("value", multiprocessing.Value, "i", "x")
    refuse("lock", multiprocessing.Value, "i", 0, lock=3)
    refuse("pickling", pickle.dumps, multiprocessing.Value("i"))


@section()
def array():
    a = multiprocessing.Array("i", [3, 1, 2])
    show("items", a[:], len(a), a[0], a[-1], a[1:], list(a), type(a).__name__)
    a[0] = 5
    a[1:] = [8, 9]
    show("changed", a[:], a.get_obj()[:], type(a.get_lock()).__name__)
    with a.get_lock():
        show("sum", sum(a), a)
    attempt("beyond", a.__getitem__, 3)
    own = multiprocessing.Lock()
    a = multiprocessing.Array("d", 3, lock=own)
    show("zeros", a[:], a.get_lock() is own)
    s = multiprocessing.Array("c", 10)
    s.value = b"abc"
    show("string", s.value, s.raw, len(s), type(s).__name__)
    attempt("too long", setattr, s, "value", bytes(11))
    plain = multiprocessing.Array("b", [1], lock=False)
    show("no lock", plain[:], type(plain).__name__, hasattr(plain, "get_lock"))
    raw = multiprocessing.RawArray(ctypes.c_ubyte, range(3))
    show("raw", raw[:], type(raw).__name__, multiprocessing.RawArray("i", 2)[:])
    refuse("lock", multiprocessing.Array, "i", 1, lock=3)
    attempt("typecode", multiprocessing.Array, "nonsense", 1)
    attempt("size", multiprocessing.Array, "i", -1)


@section()
def sharedctypes():
    module = multiprocessing.sharedctypes
    raw = module.RawValue(Pair, 1.5, 2)
    copied = module.copy(raw)
    copied.n = 3
    show("copy", raw.n, copied.n, copied.x, type(copied) is Pair)
    wrapped = module.synchronized(raw, lock=None)
    show("synchronized", wrapped.n, wrapped.get_obj() is raw, type(wrapped).__name__)
    wrapped.x = 8
    show("changed", raw.x)
    own = multiprocessing.Lock()
    array = module.synchronized(module.RawArray("i", [1, 2]), own, ctx=None)
    show("array", array[:], array.get_lock() is own, type(array).__name__)
    show("Value", module.Value("i", 1, lock=True, ctx=None).value)
    show("Array", module.Array("i", [1], lock=False, ctx=None)[:])
    show("locked", module.Array("i", [1], ctx=multiprocessing.get_context())[:])


@section("SharedMemory")
def shared_memory():
    memory = SharedMemory(name=None, create=True, size=100)
    try:
        show("new", memory.size >= 100, type(memory.buf).__name__, memory.buf[0])
        show("name", memory.name.startswith("psm_"), memory.name in repr(memory))
        memory.buf[:3] = b"abc"
        again = SharedMemory(memory.name)
        show("again", bytes(again.buf[:3]), again.size == memory.size)
        shareable = ShareableList(["old", 1])
        p = multiprocessing.Process(
            target=change_memory, args=(memory.name, shareable, memory)
        )
        p.start()
        p.join()
        show("changed", again.buf[0], again.buf[1], shareable[0])
        show("close", again.close(), again.close(), again.buf)
        shareable.shm.close()
        shareable.shm.unlink()
        refuse("exists", SharedMemory, memory.name[:0] + "conc_none", True)
    finally:
        memory.close()
        show("unlink", memory.unlink())
    attempt("gone", SharedMemory, memory.name)
    refuse("size", SharedMemory, create=True, size=0)
    refuse("size", SharedMemory, create=True, size=-1)
    if sys.version_info >= (3, 13):
        untracked = SharedMemory(create=True, size=1, track=False)
        untracked.close()
        untracked.unlink()
        attempt("untracked", SharedMemory, untracked.name, track=False)


@section("ShareableList")
def shareable_list():
    values = ["howdy", b"HoWdY", -273.154, 100, None, True, 42, 100]
    shareable = ShareableList(sequence=values, name=None)
    try:
        show("items", list(shareable), len(shareable), shareable.format)
        show("count", shareable.count(100), shareable.index(42), shareable.count(7))
        refuse("index", shareable.index, 7)
        shareable[2] = 5.5
        shareable[0] = "short"
        show("changed", shareable[2], shareable[0], shareable[-1])
        refuse("too long", shareable.__setitem__, 0, "much too long for it" * 2)
        refuse("beyond", shareable.__getitem__, 99)
        same = ShareableList(name=shareable.shm.name)
        show("same", list(same) == list(shareable), type(same.shm).__name__)
        copied = pickle.loads(pickle.dumps(shareable))
        show("pickled", copied[3], copied.shm.name == shareable.shm.name)
        copied.shm.close()
        same.shm.close()
        show("repr", repr(shareable).startswith("ShareableList(['short', "))
    finally:
        shareable.shm.close()
        shareable.shm.unlink()


@section("SharedMemoryManager")
def shared_memory_manager():
    with multiprocessing.managers.SharedMemoryManager() as manager:
        memory = manager.SharedMemory(size=128)
        shareable = manager.ShareableList(sequence=range(3))
        show("memory", memory.size >= 128, type(memory).__name__, list(shareable))
        show("address", type(manager.address).__name__)
        name = memory.name
        memory.close()
        shareable.shm.close()
    attempt("gone", SharedMemory, name)
    manager = multiprocessing.managers.SharedMemoryManager()
    show("start", manager.start(initializer=None, initargs=()), manager.shutdown())
    refuse("get_server", manager.get_server)


if __name__ == "__main__":
    multiprocessing.set_start_method(METHOD)
    run(
        [multiprocessing.sharedctypes, multiprocessing.shared_memory],
        functions=parts.names("shared")
        | {"SharedMemoryManager": multiprocessing.managers.SharedMemoryManager},
    )
