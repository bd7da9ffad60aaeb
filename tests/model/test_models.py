"""Let Spin search the protocol models: whole, and with a protection out.

Each `.pml` says in its first comment what it claims and which switches
break it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MEMORY_MIB = 1000
DEPTH = 100_000

pytestmark = pytest.mark.skipif(
    shutil.which("spin") is None or shutil.which("gcc") is None,
    reason="needs spin and gcc (Debian: apt install spin gcc)",
)

# Together they cover what one search of everything would take too long for.
WHOLE = [
    ("board", "MAX_DEATHS=0 TASKS=3"),
    ("board", "MAX_DEATHS=1 TASKS=2"),
    ("board", "MAX_DEATHS=1 TASKS=3 CELLS=1"),  # entries are used again
    ("idlers", "WORKERS=2 TASKS=3"),
    ("idlers", "WORKERS=2 TASKS=2 CPUS=2"),
    ("idlers", "WORKERS=3 TASKS=2 ALL_ASLEEP"),
    ("idlers", "WORKERS=3 TASKS=3 ALL_ASLEEP BLOCKING"),
    ("idlers", "WORKERS=3 TASKS=3 ALL_ASLEEP BLOCKING CPUS=2"),
    ("idlers", "WORKERS=2 TASKS=2 MAX_LEAVERS=1"),
    ("idlers", "WORKERS=3 TASKS=2 MAX_LEAVERS=1 ALL_ASLEEP BLOCKING"),
    ("idlers", "WORKERS=2 TASKS=2 MAX_DEATHS=1 ALL_ASLEEP"),
    ("idlers", "WORKERS=2 TASKS=2 MAX_DEATHS=1 BLOCKING"),
]

BROKEN = {
    "board": {
        "TWO_STEP_CLAIM": "TASKS=2",
        "HEAD_FIRST": "TASKS=2",
        "SWEEP_FIRST": "TASKS=2",
        "NO_SWEEP": "TASKS=2",
        "SWEEP_RUNNING_ONLY": "TASKS=2",
        "NO_WAKE_AFTER_DEATH": "TASKS=2",
        "WORKER_LOOKS_ONCE": "TASKS=2",
        "PARENT_LOOKS_ONCE": "TASKS=2",
        "CANCEL_BY_STORE": "TASKS=2",
        "CLAIM_BY_STORE": "TASKS=2",
        "PARENT_OVERTAKES": "TASKS=3 CELLS=1",
    },
    "idlers": {
        "NO_SENTINEL": "ALL_ASLEEP BLOCKING",
        "LOOK_ONCE": "WORKERS=2",
        "RESIGN_AND_SLEEP": "WORKERS=2",
        "CHAIN_WHILE_SPINNING": "CPUS=2 TASKS=3 ALL_ASLEEP",
        "NAME_UNCHECKED": "WORKERS=2",
        "NAME_KEPT": "WORKERS=2",
        "NO_CHAIN": "ALL_ASLEEP BLOCKING",
        "NO_PASS_ON": "MAX_LEAVERS=1 ALL_ASLEEP BLOCKING",
        "NO_WAKE_AFTER_DEATH": "WORKERS=2 MAX_DEATHS=1",
    },
}


def search(directory: Path, model: str, switches: str, optimize: str) -> str:
    """Run one exhaustive search in `directory`; return what pan printed."""
    defines = [f"-D{switch}" for switch in switches.split()]
    commands = [
        ["spin", *defines, "-a", str(HERE / f"{model}.pml")],
        # HC4 stores a hash of 64 bits for each state.
        ["gcc", optimize, "-w", "-DSAFETY", "-DNOREDUCE", "-DHC4"]
        + [f"-DMEMLIM={MEMORY_MIB}", "-o", "pan", "pan.c"],
        # -E: the model says itself what a good last state is.
        ["./pan", "-E", f"-m{DEPTH}", "-w22"],
    ]
    for command in commands:
        done = subprocess.run(
            command,
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize(("model", "switches"), WHOLE)
def test_holds(tmp_path: Path, model: str, switches: str) -> None:
    output = search(tmp_path, model, switches, "-O2")
    assert "errors: 0" in output, output
    assert "Search not completed" not in output, output
    assert "max search depth too small" not in output, output


@pytest.mark.parametrize(
    ("model", "switch"),
    [(model, switch) for model in BROKEN for switch in BROKEN[model]],
)
def test_fails_without(tmp_path: Path, model: str, switch: str) -> None:
    switches = f"{switch} {BROKEN[model][switch]}"
    output = search(tmp_path, model, switches, "-O0")
    assert "errors: 1" in output, output
    assert "assertion violated" in output, output


@pytest.mark.parametrize("model", BROKEN)
def test_every_switch_that_breaks_it_is_tried(model: str) -> None:
    comment = (HERE / f"{model}.pml").read_text().split("*/")[0]
    promised = re.findall(r"^ \*   ([A-Z_]+)  ", comment, re.MULTILINE)
    assert promised == list(BROKEN[model])
