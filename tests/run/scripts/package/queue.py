import queue as other


class Queue:
    def __init__(self):
        self.other = other.Queue()

    def put(self, item):
        self.other.put(item)
        return self.other.qsize()
