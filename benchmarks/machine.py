"""Where and on what a benchmark runs: printed and saved with its figures."""

from __future__ import annotations

import importlib
import os
import platform
import subprocess
from pathlib import Path


def describe() -> dict[str, object]:
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
    }


def commit() -> str:
    """Name the commit checked out, "+" behind it if files were changed."""
    name = _git("rev-parse", "--short=12", "HEAD")
    if not name:
        return "unknown"
    return name + ("+" if _git("status", "--porcelain") else "")


def probe_ns(seconds: float = 0.02) -> float | None:
    """Measure how long a cache line takes from one CPU to another.

    Virtual machines change this by a factor of ten for tens of seconds at a
    time, and every hand-over of a task with it: figures are comparable only
    where the probe is.  None without pyconc's extension, which measures it.
    """
    try:
        core = importlib.import_module("pyconc._core")
    except ImportError:
        return None
    ping_pong = getattr(core, "spin_ping_pong", None)
    return None if ping_pong is None else float(ping_pong(seconds))


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.machine()


def _git(*arguments: str) -> str:
    try:
        return subprocess.run(
            ["git", "-C", str(Path(__file__).parent), *arguments],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
