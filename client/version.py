"""`berth -v` without a connection: the version file, and the build id or the commit of the clone."""

from __future__ import annotations

import os

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # noqa: PTH120 - pathlib costs start time
SHORT = 7


def _read(*parts: str) -> str:
    try:
        with open(os.path.join(*parts), encoding="utf-8") as file:  # noqa: PTH118
            return file.read().strip()
    except OSError:
        return ""


def _git_folder(root: str) -> str:
    """`.git`, or what a worktree's `.git` file points to."""
    path = os.path.join(root, ".git")  # noqa: PTH118
    pointer = _read(path)
    return pointer.removeprefix("gitdir: ") if pointer.startswith("gitdir: ") else path


def _commit(root: str) -> str:
    git = _git_folder(root)
    head = _read(git, "HEAD")
    if not head.startswith("ref: "):
        return head
    name = head.removeprefix("ref: ")
    common = os.path.normpath(os.path.join(git, _read(git, "commondir") or "."))  # noqa: PTH118
    if found := _read(git, name) or _read(common, name):
        return found
    lines = (line.split(" ") for line in _read(common, "packed-refs").splitlines())
    return next((line[0] for line in lines if line[-1] == name), "")


def version_line(root: str = ROOT) -> str:
    """`Berth version 0.1.0, build 1a2b3c4`; `build unknown` without a stamp and without git."""
    build = (_read(root, "build-id") or _commit(root))[:SHORT] or "unknown"
    return f"Berth version {_read(root, 'VERSION')}, build {build}"
