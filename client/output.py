"""Bytes to file descriptors, whole."""

from __future__ import annotations

import os
import re
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


# Control characters but newline and tab; marks that turn the direction of text around.
_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def write_said(fd: int, text: str) -> None:
    """What the server says. Labels, commands and answers of probes in it are other people's, of images even strangers':
    a terminal would obey what they hold, so it gets a "?" in its place. A file or a pipe gets all as it is.
    """
    write_text(fd, _OBEYED.sub("?", text) if os.isatty(fd) else text)


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
