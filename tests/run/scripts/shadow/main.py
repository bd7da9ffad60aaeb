"""A script beside modules of its own that are called like others."""

import concurrent.futures
import queue
import sys
import threading
from queue import Queue

import threadpool

if __name__ == "__main__":
    print(queue.WHAT, threadpool.WHAT, Queue().get())
    print(hasattr(queue, "Empty"), hasattr(threadpool, "WorkRequest"))
    print(sys.modules["queue"] is queue, sys.modules["threadpool"] is threadpool)
    print(queue.__file__.rpartition("/")[2], threadpool.__name__)
    pool = threadpool.ThreadPool(2)
    print(pool.size, type(pool).__module__)
    thread = threading.Thread(target=print, args=("in a thread",))
    thread.start()
    thread.join()
    print(concurrent.futures.Future().done())
