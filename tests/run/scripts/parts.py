"""Which script covers which names of `multiprocessing`."""

import multiprocessing

NAMES = {
    "process": [
        "AuthenticationError",
        "Process",
        "ProcessError",
        "active_children",
        "allow_connection_pickling",
        "cpu_count",
        "current_process",
        "freeze_support",
        "get_all_start_methods",
        "get_context",
        "get_logger",
        "get_start_method",
        "log_to_stderr",
        "parent_process",
        "reducer",
        "set_executable",
        "set_forkserver_preload",
        "set_start_method",
    ],
    "pool": ["Pool", "TimeoutError"],
    "queues": ["JoinableQueue", "Queue", "SimpleQueue"],
    "sync": [
        "Barrier",
        "BoundedSemaphore",
        "Condition",
        "Event",
        "Lock",
        "RLock",
        "Semaphore",
    ],
    "shared": ["Array", "RawArray", "RawValue", "Value"],
    "managers": ["Manager"],
    "connection": ["BufferTooShort", "Pipe"],
}


def names(part):
    return {name: getattr(multiprocessing, name) for name in NAMES[part]}
