"""Fail on functions over 50 net lines and files over 500 lines (style.md: the walls). Net: no blanks, comments, docstrings."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

FUNCTION_WALL = 50
FILE_WALL = 500


def net_lines(node: ast.FunctionDef | ast.AsyncFunctionDef, source: list[str]) -> int:
    body = node.body
    if (
        isinstance(body[0], ast.Expr)
        and isinstance(body[0].value, ast.Constant)
        and isinstance(body[0].value.value, str)
    ):
        body = body[1:]
    if not body:
        return 0
    lines = source[body[0].lineno - 1 : body[-1].end_lineno]
    return sum(1 for line in lines if line.strip() and not line.strip().startswith("#"))


def complaints(path: Path) -> list[str]:
    text = path.read_text()
    source = text.splitlines()
    found = [f"{path}: {len(source)} lines (wall {FILE_WALL})"] if len(source) > FILE_WALL else []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (n := net_lines(node, source)) > FUNCTION_WALL:
            found.append(f"{path}:{node.lineno}: {node.name} has {n} net lines (wall {FUNCTION_WALL})")
    return found


def main() -> int:
    listed = subprocess.run(["git", "ls-files", "*.py"], capture_output=True, text=True, check=True).stdout.split()
    found = [c for name in listed if "/migrations/" not in name for c in complaints(Path(name))]
    print("\n".join(found) if found else "sizes are within the walls")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
