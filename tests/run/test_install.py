"""pyconc.install(): whose imports get pyconc's modules, and whose do not."""

import os
import subprocess
import sys

import pytest

import pyconc
from support.scripts import QUIET_TRACKER

METHODS = os.environ.get("PYCONC_TEST_METHODS", "fork spawn forkserver").split()


def run(tmp_path, script, *options, files=(), **variables):
    """Run a script in a directory with files; return what it prints."""
    for name, text in dict(files).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "script.py").write_text(script)
    done = subprocess.run(
        [sys.executable, *options, "script.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        env={
            **os.environ,
            "PYTHONWARNINGS": QUIET_TRACKER,
            **variables,
        },
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize(
    ("statement", "expression", "module"),
    [
        ("import queue", "queue.Queue", "pyconc.queue"),
        ("import queue as q", "q.Queue", "pyconc.queue"),
        ("from queue import Queue", "Queue", "pyconc.queue"),
        ("from queue import *", "Queue", "pyconc.queue"),
        ("q = __import__('queue')", "q.Queue", "pyconc.queue"),
        (
            "q = __import__('queue', globals(), None, ('Queue',), 0)",
            "q.Queue",
            "pyconc.queue",
        ),
        (
            "q = __import__(name='queue', level=0)",
            "q.Queue",
            "pyconc.queue",
        ),
        (
            "import importlib; q = importlib.import_module('queue')",
            "q.Queue",
            "pyconc.queue",
        ),
        (
            "from pkgutil import resolve_name",
            "resolve_name('queue:Queue')",
            "pyconc.queue",
        ),
        ("exec('import queue')", "queue.Queue", "pyconc.queue"),
        ("n = {}; exec('import queue', n)", "n['queue'].Queue", "pyconc.queue"),
        ("import threading", "threading.Event", "pyconc.threading"),
        (
            "import concurrent.futures",
            "concurrent.futures.Future",
            "pyconc.futures._base",
        ),
        (
            "import concurrent.futures as f",
            "f.ThreadPoolExecutor",
            "pyconc.futures.thread",
        ),
        (
            "from concurrent import futures",
            "futures.ProcessPoolExecutor",
            "pyconc.futures.process",
        ),
        (
            "import concurrent.futures.thread",
            "concurrent.futures.thread.ThreadPoolExecutor",
            "pyconc.futures.thread",
        ),
        (
            "from concurrent.futures._base import Future",
            "Future",
            "pyconc.futures._base",
        ),
        ("import multiprocessing", "multiprocessing.Pool", "pyconc.multiprocessing"),
        (
            "import multiprocessing as mp",
            "mp.get_context('spawn').Pool",
            "pyconc.multiprocessing.context",
        ),
        (
            "from multiprocessing import pool",
            "pool.Pool",
            "pyconc.multiprocessing.pool",
        ),
        (
            "import multiprocessing.pool as p",
            "p.ThreadPool",
            "pyconc.multiprocessing.pool",
        ),
        (
            "from multiprocessing.dummy import Pool",
            "Pool",
            "pyconc.multiprocessing.dummy",
        ),
        # What is not replaced.
        ("import multiprocessing.queues as q", "q.Queue", "multiprocessing.queues"),
        ("from multiprocessing.queues import Queue", "Queue", "multiprocessing.queues"),
        ("from multiprocessing import util", "util.Finalize", "multiprocessing.util"),
        ("import multiprocessing.spawn as s", "s.spawn_main", "multiprocessing.spawn"),
        ("from multiprocessing import Process", "Process", "multiprocessing.context"),
        ("from multiprocessing.pool import worker", "worker", "multiprocessing.pool"),
        ("import queue", "queue.deque", "collections"),
        ("from concurrent.futures._base import LOGGER", "type(LOGGER)", "logging"),
        ("from concurrent.futures.thread import _worker", "_worker",
         "concurrent.futures.thread"),
        ("import json", "json.loads", "json"),
    ],
)  # fmt: skip
def test_spellings(tmp_path, statement, expression, module):
    output = run(
        tmp_path,
        f"import pyconc; pyconc.install()\n{statement}\n"
        f"print({expression}.__module__)\n",
    )
    assert output == f"{module}\n"


def test_the_library_keeps_its_own(tmp_path):
    output = run(
        tmp_path,
        "import pyconc; pyconc.install()\n"
        "import asyncio, logging, queue, sys, threading, unittest\n"
        "import concurrent.futures.thread, multiprocessing.pool\n"
        "real = sys.modules\n"
        "print(logging.threading is real['threading'] is not threading)\n"
        "print(real['concurrent.futures.thread'].queue is real['queue'])\n"
        "print(real['multiprocessing.pool'].threading is real['threading'])\n"
        "print(asyncio.base_events.concurrent.futures\n"
        "      is real['concurrent.futures'])\n"
        "print(threading._pyconc_mirrored is real['threading'])\n",
    )
    assert output == "True\n" * 5


def test_packages_get_ours(tmp_path):
    """Also when they are imported by others, late, or relatively."""
    output = run(
        tmp_path,
        "import pyconc; pyconc.install()\n"
        "import package\nprint(*package.seen())\n",
        files={
            "package/__init__.py": (
                "import multiprocessing.queues as q\n"
                "from . import inner\n"
                "def seen():\n"
                "    import queue\n"
                "    from . import queue as own\n"
                "    return (queue.Queue.__module__, own.NAME, q.Queue.__module__,\n"
                "            inner.threading.Event.__module__)\n"
            ),
            "package/inner.py": "import threading\n",
            "package/queue.py": "NAME = 'own'\n",
        },
    )
    assert output == "pyconc.queue own multiprocessing.queues pyconc.threading\n"


@pytest.mark.parametrize("name", ["queue", "threadpool", "multiprocessing"])
def test_a_file_of_the_program_with_that_name(tmp_path, name):
    output = run(
        tmp_path,
        "import pyconc\n"
        "import sys; sys.path.insert(0, 'own')\n"
        f"pyconc.install()\nimport {name}\nprint({name}.NAME)\n",
        files={f"own/{name}.py": "NAME = 'own'\n"},
    )
    assert output == "own\n"


def test_threadpool_need_not_be_there(tmp_path):
    script = (
        "import pyconc, sys\n"
        "sys.modules.pop('threadpool', None)\n"
        "sys.path[:] = [p for p in sys.path if 'site-packages' not in p\n"
        "               or '{keep}' == p]\n"
        "pyconc.install()\n"
        "import threadpool\nprint(threadpool.ThreadPool.__module__)\n"
        "try:\n    import threadpool.inner\n"
        "except ModuleNotFoundError as error:\n    print(error)\n"
    )
    place = os.path.dirname(os.path.dirname(pyconc.__file__))
    output = run(tmp_path, script.replace("{keep}", place))
    assert output.splitlines()[0] == "pyconc.threadpool"
    assert "No module named 'threadpool" in output


def test_a_broken_threadpool_of_the_program_is_not_hidden(tmp_path):
    script = (
        "import pyconc; pyconc.install()\n"
        "try:\n    import threadpool\n"
        "except ModuleNotFoundError as error:\n    print(error)\n"
    )
    output = run(
        tmp_path, script, files={"threadpool.py": "import surely.missing\n"}
    )
    assert output == "No module named 'surely'\n"


CHILD = """\
import sys
import pyconc
{install}

def seen(*_):
    import queue, threading
    from multiprocessing import pool
    return (queue.Queue.__module__, threading.Event.__module__,
            pool.Pool.__module__, sys.modules["queue"].__name__)

def report(connection, again):
    import multiprocessing
    if again:  # a child of the child
        context = multiprocessing.get_context(again)
        with context.Pool(1) as p:
            connection.send(p.apply(seen))
    else:
        connection.send(seen())

def main():
    import multiprocessing
    method = sys.argv[1]
    context = multiprocessing.get_context(method)
    for again in (None, method):
        here, there = context.Pipe()
        process = context.Process(target=report, args=(there, again))
        process.start()
        print(*here.recv())
        process.join()
    with context.Pool(1) as p:
        print(*p.apply(seen))

if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("guarded", [False, True])
def test_children_have_it(tmp_path, method, guarded):
    """Whether or not they run the line that installs it again."""
    install = "pyconc.install()"
    if guarded:
        install = f"if __name__ == '__main__': {install}"
    script = CHILD.format(install=install).replace("sys.argv[1]", repr(method))
    output = run(tmp_path, script)
    line = "pyconc.queue pyconc.threading pyconc.multiprocessing.pool queue\n"
    assert output == line * 3


@pytest.mark.parametrize("method", METHODS)
def test_children_have_the_same_part_of_it(tmp_path, method):
    script = CHILD.format(
        install="if __name__ == '__main__': pyconc.install(['queue'])"
    ).replace("sys.argv[1]", repr(method))
    output = run(tmp_path, script)
    assert output == "pyconc.queue threading multiprocessing.pool queue\n" * 3


def test_what_a_forkserver_preloads_has_it(tmp_path):
    if "forkserver" not in METHODS:
        pytest.skip("not asked for")
    output = run(
        tmp_path,
        "import pyconc; pyconc.install()\n"
        "import multiprocessing\n"
        "import os\n"
        "def seen():\n"
        "    import loaded\n"
        "    return loaded.PROCESS == os.getppid(), loaded.WHOSE\n"
        "if __name__ == '__main__':\n"
        "    context = multiprocessing.get_context('forkserver')\n"
        "    context.set_forkserver_preload(['loaded'])\n"
        "    with context.Pool(1) as pool:\n"
        "        print(*pool.apply(seen))\n",
        files={
            "loaded.py": (
                "import os, queue\n"
                "PROCESS = os.getpid()\n"
                "WHOSE = queue.Queue.__module__\n"
            )
        },
        PYTHONPATH=os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
    )
    assert output == "True pyconc.queue\n"


def test_other_programs_are_not_concerned(tmp_path):
    output = run(
        tmp_path,
        "import pyconc; pyconc.install()\n"
        "import os, subprocess, sys\n"
        "before = dict(os.environ)\n"
        "import multiprocessing\n"
        "subprocess.run([sys.executable, '-c', 'import queue; '\n"
        "                'print(queue.Queue.__module__)'])\n"
        "print(before == dict(os.environ))\n",
    )
    assert sorted(output.split()) == ["True", "queue"]


def test_on_and_off(tmp_path):
    output = run(
        tmp_path,
        "import builtins, importlib, pyconc\n"
        "original = builtins.__import__, importlib._bootstrap._gcd_import\n"
        "def whose():\n"
        "    import queue, threading\n"
        "    print(queue.Queue.__module__, threading.Event.__module__,\n"
        "          pyconc.installed())\n"
        "whose()\n"
        "pyconc.install(['queue']); whose()\n"
        "pyconc.install(only={'threading'}); whose()\n"
        "pyconc.install([]); whose()\n"
        "pyconc.uninstall(); whose()\n"
        "print(original == (builtins.__import__,\n"
        "                   importlib._bootstrap._gcd_import))\n"
        "pyconc.uninstall(); whose()\n"
        "pyconc.install(); pyconc.install()\n"
        "print(len(pyconc.installed()))\n"
        "pyconc.uninstall()\n"
        "print(original[0] is builtins.__import__)\n",
    )
    assert output.splitlines() == [
        "queue threading ()",
        "pyconc.queue threading ('queue',)",
        "pyconc.queue pyconc.threading ('queue', 'threading')",
        "pyconc.queue pyconc.threading ('queue', 'threading')",
        "queue threading ()",
        "True",
        "queue threading ()",
        "5",
        "True",
    ]


def test_somebody_else_replaces_the_import_function(tmp_path):
    """Before us and after us; taken away in any order."""
    output = run(
        tmp_path,
        "import builtins, pyconc\n"
        "names = []\n"
        "def wrap(inner):\n"
        "    def outer(name, *rest, **more):\n"
        "        names.append(name)\n"
        "        return inner(name, *rest, **more)\n"
        "    return outer\n"
        "def whose():\n"
        "    import queue\n"
        "    return queue.Queue.__module__\n"
        "original = builtins.__import__\n"
        "builtins.__import__ = wrap(original)\n"
        "pyconc.install(); print(whose())\n"
        "builtins.__import__ = wrap(builtins.__import__); print(whose())\n"
        "pyconc.install(); print(whose())\n"
        "pyconc.uninstall(); print(whose())\n"
        "pyconc.install(); print(whose())\n"
        "builtins.__import__ = original; print(whose())\n"
        "pyconc.install(); print(whose())\n"
        "print('queue' in names)\n",
    )
    assert output.split() == [
        "pyconc.queue",
        "pyconc.queue",
        "pyconc.queue",
        "queue",
        "pyconc.queue",
        "queue",
        "pyconc.queue",
        "True",
    ]


def test_modules_keep_what_they_have(tmp_path):
    output = run(
        tmp_path,
        "import queue, pyconc\n"
        "pyconc.install()\nprint(queue.Queue.__module__)\n"
        "import queue\nprint(queue.Queue.__module__)\n"
        "pyconc.uninstall()\nprint(queue.Queue.__module__)\n",
    )
    assert output.split() == ["queue", "pyconc.queue", "pyconc.queue"]


def test_patches_of_the_library_meet_the_program(tmp_path):
    output = run(
        tmp_path,
        "import pyconc; pyconc.install()\n"
        "import multiprocessing, threading\n"
        "from unittest import mock\n"
        "with mock.patch('threading.Thread') as patched:\n"
        "    print(threading.Thread is patched)\n"
        "with mock.patch('multiprocessing.cpu_count', lambda: 77):\n"
        "    print(multiprocessing.cpu_count())\n"
        "with mock.patch('concurrent.futures.ThreadPoolExecutor.submit') as patched:\n"
        "    from concurrent.futures import ThreadPoolExecutor\n"
        "    print(ThreadPoolExecutor.submit is patched)\n",
    )
    assert output.split() == ["True", "77", "True"]


def test_reloading(tmp_path):
    output = run(
        tmp_path,
        "import pyconc; pyconc.install()\n"
        "import importlib, queue, threading\n"
        "print(importlib.reload(queue) is queue, queue.Queue.__module__)\n",
    )
    assert output == "True pyconc.queue\n"


@pytest.mark.parametrize("value", ["1", "yes"])
def test_it_can_be_disabled(tmp_path, value):
    script = (
        "import pyconc; pyconc.install()\n"
        "import queue\nprint(queue.Queue.__module__, pyconc.installed())\n"
    )
    assert run(tmp_path, script, PYCONC_DISABLE=value) == "queue ()\n"
    assert "pyconc.queue" in run(tmp_path, script, PYCONC_DISABLE="0")


@pytest.mark.parametrize(
    ("only", "error"),
    [
        (["json"], ValueError),
        (["queue", "multiprocessing.pool"], ValueError),
        ("queue", TypeError),
        (5, TypeError),
        ([5], ValueError),
    ],
)
def test_wrong_names_install_nothing(only, error):
    with pytest.raises(error) as raised:
        pyconc.install(only)
    assert pyconc.installed() == ()
    if error is ValueError:
        assert "choose from concurrent.futures" in str(raised.value)


def test_threads_import_while_others_install(tmp_path):
    output = run(
        tmp_path,
        "import _thread, time, pyconc\n"
        "errors, done = [], []\n"
        "def work():\n"
        "    try:\n"
        "        for _ in range(2000):\n"
        "            import queue, concurrent.futures, json\n"
        "            assert queue.Queue and concurrent.futures.Future\n"
        "    except BaseException as error:\n"
        "        errors.append(error)\n"
        "    done.append(1)\n"
        "for _ in range(4):\n"
        "    _thread.start_new_thread(work, ())\n"
        "while len(done) < 4:\n"
        "    pyconc.install(); pyconc.uninstall()\n"
        "print(errors)\n",
    )
    assert output == "[]\n"


def test_nothing_is_imported_for_it(tmp_path):
    """Programs that use none of the modules pay next to nothing."""
    output = run(
        tmp_path,
        "import sys\n"
        "before = set(sys.modules)\n"
        "import pyconc; pyconc.install()\n"
        "print(sorted(set(sys.modules) - before - {'pyconc'}))\n",
        "-S" if "PYTHONPATH" in os.environ else "-B",
    )
    assert "typing" not in output
    assert "pyconc._core" not in output
    assert "threading" not in output


@pytest.mark.parametrize(
    "name", ["random", "logging", "signal", "select", "tempfile", "struct", "queue"]
)
def test_a_script_named_like_a_standard_module_runs_once(tmp_path, name):
    """Though pyconc needs the standard one."""
    (tmp_path / f"{name}.py").write_text(
        "import threading\n"
        "print(__name__, threading.Event.__module__)\n"
    )
    (tmp_path / "token.py").write_text("raise SystemExit(3)\n")
    done = subprocess.run(
        [sys.executable, "-m", "pyconc", "run", f"{name}.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("__main__ pyconc.threading\n", "")
    assert done.returncode == 0


def test_a_neighbour_keeps_its_name(tmp_path):
    output = run(
        tmp_path,
        "import pyconc; pyconc.install()\n"
        "import threading\n"
        "import random, tempfile\n"
        "print(threading.Event.__module__, random.NAME, tempfile.NAME)\n",
        files={
            "random.py": "NAME = 'own random'\n",
            "tempfile.py": "NAME = 'own tempfile'\n",
        },
    )
    assert output == "pyconc.threading own random own tempfile\n"


def test_threads_that_import_at_once_get_the_same(tmp_path):
    output = run(
        tmp_path,
        "import _thread, time, pyconc\n"
        "pyconc.install()\n"
        "ready, go, seen = [], [], []\n"
        "def work():\n"
        "    ready.append(1)\n"
        "    while not go:\n        pass\n"
        "    try:\n"
        "        from concurrent.futures import ThreadPoolExecutor\n"
        "        from queue import Queue\n"
        "        seen.append((ThreadPoolExecutor.__module__, Queue.__module__))\n"
        "    except BaseException as error:\n"
        "        seen.append(repr(error))\n"
        "for _ in range(8):\n    _thread.start_new_thread(work, ())\n"
        "while len(ready) < 8:\n    time.sleep(0.01)\n"
        "go.append(1)\n"
        "while len(seen) < 8:\n    time.sleep(0.01)\n"
        "print(*set(seen))\n",
    )
    assert output == "('pyconc.futures.thread', 'pyconc.queue')\n"


def test_bytes_are_not_mixed_with_text(tmp_path):
    output = run(
        tmp_path,
        "import pyconc; pyconc.install()\n"
        "import multiprocessing\n"
        "print(multiprocessing.get_context('spawn').Lock())\n",
        "-bb",
    )
    assert output == "<Lock(owner=None)>\n"


def test_imports_that_no_code_of_python_asks_for(tmp_path):
    output = run(
        tmp_path,
        "import pyconc; pyconc.install()\n"
        "import _thread, atexit, time\n"
        "_thread.start_new_thread(__import__, ('queue',))\n"
        "atexit.register(__import__, 'queue')\n"
        "time.sleep(0.05)\n"
        "print(__import__('queue', []).Queue.__module__)\n",
    )
    assert output == "pyconc.queue\n"


def test_a_child_started_elsewhere_imports_this_pyconc(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "pyconc.py").write_text("raise SystemExit(7)\n")
    output = run(
        tmp_path,
        "import pyconc; pyconc.install()\n"
        "import multiprocessing, os\n"
        "if __name__ == '__main__':\n"
        "    os.chdir('elsewhere')\n"
        "    process = multiprocessing.get_context('spawn').Process()\n"
        "    process.start()\n"
        "    process.join()\n"
        "    print(process.exitcode)\n",
    )
    assert output == "0\n"
