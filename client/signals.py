"""Signals as messages. Python's handlers run between two instructions of the main thread, where sending could deadlock
with a send that it interrupted; so the handlers do nothing and a thread reads the numbers from a pipe.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

WATCHED = (
    *(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGCONT),
)


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Only there so that the number goes to the pipe."""


class Signals:
    """`handler` is called in a thread of its own with each number; set it for the phase that the client is in."""

    def __init__(self, handler: Callable[[int], None]) -> None:
        self.handler = handler
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        for number in WATCHED:
            signal.signal(number, _ignore)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        threading.Thread(target=self._follow, name="signals", daemon=True).start()

    def _follow(self) -> None:
        while numbers := os.read(self._read, 64):
            for number in numbers:
                self.handler(number)
