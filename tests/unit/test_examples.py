"""The main job, reduced; tests/examples has the other examples."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

# Makes it quick without leaving out a step of it.
REDUCED = ["--limit", "20", "--processes", "2"]


def run_example(
    name: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_main_job_ends_well_and_silently() -> None:
    run = run_example("main_job.py", *REDUCED)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stderr == ""


def test_main_job_finds_both_implementations_in_agreement() -> None:
    run = run_example("main_job.py", *REDUCED)
    assert "same results: yes" in run.stdout
    assert "WRONG" not in run.stdout


@pytest.mark.parametrize("name", ["stdlib", "pyconc"])
def test_main_job_runs_on_one_implementation_alone(name: str) -> None:
    run = run_example("main_job.py", "--only", name, *REDUCED)
    assert run.returncode == 0, run.stdout + run.stderr
    assert name in run.stdout
    assert "ratio" not in run.stdout
