"""Copy a tree of files with threads, and show a progress bar.

A thread that copies waits for the disk most of the time, so a few of them
keep several files on their way.  Afterwards every copy is compared with its
original by hash.  Without SOURCE and TARGET, a sample tree is made and copied.
Needs tqdm; the bar is shown on a terminal, or with --progress.

    python examples/copy_files.py [SOURCE TARGET] [--threads N] [--progress]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tqdm import tqdm


def make_sample_tree(root: Path) -> None:
    rng = random.Random(1)
    for folder in ["", "images", "images/small", "text/drafts", "empty"]:
        (root / folder).mkdir(parents=True, exist_ok=True)
    for folder in ["images", "images/small", "text", "text/drafts"]:
        for n in range(15):
            size = rng.randrange(200_000)
            (root / folder / f"{n:02}.dat").write_bytes(rng.randbytes(size))
    (root / "latest").symlink_to("text/drafts/14.dat")


def walk(root: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Yield each folder and the files in it, relative to root.

    Links are among the files: they are copied, not followed.
    """
    for folder, subfolders, names in os.walk(root):
        here = Path(folder)
        links = [name for name in subfolders if (here / name).is_symlink()]
        files = [(here / name).relative_to(root) for name in names + links]
        yield here.relative_to(root), files


def fingerprint(root: Path, file: Path) -> str:
    path = root / file
    if path.is_symlink():
        return os.readlink(path)
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def copy_all(
    files: list[Path],
    source: Path,
    target: Path,
    executor: ThreadPoolExecutor,
    hide_progress: bool | None,
) -> dict[Path, OSError]:
    """Copy the files; return those that could not be, and why."""
    failures = {}
    sizes = {file: (source / file).lstat().st_size for file in files}
    copy = partial(shutil.copy2, follow_symlinks=False)
    with tqdm(
        total=sum(sizes.values()),
        unit="B",
        unit_scale=True,
        disable=hide_progress,
    ) as bar:
        futures = {
            executor.submit(copy, source / file, target / file): file
            for file in files
        }
        for future in as_completed(futures):
            file = futures[future]
            try:
                future.result()
            except OSError as error:
                failures[file] = error
            bar.update(sizes[file])
    return failures


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Copy a tree of files.")
    parser.add_argument("source", type=Path, nargs="?")
    parser.add_argument("target", type=Path, nargs="?")
    parser.add_argument("--threads", type=int, default=4, metavar="N")
    parser.add_argument("--progress", action=argparse.BooleanOptionalAction)
    arguments = parser.parse_args()
    if arguments.source and not arguments.target:
        parser.error("there is a SOURCE but no TARGET")
    if arguments.source and not arguments.source.is_dir():
        parser.error(f"{arguments.source} is no folder")
    if arguments.target and arguments.target.exists():
        parser.error(f"{arguments.target} exists already")
    return arguments


def main() -> int:
    arguments = parse_arguments()
    source, target = arguments.source, arguments.target
    # None: tqdm looks whether there is a terminal.
    hide = None if arguments.progress is None else not arguments.progress
    with ExitStack() as stack:
        if source is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            source, target = folder / "source", folder / "target"
            make_sample_tree(source)
        tree = list(walk(source))  # all of it, before the target is there
        for folder, _ in tree:
            (target / folder).mkdir(parents=True)
        files = sorted(file for _, inside in tree for file in inside)

        executor = ThreadPoolExecutor(arguments.threads, "copy")
        stack.enter_context(executor)
        failures = copy_all(files, source, target, executor, hide)
        copied = [file for file in files if file not in failures]
        originals = executor.map(partial(fingerprint, source), copied)
        copies = executor.map(partial(fingerprint, target), copied)
        different = [
            file
            for file, original, copy in zip(
                copied, originals, copies, strict=True
            )
            if original != copy
        ]
        size = sum((target / file).lstat().st_size for file in copied)

    print(f"copied {len(copied)} files of {len(tree)} folders, {size:,} bytes")
    for file, error in sorted(failures.items()):
        print(f"not copied: {file}: {error.strerror or error}")
    for file in different:
        print(f"differs from its original: {file}")
    print(f"equal to their originals: {len(copied) - len(different)}")
    return 1 if failures or different else 0


if __name__ == "__main__":
    sys.exit(main())
