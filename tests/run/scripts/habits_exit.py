"""How a program ends; argument: in which way."""

import atexit
import multiprocessing
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool


def fail():
    raise LookupError("out of main")


def late():
    time.sleep(0.05)
    print("a thread that was not joined", flush=True)


def last(there):
    there.recv()
    print("a process that was not joined", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "process":
        here, there = multiprocessing.Pipe()
        # It runs after the next one.
        atexit.register(here.send, None)
    atexit.register(print, "at exit", flush=True)
    print(sys.argv[1:], os.path.basename(sys.argv[0]), flush=True)
    match sys.argv[1]:
        case "error":
            fail()
        case "code":
            sys.exit(3)
        case "message":
            sys.exit("a message")
        case "interrupt":
            raise KeyboardInterrupt
        case "signal":
            os.kill(os.getpid(), signal.SIGTERM)
        case "os":
            os._exit(5)
        case "thread":
            threading.Thread(target=late).start()
        case "daemon":
            threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        case "error-and-thread":
            threading.Thread(target=late).start()
            fail()
        case "executor":
            executor = ThreadPoolExecutor(2)
            executor.submit(late)
        case "pool":
            pool = ThreadPool(2)
            pool.apply_async(time.sleep, (60,))
        case "process":
            multiprocessing.Process(target=last, args=(there,)).start()
        case "stdin":
            print([line.strip() for line in sys.stdin])
