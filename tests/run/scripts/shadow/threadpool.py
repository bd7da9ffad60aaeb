"""The user's own threadpool; there are many of this name."""

import threading

WHAT = "my threadpool"


class ThreadPool:
    def __init__(self, size):
        self.size = size
        self.lock = threading.Lock()
