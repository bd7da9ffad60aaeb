"""Files include and import only from their own layer or one listed above."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

C_LAYERS = [
    "platform",
    "region",
    "ring",
    "timers",
    "sync",
    "py",
    "locks",
    "codec",
    "future",
    "pool",
    "threads",
    "workers",
    "module",
    "launch",
]
FIRST_PYTHON_LAYER = "py"

# A package's __init__ stands where its last file stands.
PYTHON_ORDER = [
    "pyconc._launch",
    "pyconc._install",
    "pyconc._core",
    "pyconc._sync_errors",
    "pyconc.errors",
    "pyconc",
    "pyconc._program",
    "pyconc._mirror",
    "pyconc._replacement",
    "pyconc._signatures",
    "pyconc._lock_debug",
    "pyconc.threading",
    "pyconc.queue",
    "pyconc._wire",
    "pyconc._worker",
    "pyconc._crew",
    "pyconc._group",
    "pyconc.futures._base",
    "pyconc.futures._executor",
    "pyconc.futures.thread",
    "pyconc.futures.scheduled",
    "pyconc.futures.process",
    "pyconc.futures",
    "pyconc.concurrent",
    "pyconc.native",
    "pyconc.threadpool",
    "pyconc.multiprocessing.connection",
    "pyconc.multiprocessing.managers",
    "pyconc.multiprocessing.process",
    "pyconc.multiprocessing.queues",
    "pyconc.multiprocessing.shared_memory",
    "pyconc.multiprocessing.sharedctypes",
    "pyconc.multiprocessing.synchronize",
    "pyconc.multiprocessing.pool",
    "pyconc.multiprocessing.dummy.connection",
    "pyconc.multiprocessing.dummy",
    "pyconc.multiprocessing.context",
    "pyconc.multiprocessing",
    "pyconc._doctor",
    "pyconc.__main__",
]

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.MULTILINE)

C_FILES = sorted(ROOT.glob("csrc/**/*.[ch]"))
PYTHON_FILES = sorted(ROOT.glob("pyconc/**/*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(p for p in parts if p != "__init__")


def imports_of(path: Path) -> set[str]:
    """Return the modules of pyconc that a file imports, at any depth."""
    package = module_of(path).split(".")
    if path.name != "__init__.py":
        package.pop()
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            up = package[: len(package) - node.level + 1]
            base = ".".join(up if node.level else [])
            base = ".".join(filter(None, [base, node.module]))
            for alias in node.names:
                member = f"{base}.{alias.name}"
                found.add(member if is_module(member) else base)
    return {name for name in found if name.split(".")[0] == "pyconc"}


def is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.is_dir() or any(
        path.with_suffix(suffix).exists() for suffix in (".py", ".pyi")
    )


@pytest.mark.parametrize("path", C_FILES, ids=name_of)
def test_includes_point_to_lower_layers(path: Path) -> None:
    layer = path.relative_to(ROOT / "csrc").parts[0]
    assert layer in C_LAYERS, f"csrc/{layer}: add it to C_LAYERS"
    allowed = C_LAYERS[: C_LAYERS.index(layer) + 1]
    for kind, target in INCLUDE.findall(path.read_text()):
        if kind == '"':
            assert target.split("/")[0] in allowed, f"{path}: {target}"
            assert (ROOT / "csrc" / target).exists(), f"{path}: {target}"
        elif FIRST_PYTHON_LAYER not in allowed:
            assert target != "Python.h", f"{path} is a plain layer"


@pytest.mark.parametrize("path", PYTHON_FILES, ids=name_of)
def test_imports_point_to_lower_modules(path: Path) -> None:
    module = module_of(path)
    assert module in PYTHON_ORDER, f"{module}: add it to PYTHON_ORDER"
    place = PYTHON_ORDER.index(module)
    for target in sorted(imports_of(path) - {module}):
        assert target in PYTHON_ORDER, f"{target}: add it to PYTHON_ORDER"
        assert PYTHON_ORDER.index(target) < place, f"{module}: {target}"
