"""`python -m pyconc run` does with a program what `python` does."""

import os
import py_compile
import re
import signal
import subprocess
import sys
import zipfile

import pytest

STATE = """\
import sys
print(sys.argv, sys.path[0], sys.flags.safe_path)
print(__name__, sorted(globals()), __package__, __spec__ and __spec__.name)
print(globals().get("__file__"), __doc__, __annotations__, type(__builtins__))
print(getattr(__loader__, "__name__", type(__loader__).__name__))
print(sys.modules["__main__"].__dict__ is globals())
"""
ENDS = {
    "nothing": "",
    "error": "def f():\n    1 / 0\nf()\n",
    "chain": "try:\n    1 / 0\nexcept ArithmeticError:\n    [][1]\n",
    "syntax": "x = 1\ndef f(:\n    pass\n",
    "missing import": "import surely.not_there\n",
    "missing by name": "import importlib\nimportlib.import_module('nowhere')\n",
    "exit": "import sys\nsys.exit(5)\n",
    "exit message": "raise SystemExit('good bye')\n",
    "exit none": "raise SystemExit\n",
    "interrupt": "raise KeyboardInterrupt\n",
    "killed": "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\n",
    "hard exit": "import os\nos._exit(3)\n",
    "hook": (
        "import sys\n"
        "sys.excepthook = lambda *error: print('hook', error[1], "
        "error[2].tb_frame.f_code.co_name, error[2].tb_lineno)\n"
        "1 / 0\n"
    ),
    "last": (
        "import atexit, sys\n"
        "atexit.register(lambda: print(sys.last_value, "
        "sys.last_traceback.tb_frame.f_code.co_name))\n"
        "1 / 0\n"
    ),
    "group": "raise ExceptionGroup('several', [ValueError(1), TypeError(2)])\n",
    "thread": (
        "import threading\n"
        "threading.Thread(target=print, args=('from a thread',)).start()\n"
    ),
    "stdin": "print(input(), input())\n",
    "warning": "import warnings\nwarnings.warn('look')\n",
    "encoding": "# coding: latin-1\nprint(ascii('\\xe9'))\n",
}


def python(cwd, *arguments, source="", options=(), **variables):
    return subprocess.run(
        [sys.executable, *options, *arguments],
        cwd=cwd,
        input=source or "line 1\nline 2\n",
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **variables},
    )


def assert_same(cwd, *arguments, **kwds):
    plain = python(cwd, *arguments, **kwds)
    ours = python(cwd, "-m", "pyconc", "run", *arguments, **kwds)
    assert ours.stdout == plain.stdout
    assert ours.stderr == plain.stderr
    assert ours.returncode == plain.returncode
    return ours


@pytest.fixture
def place(tmp_path):
    """A directory with a program in each form that python takes."""
    (tmp_path / "state.py").write_text(STATE)
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "state.py").write_text(STATE)
    (tmp_path / "package" / "sub").mkdir(parents=True)
    (tmp_path / "package" / "__init__.py").write_text("print('package')\n")
    (tmp_path / "package" / "__main__.py").write_text(STATE)
    (tmp_path / "package" / "sub" / "__init__.py").write_text("")
    (tmp_path / "package" / "sub" / "module.py").write_text(
        STATE + "from .. import sub\nprint(sub.__name__)\n"
    )
    (tmp_path / "link.py").symlink_to(tmp_path / "inner" / "state.py")
    py_compile.compile(
        str(tmp_path / "state.py"), str(tmp_path / "compiled.pyc")
    )
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("__main__.py", STATE)
    (tmp_path / "empty").mkdir()
    (tmp_path / "latin.py").write_bytes(b"print('\xe9')\n")
    (tmp_path / "no source").write_bytes(b"\0\1\2")
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        ["state.py"],
        ["state.py", "-m", "--only", "run", "", "a b"],
        ["./inner/../state.py", "x"],
        ["inner/state.py"],
        ["{}/inner/state.py"],
        ["link.py"],
        ["compiled.pyc"],
        ["archive.zip", "x"],
        ["package"],
        ["package/"],
        ["empty"],
        ["missing.py"],
        ["{}/missing/x.py"],
        ["latin.py"],
        ["no source"],
        ["-m", "state", "x"],
        ["-mstate", "x"],
        ["-m", "package", "x"],
        ["-m", "package.sub.module"],
        ["-m", "package.sub"],
        ["-m", "package.missing"],
        ["-m", "missing"],
        ["-m", "state.py"],
        ["-m", "this"],
        ["-c", STATE, "-x", "y"],
        ["-c", "print(1); 1 / 0"],
        ["-cprint(2)"],
        ["-c", ""],
        ["-c", "def f(:"],
        ["-c", "def f():\n  1 / 0\nf()"],
        ["-c", "import sys; sys.exit('bye')"],
        ["-c", "raise KeyboardInterrupt"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("options", [[], ["-P"]], ids=str)
def test_what_is_run(place, arguments, options):
    arguments = [argument.format(place) if "{}" in argument else argument
                 for argument in arguments]
    assert_same(place, *arguments, options=options)


def test_in_isolation(place):
    """-I keeps PYTHONPATH away, so it needs a pyconc that is installed."""
    if python(place, "-m", "pyconc", "-V", options=["-I"]).returncode:
        pytest.skip("this pyconc is not installed")
    assert_same(place, "state.py", options=["-I"])


def test_options_of_the_interpreter_stay(place):
    (place / "flags.py").write_text(
        "import sys, warnings\n"
        "print(sys.flags, sys.warnoptions, sys._xoptions)\n"
        "assert False\n"
    )
    options = ["-O", "-B", "-W", "error", "-X", "faulthandler"]
    ours = assert_same(place, "flags.py", options=options)
    assert "error" in ours.stdout


@pytest.mark.parametrize("source", [STATE, "1 / 0", "x = (", "import sys; sys.exit(4)"])
def test_standard_input(place, source):
    assert_same(place, "-", "x", "y", source=source)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("form", ["script", "module", "code"])
def test_how_it_ends(tmp_path, form, end):
    (tmp_path / "program.py").write_text(ENDS[end], encoding="latin-1")
    arguments = {
        "script": ["program.py"],
        "module": ["-m", "program"],
        "code": ["-c", ENDS[end]],
    }
    assert_same(tmp_path, *arguments[form])


@pytest.mark.parametrize("form", [["program.py"], ["-m", "program"]], ids=str)
@pytest.mark.parametrize("command", [[], ["-m", "pyconc", "run"]], ids=str)
def test_an_interrupt_ends_it(tmp_path, command, form):
    # One long sleep would miss a signal that comes just before it.
    (tmp_path / "program.py").write_text(
        "import time\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    time.sleep(0.1)\n"
    )
    process = subprocess.Popen(
        [sys.executable, *command, *form],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    assert errors.startswith("Traceback")
    assert errors.endswith("KeyboardInterrupt\n")
    assert "pyconc" not in errors


def test_it_is_pyconc_that_answers(tmp_path):
    code = "import queue, sys; print(queue.Queue.__module__)"
    ours = python(tmp_path, "-m", "pyconc", "run", "-c", code)
    assert ours.stdout == "pyconc.queue\n"
    off = python(
        tmp_path, "-m", "pyconc", "run", "-c", code, PYCONC_DISABLE="1"
    )
    assert off.stdout == "queue\n"


@pytest.mark.parametrize(
    ("only", "output"),
    [
        (["--only", "queue"], "pyconc.queue threading\n"),
        (["--only=threading"], "queue pyconc.threading\n"),
        (["--only", "queue,threading"], "pyconc.queue pyconc.threading\n"),
    ],
    ids=str,
)
def test_only_some_modules(tmp_path, only, output):
    code = (
        "import queue, threading; print(queue.Queue.__module__, "
        "threading.Event.__module__)"
    )
    ours = python(tmp_path, "-m", "pyconc", "run", *only, "-c", code)
    assert (ours.stdout, ours.stderr) == (output, "")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["run"], "which program"),
        (["run", "-m"], "argument expected for the -m option"),
        (["run", "-c"], "argument expected for the -c option"),
        (["run", "-x", "program.py"], "unknown option -x"),
        (["run", "--fast", "program.py"], "unknown option --fast"),
        (["run", "--only"], "--only"),
        (["run", "--onlyqueue", "program.py"], "--onlyqueue"),
        (["run", "--only", "queue,json", "program.py"], "replace json"),
        (["run", "--only", "", "program.py"], "--only"),
        (["walk"], "unknown command walk"),
        (["doctor", "now"], "doctor"),
    ],
    ids=str,
)
def test_a_wrong_command_says_what_is_right(tmp_path, arguments, complaint):
    ours = python(tmp_path, "-m", "pyconc", *arguments)
    assert ours.returncode == 2
    assert ours.stdout == ""
    assert ours.stderr.startswith("usage: python -m pyconc")
    assert complaint in ours.stderr.splitlines()[-1] or complaint == "doctor"
    assert "Traceback" not in ours.stderr


@pytest.mark.parametrize("option", [[], ["--help"], ["-h"]], ids=str)
def test_help(tmp_path, option):
    ours = python(tmp_path, "-m", "pyconc", *option)
    assert ours.returncode == 0
    assert "pyconc run" in ours.stdout
    assert "pyconc doctor" in ours.stdout


def test_version(tmp_path):
    import pyconc

    ours = python(tmp_path, "-m", "pyconc", "--version")
    assert ours.stdout == f"pyconc {pyconc.__version__}\n"


def test_doctor(tmp_path):
    ours = python(tmp_path, "-m", "pyconc", "doctor")
    assert ours.returncode == 0, ours.stdout
    assert ours.stderr == ""
    for name in ("CPUs", "futex", "pidfd", "memfd", "/dev/shm", "start method"):
        assert name in ours.stdout
    assert "FAILS" not in ours.stdout
    assert ours.stdout.count("works: ") == 6


def test_doctor_says_what_fails(tmp_path):
    code = (
        "import resource, sys, pyconc._doctor as doctor\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (6, 6))\n"
        "sys.exit(doctor.main([]))\n"
    )
    ours = python(tmp_path, "-c", code)
    assert ours.returncode == 1
    assert "FAILS: OSError" in ours.stdout
    assert "Traceback" not in ours.stderr


def test_a_program_that_knows_pyconc(tmp_path):
    code = (
        "import pyconc, queue\n"
        "from pyconc import multiprocessing as ours\n"
        "import multiprocessing\n"
        "pyconc.install()\n"
        "print(ours is multiprocessing, queue.Queue.__module__)\n"
        "print(ours.Pool is multiprocessing.Pool, len(pyconc.installed()))\n"
        "pyconc.uninstall()\n"
        "import queue\n"
        "print(queue.Queue.__module__)\n"
    )
    ours = python(tmp_path, "-m", "pyconc", "run", "-c", code)
    assert ours.stderr == ""
    assert ours.stdout == "True pyconc.queue\nTrue 5\nqueue\n"


def test_run_within_run(tmp_path):
    code = "import queue, sys; print(queue.Queue.__module__, sys.argv)"
    command = ["-m", "pyconc", "run", "--only", "queue"]
    ours = python(tmp_path, *command, *command, "-c", code, "x")
    assert ours.stderr == ""
    assert ours.stdout == "pyconc.queue ['-c', 'x']\n"


def test_a_program_of_the_library_that_uses_a_pool(tmp_path):
    """compileall imports concurrent.futures itself, in a function."""
    outcomes = []
    for name, command in [("plain", []), ("run", ["-m", "pyconc", "run"])]:
        place = tmp_path / name
        for i in range(12):
            (place / f"package{i % 3}").mkdir(parents=True, exist_ok=True)
            (place / f"package{i % 3}" / f"m{i}.py").write_text(f"x = {i}\n")
        (place / "package0" / "bad.py").write_text("def f(:\n")
        done = python(place, *command, "-m", "compileall", "-j", "2", ".")
        compiled = sorted(
            path.relative_to(place).as_posix() for path in place.rglob("*.pyc")
        )
        # Two workers write: lines may run into each other.
        named = sorted(re.findall(r"Compiling '([^']+)'", done.stdout))
        outcomes.append((done.returncode, named, done.stderr, compiled))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][0] == 1
    assert len(outcomes[0][1]) == 13
    assert len(outcomes[0][3]) == 12


def test_inspection_of_what_failed(tmp_path):
    (tmp_path / "program.py").write_text("x = 5\n1 / 0\n")
    ours = assert_same(
        tmp_path,
        "program.py",
        options=["-i"],
        source="import sys; print(x, sys.last_type.__name__)\n",
    )
    assert ours.stdout == "5 ZeroDivisionError\n"
