"""A module of this package; `threading` in here is still the other one."""

WHAT = "package.threading"


def real():
    import threading

    return threading.current_thread().name
