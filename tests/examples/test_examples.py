"""The examples do the same under plain python and under pyconc's run."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from support.impls import METHODS
from support.polling import eventually
from support.scripts import QUIET_TRACKER, environment, kill_group

EXAMPLES = Path(__file__).parents[2] / "examples"

NO_OPTIONS: list[str] = []
EVERY_METHOD = [["--start-method", method] for method in METHODS]

# Each example, and the options to run it with.
RUNS = {
    "callbacks_sqlite.py": EVERY_METHOD,
    "copy_files.py": [NO_OPTIONS, ["--progress"]],
    "coroutines.py": EVERY_METHOD,
    "fetch.py": [["--timeout", "10"]],
    "periodic.py": [NO_OPTIONS],
    "pipeline.py": EVERY_METHOD,
    "pool_methods.py": [*EVERY_METHOD, ["--pool", "threads"]],
    "producers_consumers.py": [NO_OPTIONS],
    "shared_counter.py": EVERY_METHOD,
    "threads.py": [NO_OPTIONS],
    "work_requests.py": [NO_OPTIONS],
}

# It compares the implementations itself: tests/unit/test_examples.py.
TESTED_ELSEWHERE = {"main_job.py"}

# Packages that an example imports, and that a machine may lack.
NEEDS = {"copy_files.py": "tqdm"}
NEEDS_PLAIN = {"work_requests.py": "threadpool"}

# A manager that has not ended within a second is terminated, and then does
# not remove its folder.
HAVE_MANAGERS = {"shared_counter.py"}

TIMEOUT = 120

PLAIN: list[str] = []
RUN = ["-m", "pyconc", "run"]

# One line that tqdm writes again and again; text mode reads \r as \n.
BAR = re.compile(r"(\n *\d+%\|[^\n]*)+\n")

every_example = pytest.mark.parametrize("name", sorted(RUNS))


def processes_of_session(session: int) -> list[str]:
    """Return the stat lines of what still runs, zombies excluded."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            line = path.read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        state, _parent, _group, its_session = line.rpartition(")")[2].split()[:4]
        if int(its_session) == session and state not in "ZX":
            found.append(line)
    return found


def run(
    how: list[str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run python to its end; nothing may be left of it then."""
    # Not tmp_path: the names of sockets in there can become too long.
    with tempfile.TemporaryDirectory() as name:
        work, temporary = Path(name, "work"), Path(name, "tmp")
        work.mkdir()
        temporary.mkdir()
        done = run_in(work, temporary, [*how, *arguments])
        if any(Path(each).name in HAVE_MANAGERS for each in arguments):
            for folder in temporary.glob("pymp-*"):
                shutil.rmtree(folder)
        assert sorted(Path(name).rglob("*")) == [temporary, work]
    return done


def run_in(
    work: Path, temporary: Path, arguments: list[str]
) -> subprocess.CompletedProcess[str]:
    """Run python in one folder, with another for temporary files."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **environment(),
            "PYTHONFAULTHANDLER": "1",
            "PYTHONWARNINGS": QUIET_TRACKER,
            "TMPDIR": str(temporary),
        },
        cwd=work,
        start_new_session=True,
    )
    try:
        try:
            out, err = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGABRT)  # prints all stacks
            out, err = process.communicate(timeout=TIMEOUT)
            pytest.fail(f"still ran after {TIMEOUT} s\n{out}\n{err}")
        # Helpers end when they notice that nobody needs them any more.
        eventually(
            lambda: not processes_of_session(process.pid),
            what="that no process is left of the example",
        )
    finally:
        kill_group(process)
    return subprocess.CompletedProcess(
        process.args, process.returncode, out, err
    )


def run_example(how: list[str], name: str, options: list[str]) -> str:
    """Run an example to its good end; return what it printed."""
    done = run(how, str(EXAMPLES / name), *options)
    errors = done.stderr
    if "--progress" in options:
        assert BAR.fullmatch(errors), errors
        assert "100%" in errors
        errors = ""
    assert (done.returncode, errors) == (0, ""), done.stdout + done.stderr
    assert done.stdout
    return done.stdout


@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param(name, options, id=" ".join([name, *options]))
        for name, runs in RUNS.items()
        for options in runs
    ],
)
def test_output_is_the_same(name: str, options: list[str]) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    ours = run_example(RUN, name, options)
    if name in NEEDS_PLAIN and not importlib.util.find_spec(NEEDS_PLAIN[name]):
        pytest.skip(f"plain python lacks {NEEDS_PLAIN[name]}")
    assert ours == run_example(PLAIN, name, options)


# --- what the examples use is pyconc's ------------------------------------

COUNTERPARTS = {
    "concurrent.futures": "pyconc.futures",
    "multiprocessing": "pyconc.multiprocessing",
    "multiprocessing.pool": "pyconc.multiprocessing.pool",
    "queue": "pyconc.queue",
    "threading": "pyconc.threading",
    "threadpool": "pyconc.threadpool",
}


def imports_of(tree: ast.Module) -> set[str]:
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            modules.add(node.module or "")
    return modules


def names_used(tree: ast.Module) -> set[tuple[str, str, str]]:
    """Return module, its attribute, and the expression for it in the script.

    That is what it takes from modules with a counterpart in pyconc.
    """
    used = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                used.add((node.module or "", alias.name, alias.name))
        elif isinstance(node, ast.Attribute):
            module = ast.unparse(node.value)
            used.add((module, node.attr, ast.unparse(node)))
    return {each for each in used if each[0] in COUNTERPARTS}


def replaced_by_pyconc(module: str, name: str) -> bool:
    """Say whether pyconc has one of its own, not the standard library's."""
    if module == "threadpool":
        return True
    missing = object()
    ours = importlib.import_module(COUNTERPARTS[module])
    theirs = importlib.import_module(module)
    found = getattr(ours, name, missing)
    return found is not missing and found != getattr(theirs, name)


# Prints those expressions that are not pyconc's object of that name.
CHECK = """
import importlib, json, sys

folder, name, names = sys.argv[1:]
sys.path.insert(0, folder)
sys.dont_write_bytecode = True
example = vars(importlib.import_module(name))
print(json.dumps([
    expression
    for counterpart, attribute, expression in json.loads(names)
    if eval(expression, example)
    != getattr(importlib.import_module(counterpart), attribute)
]))
"""


def not_from_pyconc(how: list[str], name: str) -> Any:
    """Return what an example uses that pyconc has and did not answer."""
    used = [
        (COUNTERPARTS[module], attribute, expression)
        for module, attribute, expression in sorted(
            names_used(ast.parse((EXAMPLES / name).read_text()))
        )
        if replaced_by_pyconc(module, attribute)
    ]
    assert used, "the example uses nothing that pyconc replaces"
    stem = name.removesuffix(".py")
    done = run(how, "-c", CHECK, str(EXAMPLES), stem, json.dumps(used))
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@every_example
def test_pyconc_answers_under_run(name: str) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    assert not_from_pyconc(RUN, name) == []


def test_pyconc_does_not_answer_plain_python() -> None:
    """So the check above can tell."""
    foreign = not_from_pyconc(PLAIN, "pipeline.py")
    assert "ThreadPool" in foreign
    assert "multiprocessing.get_context" in foreign


# --- the folder -----------------------------------------------------------


def test_every_example_is_run() -> None:
    scripts = {path.name for path in EXAMPLES.glob("*.py")}
    assert scripts == RUNS.keys() | TESTED_ELSEWHERE


@every_example
def test_example_is_unmodified_standard_library_code(name: str) -> None:
    modules = imports_of(ast.parse((EXAMPLES / name).read_text()))
    assert not any(module.partition(".")[0] == "pyconc" for module in modules)
    assert modules & COUNTERPARTS.keys()


@every_example
def test_example_is_in_the_table(name: str) -> None:
    table = (EXAMPLES / "README.md").read_text()
    assert f"\n| [`{name}`]({name}) | " in table
