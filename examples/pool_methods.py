"""Call every method of a Pool, and handle what goes wrong.

apply, map, starmap, imap and imap_unordered wait for their results or give
them one by one; the async forms return an AsyncResult at once.  An exception
that a task raises comes out where its result is asked for.  The same methods
work on a pool of threads.

    python examples/pool_methods.py [--pool processes|threads] [--workers N]
                                    [--start-method METHOD]
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
from multiprocessing.pool import Pool, ThreadPool
from multiprocessing.synchronize import Event

NUMBERS = [91, 97, 7919, 1_000_003, 1_000_004, 999_983 * 2, 25_326_001]


def smallest_factor(number: int) -> int:
    if number < 2:
        raise ValueError(f"{number} has no prime factors")
    for candidate in range(2, math.isqrt(number) + 1):
        if number % candidate == 0:
            return candidate
    return number


def count_multiples(factor: int, below: int) -> int:
    return len(range(factor, below, factor))


gate: Event  # of a worker


def keep_gate(event: Event) -> None:
    """Runs once in each worker: an Event cannot be a task's argument."""
    global gate
    gate = event


def wait_for_gate(name: str) -> str:
    gate.wait()
    return f"{name} got through"


def wait_for_results(pool: Pool) -> None:
    print("apply:", pool.apply(smallest_factor, [NUMBERS[0]]))
    print("map:", pool.map(smallest_factor, NUMBERS, chunksize=2))
    pairs = [(3, 100), (7, 1000), (11, 10_000)]
    print("starmap:", pool.starmap(count_multiples, pairs))
    # Results one by one, as early as their turn comes:
    primes = [
        number
        for number, factor in zip(
            NUMBERS, pool.imap(smallest_factor, NUMBERS), strict=True
        )
        if number == factor
    ]
    print("imap:", primes)
    # or as soon as they are there, in any order.
    factors = pool.imap_unordered(smallest_factor, NUMBERS, chunksize=3)
    print("imap_unordered:", sorted(set(factors)))


def ask_later(pool: Pool) -> None:
    one = pool.apply_async(smallest_factor, kwds={"number": 10_007})
    many = pool.map_async(smallest_factor, range(2, 20))
    pairs = pool.starmap_async(count_multiples, [(2, 50), (5, 50)])
    for result in (one, many, pairs):
        result.wait()
    print("ready:", one.ready(), many.ready(), pairs.ready())
    print("apply_async:", one.get())
    print("map_async:", many.get())
    print("starmap_async:", pairs.get())

    collected: list[list[int]] = []
    called = pool.map_async(
        smallest_factor, [10, 15], callback=collected.append
    )
    called.wait()
    print("callback got:", *collected)


def run_out_of_time(pool: Pool, event: Event) -> None:
    result = pool.apply_async(wait_for_gate, ["a task"])
    stream = pool.imap(wait_for_gate, ["an item"])
    try:
        result.get(timeout=0.05)
    except multiprocessing.TimeoutError:
        print("get: not yet; ready:", result.ready())
    try:
        stream.next(timeout=0.05)
    except multiprocessing.TimeoutError:
        print("next: not yet")
    event.set()
    # A timeout does not cancel: the result can still be had.
    print("get:", result.get())
    print("next:", next(stream))


def fail(pool: Pool) -> None:
    try:
        pool.map(smallest_factor, [6, 1, 8])
    except ValueError as error:
        print("map raises:", error)

    result = pool.apply_async(smallest_factor, [0])
    result.wait()
    print("successful:", result.successful())

    # In a stream the error takes the place of one result only.
    stream = pool.imap(smallest_factor, [9, -9, 49])
    while True:
        try:
            print("imap gives:", next(stream))
        except ValueError as error:
            print("imap raises:", error)
        except StopIteration:
            break


def main() -> None:
    parser = argparse.ArgumentParser(description="Show a Pool's methods.")
    parser.add_argument(
        "--pool", choices=["processes", "threads"], default="processes"
    )
    parser.add_argument("--workers", type=int, default=2, metavar="N")
    parser.add_argument(
        "--start-method", choices=multiprocessing.get_all_start_methods()
    )
    arguments = parser.parse_args()

    context = multiprocessing.get_context(arguments.start_method)
    event = context.Event()
    make_pool = ThreadPool if arguments.pool == "threads" else context.Pool
    with make_pool(arguments.workers, keep_gate, [event]) as pool:
        wait_for_results(pool)
        ask_later(pool)
        run_out_of_time(pool, event)
        fail(pool)
        pool.close()  # no more tasks; leaving `with` would terminate
        pool.join()
    try:
        pool.apply(smallest_factor, [4])
    except ValueError as error:
        print("after close:", type(error).__name__)


if __name__ == "__main__":
    main()
