"""Which shell a person gets in a container."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import ShellNotFound
from engine.runtime.passwd import login_shell
from engine.runtime.rootfiles import read_head

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.runtime.passwd import ResolvedUser

_NAMES = ("bash", "ash", "sh")
_FOLDERS = ("/bin", "/usr/bin", "/usr/local/bin")
_NO_SHELLS = frozenset({"nologin", "false", "true", "sync", "shutdown", "halt"})  # what passwd says of service accounts


def find_shell(root: int, user: ResolvedUser) -> str:
    """The one that the image's passwd file names for this user, if it is one and is there; else bash, ash or sh.

    Raises:
        ShellNotFound: the image has none of them.
    """
    for path in _candidates(login_shell(root, user)):
        if read_head(root, path, 1, is_program=True) is not None:
            return path
    msg = "This image has no shell (no bash, ash or sh), so none can be opened in its containers."
    raise ShellNotFound(msg)


def _candidates(named: str) -> Iterator[str]:
    if named.startswith("/") and named.isprintable() and named.rpartition("/")[2] not in _NO_SHELLS:
        yield named
    yield from (f"{folder}/{name}" for name in _NAMES for folder in _FOLDERS)
