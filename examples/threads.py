"""Use what threading offers, each part for what it is good at.

Names, an Event that starts several threads at once, a Barrier between the
steps of a computation, a local buffer per thread, a Condition to wait for
stock, a Semaphore that limits how many work at once, a hook for what threads
raise, and a daemon that the program does not wait for.

    python examples/threads.py [--threads N]
"""

from __future__ import annotations

import argparse
import hashlib
import threading
from collections.abc import Callable


def run_all(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def workers(
    count: int, work: Callable[[int], object]
) -> list[threading.Thread]:
    return [
        threading.Thread(target=work, args=(n,), name=f"worker-{n}")
        for n in range(count)
    ]


def start_together(count: int) -> None:
    """Event: nobody begins before everything is prepared."""
    gate = threading.Event()
    arrived: list[str] = []

    def work(n: int) -> None:
        gate.wait()
        arrived.append(threading.current_thread().name)

    threads = workers(count, work)
    for thread in threads:
        thread.start()
    print("before the event:", len(arrived), "have begun")
    gate.set()
    for thread in threads:
        thread.join()
    print("after it:", ", ".join(sorted(arrived)))


def cool_a_rod(count: int) -> None:
    """Barrier: a step begins when all threads have ended the last one."""
    width, steps = 8, 40
    now = [0.0] * (count * width + 2)
    now[0] = now[-1] = 100.0  # the ends stay hot
    later = now.copy()

    def exchange() -> None:  # called by one of them, while all others wait
        nonlocal now, later
        now, later = later, now

    barrier = threading.Barrier(count, action=exchange)

    def work(n: int) -> None:
        for _ in range(steps):
            for x in range(n * width + 1, (n + 1) * width + 1):
                later[x] = (now[x - 1] + now[x] + now[x + 1]) / 3
            barrier.wait()

    run_all(workers(count, work))
    print("half of the rod:", *(f"{x:.1f}" for x in now[: len(now) // 2 : 4]))


class Scratch(threading.local):
    """A buffer of its own for each thread that looks here."""

    def __init__(self, size: int) -> None:  # once per thread
        self.buffer = bytearray(size)
        self.used = 0


def hash_in_buffers(count: int) -> None:
    """local: threads use one name and do not disturb each other."""
    scratch = Scratch(4096)
    digests: dict[int, str] = {}

    def fill(n: int) -> None:
        for i in range(len(scratch.buffer)):
            scratch.buffer[i] = i * (n + 3) % 256
            scratch.used += 1

    def work(n: int) -> None:
        fill(n)
        content = scratch.buffer[: scratch.used]
        digests[n] = hashlib.sha256(content).hexdigest()[:8]

    run_all(workers(count, work))
    print("digests:", *(digest for _, digest in sorted(digests.items())))
    print("bytes used by the main thread:", scratch.used)


def trade(count: int) -> None:
    """Condition: wait until there is enough, be told when there is more."""
    changed = threading.Condition()
    stock = 0

    def put(items: int) -> None:
        nonlocal stock
        with changed:
            stock += items
            changed.notify_all()  # nobody knows for whom it is enough

    def take(items: int, timeout: float | None = None) -> bool:
        nonlocal stock
        with changed:
            if not changed.wait_for(lambda: stock >= items, timeout):
                return False
            stock -= items
            return True

    def buy(n: int) -> None:
        for _ in range(5):
            take(10 * (n + 1))

    def sell(n: int) -> None:
        for _ in range(50):
            put(n + 1)

    run_all(workers(count, buy) + workers(count, sell))
    print("in stock:", stock, "one more:", take(1, timeout=0.01))


def limit(count: int) -> None:
    """Semaphore: at most two are inside, whoever they are."""
    places = threading.BoundedSemaphore(2)
    lock = threading.Lock()
    inside = most = visits = 0

    def work(n: int) -> None:
        nonlocal inside, most, visits
        for _ in range(20):
            with places:
                with lock:
                    inside += 1
                    visits += 1
                    most = max(most, inside)
                with lock:
                    inside -= 1

    run_all(workers(count, work))
    print(f"{visits} visits; never more than two at once: {most <= 2}")
    try:
        places.release()
    except ValueError:
        print("nobody can leave who has not entered")


def report_failures(count: int) -> None:
    """excepthook: what a thread raises would otherwise only be printed."""
    failed: list[str] = []

    def note(failure: threading.ExceptHookArgs) -> None:
        name = failure.thread.name if failure.thread else "?"
        failed.append(f"{name}: {failure.exc_type.__name__}")

    def work(n: int) -> None:
        if n % 2:
            raise LookupError(n)

    threading.excepthook, before = note, threading.excepthook
    try:
        run_all(workers(count, work))
    finally:
        threading.excepthook = before
    print("failed:", ", ".join(sorted(failed)))


def leave_a_daemon() -> None:
    """daemon: the program ends while this one still waits."""
    never = threading.Event()
    daemon = threading.Thread(target=never.wait, name="watcher", daemon=True)
    daemon.start()
    print(daemon.name, "still waits:", daemon.is_alive())


def main() -> None:
    parser = argparse.ArgumentParser(description="Show what threading offers.")
    parser.add_argument("--threads", type=int, default=4, metavar="N")
    count = parser.parse_args().threads
    start_together(count)
    cool_a_rod(count)
    hash_in_buffers(count)
    trade(count)
    limit(count)
    report_failures(count)
    leave_a_daemon()


if __name__ == "__main__":
    main()
