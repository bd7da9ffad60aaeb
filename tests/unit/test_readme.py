"""The README's scripts run and print what it says they print."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"

# A script, and the output that follows it.
SCRIPT = re.compile(
    r"^```python\n(?P<code>.*?)^```\n\n^```text\n(?P<output>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)

SCRIPTS = list(SCRIPT.finditer(README.read_text()))


def test_every_script_says_what_it_prints() -> None:
    assert SCRIPTS
    assert len(SCRIPTS) == README.read_text().count("```python\n")


def test_the_first_command_runs_an_unmodified_script() -> None:
    text = README.read_text()
    first, command = text[text.index("```") :].splitlines()[:2]
    assert (first, command) == ("```sh", "python -m pyconc run script.py")
    assert "pyconc" not in SCRIPTS[0]["code"]


@pytest.mark.parametrize("command", [[], ["-m", "pyconc", "run"]], ids=str)
@pytest.mark.parametrize(
    "script", SCRIPTS, ids=[str(i) for i in range(len(SCRIPTS))]
)
def test_script_prints_what_the_readme_says(
    script: re.Match[str], command: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "script.py"
    path.write_text(script["code"])
    run = subprocess.run(
        [sys.executable, *command, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
    )
    assert run.stderr == ""
    assert run.returncode == 0
    assert run.stdout == script["output"]


LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")
DOCUMENTS = sorted(
    path
    for folder in (".", "docs", "examples", "benchmarks")
    for path in (README.parent / folder).glob(
        "*.md" if folder == "." else "**/*.md"
    )
)


@pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda p: str(p.relative_to(README.parent))
)
def test_links_lead_somewhere(document: Path) -> None:
    for target in LINK.findall(document.read_text()):
        assert (document.parent / target).exists(), target
