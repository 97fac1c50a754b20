"""A person's terminal: a program on a PTY, and the screen that it draws (pyte)."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence

import pyte


class Person:
    """Starts a program on a terminal, types, and waits for what it should show."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], *, rows: int = 24, columns: int = 80) -> None:
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.output = b""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._process = subprocess.Popen(
            list(argv), stdin=slave, stdout=slave, stderr=slave, env={**env, "TERM": "xterm-256color"},
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(slave)
        self._master = master

    def __enter__(self) -> Person:
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._master)

    @property
    def text(self) -> str:
        """Everything that came, without control sequences and with plain line ends."""
        plain = re.sub(rb"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[()][A-Z0-9]|\x1b[=>]|\x1b\].*?(\x07|\x1b\\)", b"", self.output)
        return plain.decode("utf-8", "replace").replace("\r", "")

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._process.send_signal(signal.SIGWINCH)

    def expect(self, pattern: str, timeout_s: float = 30, *, since: int = 0) -> re.Match[str]:
        """Wait until the text since that many characters matches."""
        deadline = time.monotonic() + timeout_s
        while (found := re.search(pattern, self.text[since:])) is None:
            if not self._read(deadline) or time.monotonic() > deadline:
                found = re.search(pattern, self.text[since:])
                if found is None:
                    raise AssertionError(f"{pattern!r} did not come; the terminal shows:\n{self.text[-4000:]}")
                break
        return found

    def exit_code(self, timeout_s: float = 30) -> int:
        deadline = time.monotonic() + timeout_s
        while self._read(deadline):
            pass
        return self._process.wait(max(0.1, deadline - time.monotonic()))

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(0.0, min(0.2, deadline - time.monotonic())))
        if not ready:
            return self._process.poll() is None and time.monotonic() < deadline
        try:
            data = os.read(self._master, 65536)
        except OSError:
            return False
        self.output += data
        self._stream.feed(data)
        return bool(data)
