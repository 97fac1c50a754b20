"""What a person or a pipe types, on its way to the container."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboard.gateway.terminal import INTERRUPT, InputAttach, WrongState
from dashboard.terminals import protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from pathlib import Path

    from dashboard.gateway.terminal import DetachKeys

CONNECT_AGAIN_S = 0.05
REPORT_EVERY_BYTES = 64 * 1024


class TooMuchInput(Exception):
    """The other side ignores the input window."""


class Keyboard:
    """Detach keys, then a bounded queue, then conmon. Never blocks; close it.

    Args:
        has_started: whether the container has been started; before that input waits instead of being dropped.
        on_detach: the detach keys were typed; nothing after them is sent.
        on_taken: (total bytes that left the queue), at least every 64 KiB.
        on_ended: the container takes no more input; what comes now is dropped.
    """

    def __init__(
        self,
        io: Path,
        loop: asyncio.AbstractEventLoop,
        *,
        keys: DetachKeys | None,
        has_started: Callable[[], bool],
        on_detach: Callable[[], None],
        on_taken: Callable[[int], None],
    ) -> None:
        self._io = io
        self._loop = loop
        self._keys = keys
        self._has_started = has_started
        self._on_detach = on_detach
        self._on_taken = on_taken
        self._attach: InputAttach | None = None
        self._early = bytearray()
        self._eof = False
        self._is_closed = False
        self._is_writer = False
        self._timer: asyncio.TimerHandle | None = None
        self._hold_timer: asyncio.TimerHandle | None = None
        self._received = 0
        self._reported = 0

    @property
    def queued_bytes(self) -> int:
        return len(self._early) + (self._attach.queued_bytes if self._attach else 0)

    def feed(self, data: bytes) -> None:
        """Raises TooMuchInput past 1 MiB of waiting input."""
        if self._is_closed:
            return
        self._received += len(data)
        if self._keys is not None:
            data = self._through_keys(data)
        if self._keys is not None and INTERRUPT in data and self.queued_bytes:
            self._interrupt(data)
        elif data:
            self._pass_on(data)
        if self.queued_bytes > protocol.INPUT_QUEUE_LIMIT_BYTES:
            raise TooMuchInput
        self._report()

    def eof(self) -> None:
        """The end of a pipe. A terminal has none: there it is a key."""
        if self._keys is None and not self._is_closed:
            self._eof = True
            self.connect()

    def connect(self) -> None:
        """Take the container's input now, or as soon as it is there: a pipe ends with its one holder."""
        self._pass_on(b"")

    def close(self) -> None:
        """Idempotent."""
        self._is_closed = True
        for timer in (self._timer, self._hold_timer):
            if timer is not None:
                timer.cancel()
        self._drop_connection()
        self._early.clear()

    def _through_keys(self, data: bytes) -> bytes:
        if self._keys is None:
            return data
        data, is_detached = self._keys.feed(data, self._loop.time())
        if self._hold_timer is not None:
            self._hold_timer.cancel()
            self._hold_timer = None
        if is_detached:
            self._on_detach()
        elif self._keys.due_at is not None:
            self._hold_timer = self._loop.call_at(self._keys.due_at, self._release_held)
        return data

    def _release_held(self) -> None:
        if self._keys is not None and not self._is_closed and (held := self._keys.due(self._loop.time())):
            self._pass_on(held)

    def _interrupt(self, data: bytes) -> None:
        """Ctrl-C overtakes what waits, and the terminal would throw that away anyway."""
        self._early.clear()
        last = data[data.rindex(INTERRUPT) :]
        if self._attach is None:
            self._pass_on(last)
            return
        self._stop_watching()  # it may go on over another socket
        try:
            self._attach.interrupt(last)
        except WrongState:
            self._lost()
        self._watch_writable()

    def _pass_on(self, data: bytes) -> None:
        self._early += data
        if self._attach is None and not self._open():
            return
        data = bytes(self._early)
        self._early.clear()
        self._use(data)

    def _use(self, data: bytes) -> None:
        if self._attach is None:
            return
        try:
            if data:
                self._attach.send(data)
            if self._eof:
                self._attach.eof()
        except WrongState:
            self._lost()
        self._watch_writable()

    def _open(self) -> bool:
        try:
            self._attach = InputAttach(self._io)
        except (WrongState, OSError):
            if self._has_started():
                self._early.clear()  # it has ended, or its monitor has: the stream says so by itself
            elif self._timer is None:
                self._timer = self._loop.call_later(CONNECT_AGAIN_S, self._again)
            return False
        return True

    def _again(self) -> None:
        self._timer = None
        if not self._is_closed:
            self._pass_on(b"")
            self._report()

    def _lost(self) -> None:
        """The container's input is gone; after a restart of it the next key connects again."""
        self._drop_connection()

    def _drop_connection(self) -> None:
        if self._attach is None:
            return
        self._stop_watching()
        self._attach.close()
        self._attach = None

    def _stop_watching(self) -> None:
        if self._is_writer and self._attach is not None:
            self._loop.remove_writer(self._attach.fileno())
        self._is_writer = False

    def _watch_writable(self) -> None:
        if self._attach is None:
            return
        if self._is_writer and not self._attach.is_blocked:
            self._stop_watching()
        elif self._attach.is_blocked and not self._is_writer:
            self._loop.add_writer(self._attach.fileno(), self._writable)
            self._is_writer = True

    def _writable(self) -> None:
        if self._attach is None:
            return
        try:
            self._attach.flush()
        except WrongState:
            self._lost()
        self._watch_writable()
        self._report()

    def _report(self) -> None:
        taken = self._received - self.queued_bytes
        is_idle_after_much = self.queued_bytes == 0 and taken - self._reported >= REPORT_EVERY_BYTES // 4
        if taken - self._reported >= REPORT_EVERY_BYTES or is_idle_after_much:
            self._reported = taken
            self._on_taken(taken)
