"""The segments of one container's log, found without racing our own rotation.

`ctr.log` is the newest segment; its number is one more than the highest `ctr.log.<number>`. Rotation renames it and
then has conmon open a new one, so for a moment there is no `ctr.log`, and its number can change between two system
calls. `scan` therefore lists, opens and lists again until both lists agree.

A segment is complete (conmon writes nothing more to it) exactly when a newer file exists: conmon makes the new one
when it lets go of the old.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NAME = "ctr.log"
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_SCAN_ATTEMPTS = 8
FIRST = 1


def number_of(name: str) -> int | None:
    """The number in `ctr.log.<number>`; None for any other name."""
    stem, _, digits = name.rpartition(".")
    if stem != NAME or not digits.isascii() or not digits.isdigit() or digits.startswith("0") or len(digits) > 9:
        return None
    return int(digits)


@dataclass(frozen=True, slots=True)
class Scan:
    """One consistent look. `newest` is None while there is no `ctr.log`; `fd` None too while it may not be opened."""

    older: tuple[int, ...]
    newest: int | None
    fd: int | None

    @property
    def highest(self) -> int:
        """The highest number that is known to exist; 0 for none."""
        return self.newest if self.newest is not None else max(self.older, default=0)

    def is_complete(self, number: int) -> bool:
        return self.highest > number


class LogFolder:
    """A container's `io/` folder, held open. Whoever opens a segment's descriptor closes it."""

    def __init__(self, io: Path) -> None:
        self._fd = os.open(io, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def older(self) -> tuple[int, ...]:
        return tuple(sorted(n for name in os.listdir(self._fd) if (n := number_of(name)) is not None))  # noqa: PTH208 - a descriptor

    def scan(self) -> Scan:
        """Look once; the caller owns `fd`."""
        for _ in range(_SCAN_ATTEMPTS):
            before = self.older()
            fd, exists = self._open_newest()
            after = self.older()
            if before == after:
                return Scan(after, max(after, default=0) + 1 if exists else None, fd)
            if fd is not None:
                os.close(fd)
        return Scan(self.older(), None, None)

    def open_older(self, number: int) -> int | None:
        """None when it is gone or may not be read (yet)."""
        with contextlib.suppress(FileNotFoundError, PermissionError):
            return os.open(f"{NAME}.{number}", _OPEN, dir_fd=self._fd)
        return None

    def size_of(self, number: int, *, newest: int | None) -> int:
        name = NAME if number == newest else f"{NAME}.{number}"
        with contextlib.suppress(FileNotFoundError):
            return os.stat(name, dir_fd=self._fd, follow_symlinks=False).st_size
        return 0

    def _open_newest(self) -> tuple[int | None, bool]:
        try:
            return os.open(NAME, _OPEN, dir_fd=self._fd), True
        except FileNotFoundError:
            return None, False
        except PermissionError:  # conmon made it a moment ago; the engine has not given it to the group yet
            return None, True
