"""mypy finds the types of user code through the installed package."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

USER_CODE = Path(__file__).with_name("user_code.py")


@pytest.mark.skipif(
    importlib.util.find_spec("mypy") is None, reason="mypy is not installed"
)
def test_user_code_is_typed(tmp_path: Path) -> None:
    # From elsewhere, so that it meets the installed package.
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", USER_CODE],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stdout + run.stderr
