"""The plain layers need nothing of the interpreter."""

import subprocess

import pytest

from c.run import MODES, Build


@pytest.mark.parametrize("mode", sorted(MODES.keys() - {"asan", "tsan"}))
def test_plain_layers_have_no_python_symbols(mode: str) -> None:
    library = Build("gcc", mode).library()
    output = subprocess.run(
        ["nm", "--undefined-only", "--format=posix", library],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    symbols = {line.split()[0] for line in output.splitlines() if line}
    assert symbols, "nm shows nothing"
    assert not [s for s in symbols if s.startswith(("Py", "_Py"))]
