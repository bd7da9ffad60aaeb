"""What `from module import *` brings."""

from tour import run, section, show


@section()
def star():
    for name in (
        "concurrent.futures",
        "multiprocessing",
        "multiprocessing.connection",
        "multiprocessing.dummy",
        "multiprocessing.managers",
        "multiprocessing.pool",
        "multiprocessing.process",
        "multiprocessing.queues",
        "multiprocessing.shared_memory",
        "multiprocessing.sharedctypes",
        "multiprocessing.synchronize",
        "queue",
        "threading",
    ):
        scope = {"__name__": "__main__"}
        exec(f"from {name} import *", scope)
        for found in sorted(n for n in scope if not n.startswith("__")):
            show(name, found)


if __name__ == "__main__":
    run([])
