"""Bytes to file descriptors, whole."""

from __future__ import annotations

import os
import select

STDIN, STDOUT, STDERR = 0, 1, 2


def open_missing() -> None:
    """A descriptor 0, 1 or 2 that the caller closed becomes /dev/null: else the next socket would take its number."""
    for fd in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def write_all(fd: int, data: bytes) -> None:
    """Every byte, however slow the reader is and whether or not the descriptor blocks.

    Raises:
        BrokenPipeError: nobody reads any more.
    """
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            select.select([], [fd], [])


def write_text(fd: int, text: str) -> None:
    write_all(fd, text.encode("utf-8", "replace"))


def notice(text: str) -> None:
    """A sentence of our own beside the program's output; right on a raw terminal too."""
    end = "\r\n" if os.isatty(STDERR) else "\n"
    write_text(STDERR, f"berth: {text}{end}")


def terminal_size() -> tuple[int, int]:
    """(rows, columns) of the terminal, or 24 × 80."""
    for fd in (STDIN, STDOUT, STDERR):
        try:
            columns, rows = os.get_terminal_size(fd)
        except OSError:
            continue
        if rows and columns:
            return rows, columns
    return 24, 80
