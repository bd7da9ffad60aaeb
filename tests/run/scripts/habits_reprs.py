"""Objects that programs print, with addresses masked."""

import concurrent.futures
import logging
import multiprocessing
import multiprocessing.pool
import queue
import threading

from tour import refuse, run, section, show


@section()
def of_threading():
    show("main", threading.main_thread(), str(threading.main_thread()))
    t = threading.Thread(name="worker", daemon=True)
    show("thread", t)
    t.start()
    t.join()
    show("stopped", t)
    show("timer", threading.Timer(1, abs).__class__)
    show("event", threading.Event())
    show("semaphore", threading.Semaphore(3), threading.BoundedSemaphore(3))
    show("barrier", threading.Barrier(2))
    r = threading.RLock()
    show("rlock", repr(r).split()[0], "owner=0 count=0" in repr(r))
    a = threading.Lock()
    show("lock", repr(a).split()[0], repr(a).split()[2:3])
    with a:
        show("locked", repr(a).split()[0])
    show("error", threading.BrokenBarrierError("why"), queue.Empty(), queue.Full(1))


@section()
def of_pools():
    with multiprocessing.pool.ThreadPool(2) as pool:
        show("pool", pool)
        go = threading.Event()
        result = pool.apply_async(go.wait, (60,))
        refuse("not ready", result.successful)
        go.set()
        result.wait()
    show("terminated", pool)
    pool = multiprocessing.Pool(1)
    show("pool", pool)
    pool.close()
    show("closed", pool)
    pool.join()
    show("joined", pool)


@section()
def of_futures():
    f = concurrent.futures.Future()
    show("pending", f)
    f.cancel()
    show("cancelled", f)
    f.set_running_or_notify_cancel()
    refuse("again", f.set_result, 1)
    show("states", f._state)
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        f = executor.submit(dict)
        f.result()
        show("future", f)
        f = executor.submit(int, "x")
        f.exception()
        show("failed", f)
    done, not_done = concurrent.futures.wait([f])
    show("wait", done, not_done, concurrent.futures.wait([f]))


@section()
def of_processes():
    show("process", multiprocessing.Process(name="p"))
    show("locks", multiprocessing.Lock(), multiprocessing.RLock())
    show("semaphore", multiprocessing.Semaphore(2))
    show("value", multiprocessing.Value("i", 3))
    show("names", str(multiprocessing.Queue)[:40])
    record = logging.LogRecord("", 0, "", 0, "", (), None)
    show("log", record.threadName, record.processName)


if __name__ == "__main__":
    run([])
