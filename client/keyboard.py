"""Standard input: raw while a terminal is attached, and a thread that passes it on."""

from __future__ import annotations

import os
import select
import termios
import threading
import tty
from collections.abc import Callable
from types import TracebackType
from typing import Any

CHUNK_BYTES = 32 * 1024
BELL = b"\a"


class RawMode:
    """The terminal on `fd` in raw mode, put back at the end. Does nothing where `fd` is no terminal."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._before: list[Any] | None = None  # termios' own mix of numbers and lists

    def __enter__(self) -> RawMode:
        if os.isatty(self._fd):
            self._before = termios.tcgetattr(self._fd)
            tty.setraw(self._fd, termios.TCSADRAIN)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.restore()

    def restore(self) -> None:
        if self._before is not None:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)
            self._before = None


class Silent(RawMode):
    """The terminal on `fd` without showing what is typed. `restore` may be called by another thread, too."""

    def __enter__(self) -> Silent:
        if os.isatty(self._fd):
            self._before = termios.tcgetattr(self._fd)
            quiet = termios.tcgetattr(self._fd)
            quiet[3] &= ~termios.ECHO
            termios.tcsetattr(self._fd, termios.TCSAFLUSH, quiet)
        return self


class Keyboard:
    """Reads `fd` in a thread and hands each chunk to `send`; `b""` is the end. Stops reading after `stop`."""

    def __init__(self, fd: int, send: Callable[[bytes], None]) -> None:
        self._fd = fd
        self._send = send
        self._wake_read, self._wake_write = os.pipe()
        self._thread = threading.Thread(target=self._pump, name="keyboard", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """No byte is read after this returns, unless the thread hangs in `send`."""
        os.write(self._wake_write, b"x")
        self._thread.join(timeout=1)

    def _pump(self) -> None:
        while True:
            try:
                ready, _, _ = select.select([self._fd, self._wake_read], [], [])
                if self._wake_read in ready:
                    return
                data = os.read(self._fd, CHUNK_BYTES)
            except (OSError, ValueError):  # closed from the start, or the terminal is gone
                data = b""
            self._send(data)
            if not data:
                return
