"""How much input may be on its way: what the program has not taken yet stays with us, not in the server's memory."""

from __future__ import annotations

import threading

WINDOW_BYTES = 256 * 1024


class InputWindow:
    """`wait_for` blocks the thread that reads the input until there is room, or until `close`."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._sent = 0
        self._taken = 0
        self._is_closed = False

    def reset(self) -> None:
        """A new connection counts from zero."""
        with self._condition:
            self._sent = self._taken = 0
            self._condition.notify_all()

    def taken(self, total_bytes: int) -> None:
        with self._condition:
            self._taken = max(self._taken, total_bytes)
            self._condition.notify_all()

    def wait_for(self, size_bytes: int) -> bool:
        """True when `size_bytes` may be sent now; they count as sent. False after `close`."""
        with self._condition:
            self._condition.wait_for(lambda: self._is_closed or self._sent - self._taken + size_bytes <= WINDOW_BYTES)
            self._sent += size_bytes
            return not self._is_closed

    def close(self) -> None:
        with self._condition:
            self._is_closed = True
            self._condition.notify_all()
