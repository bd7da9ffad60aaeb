"""Check a folder against its list of checksums, with PyPI's threadpool.

The package threadpool 1.x has work requests instead of futures: the pool
runs them in threads, and calls back in the thread that polls or waits, so a
callback needs no lock.  `python -m pyconc run` answers `import threadpool`
by pyconc; plain python needs the package.

    python examples/work_requests.py [--files N] [--threads N]
"""

from __future__ import annotations

import argparse
import hashlib
import random
import tempfile
from pathlib import Path
from typing import Any

import threadpool


def write_samples(folder: Path, files: int) -> dict[Path, str]:
    """Write files; return what their checksums should be."""
    rng = random.Random(7)
    checksums = {}
    for number in range(files):
        path = folder / f"{number:03}.bin"
        content = rng.randbytes(rng.randrange(20_000))
        checksums[path] = hashlib.sha256(content).hexdigest()
        if number % 20 == 7:
            content += b"!"  # damaged
        if number % 20 != 13:  # lost
            path.write_bytes(content)
    return checksums


def is_intact(path: Path, checksum: str) -> bool:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == checksum


class Report:
    def __init__(self) -> None:
        self.intact = 0
        self.problems: list[str] = []

    def take(self, request: threadpool.WorkRequest, intact: bool) -> None:
        if intact:
            self.intact += 1
        else:
            self.problems.append(f"{request.args[0].name} is damaged")

    def take_error(self, request: threadpool.WorkRequest, info: Any) -> None:
        kind, _error, _traceback = info
        name = request.args[0].name
        self.problems.append(f"{name} cannot be read: {kind.__name__}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Check files by threads.")
    parser.add_argument("--files", type=int, default=40, metavar="N")
    parser.add_argument("--threads", type=int, default=4, metavar="N")
    arguments = parser.parse_args()

    report = Report()
    # Seconds until a thread of the package's notices that it is dismissed.
    pool = threadpool.ThreadPool(arguments.threads, poll_timeout=0.1)
    with tempfile.TemporaryDirectory() as folder:
        checksums = write_samples(Path(folder), arguments.files)
        # Each item: positional arguments, keyword arguments.
        calls = [([*item], None) for item in checksums.items()]
        requests = threadpool.makeRequests(
            is_intact, calls, report.take, report.take_error
        )
        for request in requests:
            pool.putRequest(request)
        pool.wait()
        print(f"{report.intact} of {len(requests)} files are intact")
        print(*sorted(report.problems), sep="\n")

        # A request of its own, with an identity to know it by.
        again = threadpool.WorkRequest(
            is_intact,
            kwds={"path": requests[0].args[0], "checksum": "0"},
            requestID="again",
            callback=lambda request, intact: print("again:", intact),
        )
        pool.putRequest(again)
        try:
            while True:
                pool.poll(block=True)
        except threadpool.NoResultsPending:
            print("nothing is pending")
    pool.dismissWorkers(arguments.threads, do_join=True)
    print("threads left:", len(pool.workers))


if __name__ == "__main__":
    main()
