"""Wait for a condition with a deadline."""

import time


def eventually(predicate, seconds=45.0, what="condition"):
    """Poll until predicate() is true and return its value."""
    deadline = time.monotonic() + seconds
    while not (value := predicate()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not hold within {seconds} s")
        time.sleep(0.002)
    return value
