"""A module of the user's that the script patches things for."""

import concurrent.futures
import multiprocessing
import queue
import threading


def cpus():
    return multiprocessing.cpu_count()


def ident():
    return threading.get_ident()


def invented():
    return threading.invented


def start_thread(target, *args):
    kwds = {"target": target, "args": args} if args else {"target": target}
    thread = threading.Thread(**kwds)
    thread.start()
    return thread


def start_process(target):
    process = multiprocessing.Process(target=target)
    process.start()
    return process


def make_queue(size):
    return queue.Queue(size)


def use_pool():
    with multiprocessing.Pool(processes=2) as pool:
        return pool.map(abs, [-1])


def use_executor():
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        return executor.submit(abs, -1).result() == "mocked"


def import_queue():
    import queue

    return queue


def import_multiprocessing():
    import multiprocessing

    return multiprocessing
