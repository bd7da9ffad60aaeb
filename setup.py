"""Build pyconc._core and pyconc._launch; all metadata is in pyproject.toml.

The switches are environment variables, explained in
docs/internals/building.md: PYCONC_DEBUG, PYCONC_SANITIZE, PYCONC_WERROR, CC.
"""

import os
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# The layers that never include Python.h; Python's own need casts between
# function and object pointers, which -Wpedantic refuses.
PLAIN_LAYERS = (
    "csrc/platform/",
    "csrc/region/",
    "csrc/ring/",
    "csrc/timers/",
)

DEBUG = os.environ.get("PYCONC_DEBUG") == "1"
SANITIZE = os.environ.get("PYCONC_SANITIZE", "")
WERROR = os.environ.get("PYCONC_WERROR") == "1"


def compile_flags() -> list[str]:
    # Last come, last served: these follow the flags that the interpreter
    # was built with, and override them.
    flags = ["-std=c11", "-D_GNU_SOURCE", "-fvisibility=hidden", "-pthread"]
    if DEBUG:
        flags += ["-O0", "-g3", "-UNDEBUG", "-DCONC_DEBUG"]
    else:
        flags += ["-O2", "-DNDEBUG"]
    if SANITIZE:
        flags += [
            f"-fsanitize={SANITIZE}",
            "-fno-sanitize-recover=all",
            "-fno-omit-frame-pointer",
            "-g",
        ]
    if DEBUG or SANITIZE:
        # Fortified calls need an optimizing compiler, and hide from the
        # sanitizers what they check themselves.
        flags.append("-U_FORTIFY_SOURCE")
    if WERROR:
        flags += Path("csrc/warnings.txt").read_text().split()
        flags.append("-Werror")
        # Python.h is not ours to mend: -isystem silences what it causes.
        flags += ["-isystem", sysconfig.get_path("include")]
    return flags


def link_flags() -> list[str]:
    flags = ["-pthread"]
    if SANITIZE:
        flags.append(f"-fsanitize={SANITIZE}")
    return flags


def build_directory() -> str:
    """One directory per variant, so that none picks up another's files."""
    kind = "debug" if DEBUG else "release"
    return "-".join(["build/" + kind, *filter(None, SANITIZE.split(","))])


class BuildByLayer(build_ext):
    """Compile file by file, in parallel, with the flags of its layer."""

    def build_extensions(self) -> None:
        compile_all = self.compiler.compile

        def compile_one(source: str, **options: object) -> list[str]:
            if WERROR and source.startswith(PLAIN_LAYERS):
                options["extra_postargs"] = [
                    *options["extra_postargs"],
                    "-Wpedantic",
                ]
            return compile_all([source], **options)

        def compile_by_layer(
            sources: list[str], **options: object
        ) -> list[str]:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                jobs = [
                    pool.submit(compile_one, source, **options)
                    for source in sources
                ]
                return [name for job in jobs for name in job.result()]

        self.compiler.compile = compile_by_layer
        super().build_extensions()


def extension(name: str, sources: set[Path]) -> Extension:
    return Extension(
        name,
        sources=sorted(str(path) for path in sources),
        include_dirs=["csrc", "pyconc/include"],
        extra_compile_args=compile_flags(),
        extra_link_args=link_flags(),
    )


# Loaded before a program starts, so it is small and imports nothing.
LAUNCH = set(Path("csrc/launch").glob("*.c"))

setup(
    ext_modules=[
        extension("pyconc._core", set(Path("csrc").rglob("*.c")) - LAUNCH),
        extension("pyconc._launch", LAUNCH | {Path("csrc/py/arguments.c")}),
    ],
    cmdclass={"build_ext": BuildByLayer},
    options={
        "build": {"build_base": build_directory()},
        # The switches are not among the dates that setuptools compares.
        "build_ext": {"force": True},
    },
)
