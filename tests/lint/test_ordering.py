"""Atomics go through atomics.h, and every ordering edge has both its ends.

An edge is declared in a comment as `P1 -> C1  what it carries`.  At either
end stands a comment that begins with the label: `/* P1, pairs with C1 in
conc_thing_take */`.  Labels belong to their file, or else to their layer.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

CSRC = Path(__file__).resolve().parents[2] / "csrc"
FILES = [
    path
    for path in sorted(CSRC.glob("**/*.[ch]"))
    if path != CSRC / "platform" / "atomics.h"
]

COMMENT = re.compile(r"/\*(.*?)\*/", re.DOTALL)
BARE = re.compile(r"\b(memory_order|atomic_|__atomic_|__sync_)\w*")
LABEL = r"[A-Z]\d+"
EDGE = re.compile(rf"\b({LABEL}) -> ({LABEL})\b")
END = re.compile(rf"(?:{LABEL}(?:, | and ))*{LABEL}\b(?! ->)")
PAIR = re.compile(rf"^({LABEL}).*?\bpairs with ({LABEL})\b", re.DOTALL)


def comments_of(path: Path) -> Iterator[str]:
    for text in COMMENT.findall(path.read_text()):
        yield re.sub(r"\n\s*\* ?", "\n", text).strip()


def ends_of(path: Path) -> set[str]:
    """Return the labels with which comments of a file begin."""
    ends: set[str] = set()
    for comment in comments_of(path):
        if start := END.match(comment):
            ends |= set(re.findall(LABEL, start[0]))
    return ends


def edges_of(path: Path) -> set[tuple[str, str]]:
    return {edge for c in comments_of(path) for edge in EDGE.findall(c)}


def name_of(path: Path) -> str:
    return str(path.relative_to(CSRC))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_atomics_go_through_atomics_h(path: Path) -> None:
    code = COMMENT.sub("", path.read_text())
    assert [m[0] for m in BARE.finditer(code)] == []


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_declared_edge_has_both_ends(path: Path) -> None:
    ends = set().union(*map(ends_of, path.parent.glob("*.[ch]")))
    labels = {label for edge in edges_of(path) for label in edge}
    assert labels - ends == set(), "declared, but at no operation"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_paired_operation_belongs_to_a_declared_edge(path: Path) -> None:
    edges = set().union(*map(edges_of, path.parent.glob("*.[ch]")))
    for comment in comments_of(path):
        if pair := PAIR.match(comment):
            here, there = pair.groups()
            assert {(here, there), (there, here)} & edges, comment
