"""One container's terminal size, asked for by any of its viewers in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboard.gateway.terminal import Resizer, Size, WrongState, current

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

RETRY_S = 0.2
RETRIES = 50


class Sizes:
    """Drives the engine's coalescing resizer with the event loop's clock. The last size asked for wins."""

    def __init__(self, io: Path, loop: asyncio.AbstractEventLoop) -> None:
        self._io = io
        self._loop = loop
        self._resizer = Resizer(io)
        self._timer: asyncio.TimerHandle | None = None
        self._retries = 0

    @property
    def is_idle(self) -> bool:
        return self._timer is None

    def ask(self, rows: int, columns: int) -> None:
        self._retries = RETRIES  # the terminal may not be there yet, right before a start
        self._step(Size.clamped(rows, columns))

    def ask_or_nudge(self, rows: int, columns: int, *, is_alternate: bool) -> None:
        """A new size makes a full-screen program redraw; the same one does not, so it gets another one in between."""
        size = Size.clamped(rows, columns)
        is_same = current(self._io) == size
        if is_same and not is_alternate:
            return
        if is_same:
            self.ask(size.rows - 1 if size.rows > 1 else 2, size.columns)
            self._step(size, keep_pending=True)
        else:
            self.ask(rows, columns)

    def _step(self, size: Size | None = None, *, keep_pending: bool = False) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now_s = self._loop.time()
        try:
            if size is None:
                due_in_s = self._resizer.step(now_s)
            else:
                due_in_s = self._resizer.ask(size, now_s, keep_pending=keep_pending)
        except WrongState:
            self._retry(size)
        except OSError:
            return  # no right to this container's files: its size stays as it is
        else:
            if due_in_s is not None:
                self._timer = self._loop.call_later(due_in_s, self._step)

    def _retry(self, size: Size | None) -> None:
        if size is not None and self._retries > 0:
            self._retries -= 1
            self._timer = self._loop.call_later(RETRY_S, self._step, size)
