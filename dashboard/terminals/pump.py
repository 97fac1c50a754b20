"""From a container's log to one connection, at the pace of its reader.

The log is the buffer: nothing is kept here but one slice of at most 128 KiB. At 256 KiB unacknowledged the pump stops
reading. When it may go on, a browser that lags more than 4 MiB skips to a point from which its screen comes out right; a
command-line stream never skips, its tail pins the segments instead.

Phases: replay (a terminal's history at the widths it was written at, questions to the terminal taken out), live, the
rest after the container's end. `run` returns when everything has been sent and, for the command line, acknowledged.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

from dashboard.gateway.terminal import (
    Chunk,
    Parser,
    Position,
    Replay,
    Snapshot,
    TerminalModes,
    parse,
    replay_start,
    without_queries,
)
from dashboard.terminals import protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dashboard.gateway.terminal import Boundary, LogTail

SLICE_BYTES = 128 * 1024
LAG_LIMIT_BYTES = 4 * 1024 * 1024
SKIP_REPLAY_BYTES = 256 * 1024
NO_ACK_S = 60.0
LOOK_AGAIN_S = 1.0
LATE_NS = 500_000_000  # a line may get into the file so much later than its time says


class NoAck(Exception):
    """The reader has not said for 60 s that it got anything, and data waits."""


class Reader(Protocol):
    """The connection."""

    async def frame(self, data: bytes) -> None: ...
    async def message(self, kind: str, /, **fields: object) -> None: ...
    def went_live(self, *, is_alternate: bool) -> None: ...


class Pump:
    """Runs once. `wake`, `acked` and `ended` may be called at any time from the same event loop."""

    def __init__(
        self,
        io: Path,
        tail: LogTail,
        reader: Reader,
        *,
        may_skip: bool,
        waits_for_acks: bool,
        parser: Parser = parse,
        until_ns: int | None = None,
    ) -> None:
        self._io = io
        self._tail = tail
        self._reader = reader
        self._may_skip = may_skip
        self._waits_for_acks = waits_for_acks
        self._parser = parser
        self._until_ns = until_ns
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._has_ended = False
        self._last_ack_s = 0.0
        self._lost_segments = 0
        self.sent_bytes = 0
        self.acked_bytes = 0

    def wake(self, is_folder_change: bool = False) -> None:
        """Something was written, or files came and went."""
        if is_folder_change:
            self._tail.rescan()
        self._changed.set()

    def acked(self, total_bytes: int) -> None:
        """The reader has consumed that much in all. Saying the same again means that it is alive."""
        self._last_ack_s = time.monotonic()
        self.acked_bytes = max(self.acked_bytes, min(total_bytes, self.sent_bytes))
        self._room.set()

    def ended(self) -> None:
        """The container's log is complete: end once it has been read."""
        self._has_ended = True
        self.wake(is_folder_change=True)

    async def replay(self, boundary: Boundary, end: Position) -> TerminalModes:
        """Send a terminal's history up to `end`; returns the modes that it leaves the terminal in."""
        modes, replay = TerminalModes(), Replay(self._io, self._tail, end)
        await self._preamble(boundary)
        modes.feed(boundary.preamble)
        while (step := replay.read(SLICE_BYTES)) is not None:
            if step.size is not None:
                await self._reader.message("resize", rows=step.size.rows, cols=step.size.columns)
            for chunk in step.chunks:
                modes.feed(chunk.payload)
                await self._send(Chunk(chunk.stream, without_queries(chunk.payload), chunk.after, chunk.time_ns))
            await self._skip_if_far_behind()
            await asyncio.sleep(0)
        return modes

    async def copy(self, end: Position) -> None:
        """Send what is in the log up to `end`, as it is."""
        while chunks := self._read(until=end):
            await self._send_all(chunks)

    async def follow(self) -> None:
        """Send everything until the container has ended and the log is read, or up to the time that was asked for.

        Raises:
            NoAck: the reader is stuck.
            LogGone: a command-line stream lost its place.
        """
        while True:
            self._changed.clear()
            chunks = self._read()
            if chunks:
                await self._send_all(chunks)
            elif self._is_past():
                return
            elif self._has_ended and self._tail.at_end:
                await self._send_all(self._tail.read_rest())
                return
            else:
                await self._wait_for_change()

    def _is_past(self) -> bool:
        """All up to the asked time has been sent: what comes next is younger, or can only be younger."""
        if self._until_ns is None:
            return False
        following_ns = self._tail.next_time_ns()
        if following_ns is not None:
            return following_ns > self._until_ns
        return self._tail.at_end and time.time_ns() > self._until_ns + LATE_NS

    async def drain(self) -> None:
        """Wait until the reader has consumed everything that was sent (command-line streams)."""
        while self._waits_for_acks and self.acked_bytes < self.sent_bytes:
            await self._wait_for_ack()

    def _read(self, *, until: Position | None = None) -> list[Chunk]:
        until_ns = None if self._until_ns is None else self._until_ns + 1  # with what was written at that very moment
        chunks = self._tail.read(SLICE_BYTES, until=until, until_ns=until_ns, parse=self._parser)
        if not chunks and not self._tail.at_end:
            self._tail.rescan()  # an event may have been missed, or a file may be readable by now
            chunks = self._tail.read(SLICE_BYTES, until=until, until_ns=until_ns, parse=self._parser)
        return chunks

    async def _send_all(self, chunks: Sequence[Chunk]) -> None:
        for chunk in chunks:
            await self._send(chunk)
        await self._skip_if_far_behind()
        await asyncio.sleep(0)  # others' turn

    async def _send(self, chunk: Chunk) -> None:
        limit = protocol.PAYLOAD_LIMIT_BYTES
        for start in range(0, len(chunk.payload), limit):
            part = chunk.payload[start : start + limit]
            while self.sent_bytes > self.acked_bytes and (
                self.sent_bytes + len(part) - self.acked_bytes > protocol.WINDOW_BYTES
            ):
                await self._wait_for_ack()
            self.sent_bytes += len(part)
            await self._reader.frame(protocol.encode_output(chunk.stream, *chunk.after, part))

    async def _wait_for_change(self) -> None:
        try:
            async with asyncio.timeout(LOOK_AGAIN_S):  # wait_for may swallow that we are cancelled (python 3.11)
                await self._changed.wait()
        except TimeoutError:
            if not self._tail.at_end:
                self._tail.rescan()

    async def _wait_for_ack(self) -> None:
        self._room.clear()
        started = time.monotonic()
        try:
            async with asyncio.timeout(NO_ACK_S):
                await self._room.wait()
        except TimeoutError:
            if time.monotonic() - max(self._last_ack_s, started) >= NO_ACK_S:
                raise NoAck from None

    async def _skip_if_far_behind(self) -> None:
        if lost := self._tail.lost_segments - self._lost_segments:
            self._lost_segments += lost
            await self._reader.message("skipped", bytes=0)
        if not self._may_skip or self._tail.lag_bytes() <= LAG_LIMIT_BYTES:
            return
        boundary = await asyncio.to_thread(self._where_to_skip)
        if boundary.position <= self._tail.position:
            return
        self._tail.rescan()
        before = self._tail.lag_bytes()  # now, not before the search: what was written meanwhile is behind us too
        self._tail.move(boundary.position)
        await self._reader.message("skipped", bytes=max(0, before - self._tail.lag_bytes()))
        await self._preamble(boundary)

    def _where_to_skip(self) -> Boundary:
        with Snapshot(self._io) as now:
            return replay_start(now, replay_bytes=SKIP_REPLAY_BYTES, extend_bytes=SKIP_REPLAY_BYTES)

    async def _preamble(self, boundary: Boundary) -> None:
        if boundary.preamble:
            await self._send(Chunk(1, boundary.preamble, boundary.position, 0))
