"""Sizes and modes of terminals."""

from __future__ import annotations

import contextlib
import fcntl
import struct
import termios
import tty
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_WINSIZE = struct.Struct("HHHH")
_MAXIMUM = 0xFFFF


def set_winsize(fd: int, rows: int, columns: int) -> None:
    """Tell a terminal its size; the kernel sends SIGWINCH to its foreground group if it changed."""
    if not (0 < rows <= _MAXIMUM and 0 < columns <= _MAXIMUM):
        msg = f"{rows} by {columns} is no size of a terminal."
        raise ValueError(msg)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, _WINSIZE.pack(rows, columns, 0, 0))


def get_winsize(fd: int) -> tuple[int, int]:
    """(rows, columns)."""
    rows, columns, _, _ = _WINSIZE.unpack(fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(_WINSIZE.size)))
    return rows, columns


@contextlib.contextmanager
def raw_mode(fd: int) -> Iterator[None]:
    """A terminal that passes every byte on as it is; put back as it was at the end, whatever happens."""
    before = termios.tcgetattr(fd)
    try:
        tty.setraw(fd, termios.TCSADRAIN)
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
