"""Build the plain layers and run their C tests, without an interpreter.

    python tests/c/run.py [--cc gcc] [--mode plain|debug|asan|tsan]
                          [--only PATTERN]

Each tests/c/<layer>/test_*.c is a program of its own, linked with a library
of the layers platform, region, ring and timers.
"""

import argparse
import fnmatch
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests" / "c"
PLAIN_LAYERS = ("platform", "region", "ring", "timers")
WATCHDOG_SECONDS = 900  # conc_test.h has a shorter one, which prints stacks

COMMON_FLAGS = [
    "-std=c11",
    "-D_GNU_SOURCE",
    "-fvisibility=hidden",
    "-pthread",
    "-fPIC",  # as in the extension
    "-Wpedantic",
]
MODES = {
    "plain": ["-O2", "-g", "-DNDEBUG"],
    "debug": ["-O0", "-g3", "-DCONC_DEBUG"],
    "asan": [
        "-O1",
        "-g",
        "-DCONC_DEBUG",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
        "-fno-omit-frame-pointer",
    ],
    "tsan": ["-O1", "-g", "-DCONC_DEBUG", "-fsanitize=thread"],
}
SANITIZER_OPTIONS = {
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}


class Build:
    """Objects of one compiler and mode, rebuilt when something is newer."""

    def __init__(self, cc: str, mode: str) -> None:
        self.cc = cc.split()
        self.flags = [
            *COMMON_FLAGS,
            *(ROOT / "csrc" / "warnings.txt").read_text().split(),
            *MODES[mode],
        ]
        if os.environ.get("PYCONC_WERROR") == "1":
            self.flags.append("-Werror")
        name = f"{Path(self.cc[-1]).name}-{mode}"
        self.directory = ROOT / "build" / "c" / name
        headers = [
            *ROOT.glob("csrc/**/*.h"),
            *TESTS.rglob("*.h"),
            ROOT / "csrc" / "warnings.txt",
            Path(__file__),
        ]
        self.headers_time = max(h.stat().st_mtime for h in headers)

    def compile(self, source: Path, *flags: str) -> Path:
        """Return the object file of `source`, up to date."""
        relative = source.relative_to(ROOT)
        target = self.directory / relative.with_suffix(".o")
        newest = max(source.stat().st_mtime, self.headers_time)
        if not target.exists() or target.stat().st_mtime < newest:
            target.parent.mkdir(parents=True, exist_ok=True)
            command = [*self.cc, *self.flags, *flags, "-Icsrc"]
            command += ["-Itests/c", "-c", str(relative), "-o", str(target)]
            subprocess.run(command, cwd=ROOT, check=True)
        return target

    def library(self) -> Path:
        """Return a static library of the plain layers, up to date."""
        sources = [
            source
            for layer in PLAIN_LAYERS
            for source in sorted((ROOT / "csrc" / layer).glob("*.c"))
        ]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = list(pool.map(self.compile, sources))
        library = self.directory / "libplain.a"
        library.parent.mkdir(parents=True, exist_ok=True)
        library.unlink(missing_ok=True)
        subprocess.run(["ar", "rcs", library, *objects], check=True)
        return library

    def program(self, source: Path, library: Path) -> Path:
        """Return the test program of `source`, linked anew."""
        # A test's own assertions count in every mode.
        code = self.compile(source, "-UNDEBUG")
        target = code.with_suffix("")
        command = [*self.cc, *self.flags, code, library, "-o", target]
        subprocess.run(command, check=True)
        return target


def run(program: Path) -> str:
    """Run a test program; return "" or what went wrong."""
    process = subprocess.Popen(
        [program],
        env={**SANITIZER_OPTIONS, **os.environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=WATCHDOG_SECONDS)
        verdict = f"exit status {process.returncode}"
    except subprocess.TimeoutExpired:
        # The group: a test's children hold its output open.
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        verdict = f"killed after {WATCHDOG_SECONDS} s"
    if process.returncode == 0:
        return ""
    return f"{output.decode(errors='replace')}\n{verdict}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cc", default=os.environ.get("CC", "gcc"))
    parser.add_argument("--mode", choices=MODES, default="plain")
    parser.add_argument(
        "--only", default="*", metavar="PATTERN", help="as in ring/test_bo*"
    )
    options = parser.parse_args()

    sources = [
        source
        for source in sorted(TESTS.glob("*/test_*.c"))
        if fnmatch.fnmatch(
            str(source.relative_to(TESTS).with_suffix("")), options.only
        )
    ]
    build = Build(options.cc, options.mode)
    try:
        library = build.library()
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            programs = list(
                pool.map(lambda s: build.program(s, library), sources)
            )
    except subprocess.CalledProcessError as error:
        print(f"C tests: {error.cmd[0]} failed, see above", file=sys.stderr)
        return 1

    failed = 0
    for source, program in zip(sources, programs, strict=True):
        start = time.monotonic()
        trouble = run(program)
        seconds = time.monotonic() - start
        word = "FAIL" if trouble else "ok"
        print(f"{word:4} {source.relative_to(TESTS)} ({seconds:.1f} s)")
        if trouble:
            print(trouble)
            failed += 1
    print(
        f"C tests, {options.cc} {options.mode}: "
        f"{len(sources) - failed} passed, {failed} failed"
    )
    return 1 if failed or not sources else 0


if __name__ == "__main__":
    sys.exit(main())
