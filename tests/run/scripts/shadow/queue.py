"""The user's own queue."""

WHAT = "my queue"


class Queue:
    def get(self):
        return "from my queue"


class SimpleQueue(Queue):
    pass
