"""Count words in parallel, in five ways to share one counter.

The same texts are counted by threads that share a number under a lock; by
threads that send what they counted through a queue; by processes that share
a multiprocessing.Value; by processes that ask a manager; and by a pool whose
results the parent adds up.  The last needs no lock and is usually the best:
share nothing, reduce at the end.

    python examples/shared_counter.py [--texts N] [--workers N]
                                      [--start-method METHOD]
"""

from __future__ import annotations

import argparse
import multiprocessing
import operator
import queue
import random
import sys
import threading
from functools import reduce
from multiprocessing.managers import ValueProxy
from multiprocessing.sharedctypes import Synchronized

WORDS = "to be or not that is the question whether nobler in mind".split()


def make_texts(count: int) -> list[str]:
    rng = random.Random(5)
    return [
        " ".join(rng.choices(WORDS, k=rng.randrange(500)))
        for _ in range(count)
    ]


def count_words(text: str) -> int:
    return len(text.split())


def with_lock(shares: list[list[str]]) -> int:
    """Threads add to one number.

    `total += n` reads, adds and writes: without the lock, another thread's
    addition in between is lost.
    """
    total = 0
    lock = threading.Lock()

    def count(texts: list[str]) -> None:
        nonlocal total
        for text in texts:
            words = count_words(text)
            with lock:
                total += words

    threads = [threading.Thread(target=count, args=[each]) for each in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return total


def with_queue(shares: list[list[str]]) -> int:
    """Threads send; only one thread adds."""
    counts: queue.Queue[int] = queue.Queue(maxsize=10)

    def count(texts: list[str]) -> None:
        for text in texts:
            counts.put(count_words(text))

    threads = [threading.Thread(target=count, args=[each]) for each in shares]
    for thread in threads:
        thread.start()
    total = sum(counts.get() for texts in shares for _ in texts)
    for thread in threads:
        thread.join()
    return total


def add_to_value(texts: list[str], total: Synchronized[int]) -> None:
    for text in texts:
        words = count_words(text)
        with total.get_lock():
            total.value += words


def with_value(shares: list[list[str]]) -> int:
    """Processes add to one number in shared memory, under its own lock."""
    total: Synchronized[int] = multiprocessing.Value("Q", 0)
    processes = [
        multiprocessing.Process(target=add_to_value, args=(texts, total))
        for texts in shares
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return total.value


def add_to_proxy(
    texts: list[str], total: ValueProxy[int], lock: threading.Lock
) -> None:
    # Each access is a message to the manager's process: few are better.
    words = sum(map(count_words, texts))
    with lock:
        total.value += words


def with_manager(shares: list[list[str]]) -> int:
    """Processes add to a number that lives in a process of its own."""
    with multiprocessing.Manager() as manager:
        total = manager.Value("Q", 0)
        lock = manager.Lock()
        processes = [
            multiprocessing.Process(
                target=add_to_proxy, args=(texts, total, lock)
            )
            for texts in shares
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        words: int = total.value
        return words


def with_pool(shares: list[list[str]]) -> int:
    """Processes share nothing; the parent reduces their results."""
    texts = [text for share in shares for text in share]
    with multiprocessing.Pool(len(shares)) as pool:
        counts = pool.imap_unordered(count_words, texts, chunksize=8)
        return reduce(operator.add, counts, 0)


def main() -> int:
    parser = argparse.ArgumentParser(description="Count words in five ways.")
    parser.add_argument("--texts", type=int, default=200, metavar="N")
    parser.add_argument("--workers", type=int, default=2, metavar="N")
    parser.add_argument(
        "--start-method", choices=multiprocessing.get_all_start_methods()
    )
    arguments = parser.parse_args()

    if arguments.start_method:
        multiprocessing.set_start_method(arguments.start_method)
    texts = make_texts(arguments.texts)
    shares = [texts[n :: arguments.workers] for n in range(arguments.workers)]
    totals = {
        "threading.Lock": with_lock(shares),
        "queue.Queue": with_queue(shares),
        "multiprocessing.Value": with_value(shares),
        "multiprocessing.Manager": with_manager(shares),
        "multiprocessing.Pool": with_pool(shares),
    }
    for way, total in totals.items():
        print(f"{way:25}{total:8,} words")
    same = set(totals.values()) == {sum(map(count_words, texts))}
    print("all are right" if same else "SOME ARE WRONG")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
