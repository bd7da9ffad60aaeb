"""Await what pools do, from coroutines.

A coroutine must not block: it hands reading to threads and computing to
processes, and awaits both.  Shown are run_in_executor with either executor,
wrap_future for what was submitted by hand, to_thread for a single call, and
gather, where a document that fails does not take the others with it.

    python examples/coroutines.py [--documents N] [--start-method METHOD]
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import random
import tempfile
import threading
from concurrent.futures import (
    Executor,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from pathlib import Path

LETTERS = "abcdefgh"


def write_samples(folder: Path, documents: int) -> list[Path]:
    rng = random.Random(6)
    paths = [folder / f"{n:02}.txt" for n in range(documents)]
    for number, path in enumerate(paths):
        if number == 3:
            continue  # one that is not there
        text = "".join(rng.choices(LETTERS, k=500))
        path.write_text(text if number != 5 else text + "?")
    return paths


def longest_rise(text: str) -> int:
    """Return how many letters can be kept so that none comes before a later.

    Quadratic, and written without a thought for the event loop.
    """
    longest: list[int] = []
    for i, letter in enumerate(text):
        if letter not in LETTERS:
            raise ValueError(f"{letter!r} at {i} is no letter")
        best = max(
            (longest[j] for j in range(i) if text[j] <= letter), default=0
        )
        longest.append(best + 1)
    return max(longest)


async def examine(path: Path, threads: Executor, processes: Executor) -> int:
    loop = asyncio.get_running_loop()
    text = await loop.run_in_executor(threads, path.read_text)
    return await loop.run_in_executor(processes, longest_rise, text)


async def examine_all(
    paths: list[Path], threads: Executor, processes: Executor
) -> None:
    outcomes = await asyncio.gather(
        *(examine(path, threads, processes) for path in paths),
        return_exceptions=True,
    )
    for path, outcome in zip(paths, outcomes, strict=True):
        if isinstance(outcome, FileNotFoundError):
            print(f"{path.name}: not there")
        elif isinstance(outcome, BaseException):
            print(f"{path.name}: {type(outcome).__name__}: {outcome}")
        else:
            print(f"{path.name}: {outcome}")


async def await_futures(processes: Executor) -> None:
    """Futures of the pool, awaited in the order in which they are done."""
    texts = ["".join(LETTERS[: n + 1]) * 3 for n in range(len(LETTERS))]
    futures = [
        asyncio.wrap_future(processes.submit(longest_rise, text))
        for text in texts
    ]
    results = [await future for future in asyncio.as_completed(futures)]
    print("wrap_future:", sorted(results))


async def give_up_waiting(threads: Executor) -> None:
    """A timeout ends the waiting; a thread that has begun goes on."""
    answer = threading.Event()
    loop = asyncio.get_running_loop()
    call = loop.run_in_executor(threads, answer.wait)
    try:
        await asyncio.wait_for(asyncio.shield(call), timeout=0.05)
    except TimeoutError:
        print("wait_for: no answer yet")
    answer.set()
    print("in the end:", await call)


async def run(documents: int, start_method: str | None) -> None:
    context = multiprocessing.get_context(start_method)
    with (
        tempfile.TemporaryDirectory() as folder,
        ThreadPoolExecutor(4) as threads,
        ProcessPoolExecutor(2, mp_context=context) as processes,
    ):
        paths = await asyncio.to_thread(write_samples, Path(folder), documents)
        await examine_all(paths, threads, processes)
        await await_futures(processes)
        await give_up_waiting(threads)


def main() -> None:
    parser = argparse.ArgumentParser(description="Await what pools do.")
    parser.add_argument("--documents", type=int, default=8, metavar="N")
    parser.add_argument(
        "--start-method", choices=multiprocessing.get_all_start_methods()
    )
    arguments = parser.parse_args()
    asyncio.run(run(arguments.documents, arguments.start_method))


if __name__ == "__main__":
    main()
