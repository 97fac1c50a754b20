"""Nothing that a person, an image or a registry says is ever read by a shell of the host (CPY-04)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for name in ("engine", "dashboard", "client") for path in (ROOT / name).rglob("*.py"))


def _is_fixed(node: ast.expr) -> bool:
    """A text of the source, or a constant of its module."""
    return isinstance(node, ast.Constant) or (isinstance(node, ast.Name) and node.id.isupper())


def scripts(tree: ast.AST) -> list[ast.expr]:
    """What stands behind `sh -c` in a list of words; nothing where the words end there."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.List | ast.Tuple):
            texts = [item.value if isinstance(item, ast.Constant) else None for item in node.elts]
            for at, text in enumerate(texts[:-2]):
                if isinstance(text, str) and text.rpartition("/")[2] in {"sh", "bash"} and texts[at + 1] == "-c":
                    found.append(node.elts[at + 2])
    return found


@pytest.mark.threat("CPY-04")
def test_what_a_shell_reads_stands_in_the_source():
    trees = {path: ast.parse(path.read_text()) for path in SOURCES}
    read = [(path, node) for path, tree in trees.items() for node in scripts(tree)]
    assert len(read) >= 3, "the walk through the source finds too little"
    assert [f"{path}:{node.lineno}" for path, node in read if not _is_fixed(node)] == []
    words = [
        f"{path}:{node.lineno}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "shell" and not _is_fixed(node.value)
    ]
    shells = [
        f"{path}:{node.lineno}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "shell" and getattr(node.value, "value", None) is True
    ]
    assert (words, shells) == ([], [])


def test_the_walk_finds_a_text_that_is_put_together():
    (found,) = scripts(ast.parse("run(['/bin/sh', '-c', f'cat {path}'])"))
    assert not _is_fixed(found)
