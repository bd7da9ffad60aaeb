"""Fetch pages with threads; take each as it comes, or what went wrong.

as_completed gives the futures in the order in which they are done, so one
slow server does not hold up the rest.  A page may be missing, may come too
late, or the connection may be lost: each is the outcome of one request and
of no other.  A server that says it is busy is asked again.  The pages come
from a server on this machine, which runs in a thread of its own.

    python examples/fetch.py [--pages N] [--threads N] [--timeout SECONDS]
"""

from __future__ import annotations

import argparse
import contextlib
import http.server
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from http import HTTPStatus
from typing import Any

ATTEMPTS = 3
PAUSE = 0.05  # seconds before a busy server is asked again

# Requests to this machine shall not go to a proxy.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Site(http.server.ThreadingHTTPServer):
    request_queue_size = 32  # rather than turn a burst away
    daemon_threads = False  # closing the server waits for its threads

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Page)
        self.closing = threading.Event()
        self.busy = threading.Semaphore(2)  # so many requests are refused


class Page(http.server.BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        if self.path == "/hangs":
            self.server.closing.wait()
        elif self.path == "/breaks":
            pass  # the connection ends without an answer
        elif self.path == "/gone":
            self.send_error(HTTPStatus.GONE)
        elif self.path == "/busy" and self.server.busy.acquire(blocking=False):
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE)
        else:
            body = f"This is {self.path}. ".encode() * 50
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextlib.contextmanager
def running_site() -> Iterator[str]:
    """Serve the pages meanwhile; give the address."""
    with Site() as site:  # leaving this waits for requests under way
        thread = threading.Thread(target=site.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{site.server_port}"
        finally:
            site.closing.set()
            site.shutdown()
            thread.join()


def fetch(url: str, timeout: float) -> bytes:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with opener.open(url, timeout=timeout) as response:
                content: bytes = response.read()
                return content
        except urllib.error.HTTPError as error:
            error.close()
            if error.code != HTTPStatus.SERVICE_UNAVAILABLE:
                raise
            if attempt == ATTEMPTS:
                raise
        time.sleep(PAUSE)
    raise AssertionError("not reached")


def main() -> None:
    parser = argparse.ArgumentParser(description="Fetch pages with threads.")
    parser.add_argument("--pages", type=int, default=20, metavar="N")
    parser.add_argument("--threads", type=int, default=8, metavar="N")
    parser.add_argument("--timeout", type=float, default=2, metavar="SECONDS")
    arguments = parser.parse_args()

    paths = [f"/page/{n:02}" for n in range(arguments.pages)]
    paths += ["/hangs", "/breaks", "/gone", "/busy"]
    sizes = {}
    problems = {}
    with (
        running_site() as address,
        ThreadPoolExecutor(arguments.threads) as executor,
    ):
        futures = {
            executor.submit(fetch, address + path, arguments.timeout): path
            for path in paths
        }
        for future in as_completed(futures):
            path = futures[future]
            try:
                sizes[path] = len(future.result())
            except urllib.error.HTTPError as error:
                problems[path] = f"{error.code} {error.reason}"
            except TimeoutError:
                problems[path] = "no answer in time"
            except ConnectionError:
                problems[path] = "connection lost"
            except urllib.error.URLError as error:
                problems[path] = f"not reached: {error.reason}"

    print(f"{len(sizes)} pages, {sum(sizes.values()):,} bytes")
    print(f"busy at first: {sizes['/busy']:,} bytes")
    for path, problem in sorted(problems.items()):
        print(f"{path}: {problem}")


if __name__ == "__main__":
    main()
