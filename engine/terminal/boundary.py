"""Where to begin reading a log: its start, its end, its last lines, or a point from which a screen comes out right.

Replaying a terminal. Short logs are replayed whole, which is always right. Of a long one the last MiB is: it begins
at the start of a line of output, with a preamble that brings the terminal into the modes of that place (modes.py). If a
full-screen program was running there, the replay begins a little before that program took the alternate screen
(when that is within 4 MiB more), because such a program draws its parts once and later only changes them, and because
the screen below it must be there when it ends. Where even that is too far back, the preamble switches the
alternate screen on and the program is made to redraw (the resize nudge, dashboard.terminals).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from engine.terminal import log, segments
from engine.terminal.log import Position
from engine.terminal.modes import TerminalModes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

MIB = 1024 * 1024
REPLAY_BYTES = MIB
EXTEND_BYTES = 4 * MIB
SLICE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Boundary:
    """Start reading at `position` after writing `preamble` to a fresh terminal. `skipped_bytes`: log before it."""

    position: Position
    preamble: bytes = b""
    is_whole: bool = True


class Snapshot:
    """All segments that exist now, open, with the sizes they have now (cut to whole lines).

    Where to begin and where it ends must come from one Snapshot: of two, the second has lines that the first has not,
    and a beginning counted back from its end may lie behind the end of the first.
    """

    def __init__(self, io: Path) -> None:
        self._fds: dict[int, int] = {}
        self.sizes: dict[int, int] = {}
        folder = segments.LogFolder(io)
        try:
            scan = folder.scan()
            for number in scan.older:
                if (fd := folder.open_older(number)) is not None:
                    self._fds[number] = fd
            if scan.newest is not None and scan.fd is not None:
                self._fds[scan.newest] = scan.fd
            self.highest = max(scan.highest, segments.FIRST)
        finally:
            folder.close()
        self._fds = dict(sorted(self._fds.items()))
        self.sizes = {number: os.fstat(fd).st_size for number, fd in self._fds.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for fd in self._fds.values():
            os.close(fd)

    @property
    def total_bytes(self) -> int:
        return sum(self.sizes.values())

    @property
    def start(self) -> Position:
        return Position(min(self._fds, default=self.highest), 0)

    def end(self) -> Position:
        """After the last whole line."""
        number = max(self._fds, default=self.highest)
        return Position(number, self.line_start(number, self.sizes.get(number, 0)))

    def back(self, count: int) -> Position:
        """The start of the line that lies `count` bytes before the end, or the log's start."""
        for number in reversed(self._fds):
            if count <= self.sizes[number]:
                return Position(number, self.line_start(number, self.sizes[number] - count))
            count -= self.sizes[number]
        return self.start

    def slices(self, start: Position, end: Position) -> Iterator[tuple[Position, bytes]]:
        """Whole lines from `start` to `end`, in pieces of about 64 KiB."""
        for number, size in self.sizes.items():
            if not start.segment <= number <= end.segment:
                continue
            offset = start.offset if number == start.segment else 0
            limit = min(size, end.offset) if number == end.segment else size
            while offset < limit:
                raw = self._lines(number, offset, limit)
                if not raw:
                    break
                yield Position(number, offset), raw
                offset += len(raw)

    def _lines(self, number: int, offset: int, limit: int) -> bytes:
        wanted = SLICE_BYTES
        while True:
            raw = os.pread(self._fds[number], min(wanted, limit - offset), offset)
            if end := raw.rfind(b"\n") + 1:
                return raw[:end]
            if len(raw) < wanted:
                return b""
            wanted *= 2

    def slices_back(self) -> Iterator[tuple[Position, bytes]]:
        """The same pieces from the end to the start."""
        for number in reversed(self._fds):
            end = self.line_start(number, self.sizes[number])
            while end > 0:
                start = self.line_start(number, max(0, end - SLICE_BYTES))
                yield Position(number, start), os.pread(self._fds[number], end - start, start)
                end = start

    def time_ns(self, number: int, offset: int) -> int:
        """When the line was written that starts there."""
        return log.time_ns(os.pread(self._fds[number], log.PREFIX_BYTES, offset))

    def line_end(self, number: int, offset: int) -> int:
        """The start of the line after the one that starts there, which is whole."""
        while (found := os.pread(self._fds[number], SLICE_BYTES, offset)) and b"\n" not in found:
            offset += len(found)
        return offset + found.find(b"\n") + 1

    def line_start(self, number: int, offset: int) -> int:
        """The start of the line that `offset` is in."""
        while offset > 0:
            begin = max(0, offset - SLICE_BYTES)
            found = os.pread(self._fds[number], offset - begin, begin).rfind(b"\n")
            if found >= 0:
                return begin + found + 1
            offset = begin
        return 0


def log_end(io: Path) -> Position:
    """After what has been printed until now; ask before a start to show only what comes after it."""
    with Snapshot(io) as snapshot:
        return snapshot.end()


def tail_lines(snapshot: Snapshot, count: int) -> Position:
    """Before the last `count` lines of output, of both streams together. A last line without a newline is one."""
    if count == 0:
        return snapshot.end()
    seen, is_last = 0, True
    for position, raw in snapshot.slices_back():
        lines = raw.split(b"\n")[:-1]
        offset = position.offset + len(raw)
        for line in reversed(lines):
            is_full = line[43:44] == b"F"
            seen += is_full or is_last
            is_last = False
            if seen > count:
                return Position(position.segment, offset)
            offset -= len(line) + 1
    return snapshot.start


def since(snapshot: Snapshot, moment_ns: int) -> Position:
    """Before the first line that was written at that time or later; the end when there is none.

    Lines stand in the order of their times (as far as nobody turns the host's clock back), so a few reads are enough.
    """
    for number, size in snapshot.sizes.items():
        low, high = 0, snapshot.line_start(number, size)
        if high == 0 or _is_before(snapshot, number, snapshot.line_start(number, high - 1), high, moment_ns):
            continue
        while low < high:
            line = snapshot.line_start(number, (low + high) // 2)
            if _is_before(snapshot, number, line, high, moment_ns):
                low = snapshot.line_end(number, line)
            else:
                high = line
        return Position(number, low)
    return snapshot.end()


def _is_before(snapshot: Snapshot, number: int, line: int, end: int, moment_ns: int) -> bool:
    """By the first line from there on whose time can be read: one that a full disk cut short has none."""
    while line < end:
        if time_ns := snapshot.time_ns(number, line):
            return time_ns < moment_ns
        line = snapshot.line_end(number, line)
    return False


def replay_start(snapshot: Snapshot, *, replay_bytes: int = REPLAY_BYTES, extend_bytes: int = EXTEND_BYTES) -> Boundary:
    """Where a terminal that comes back begins. Reads at most the whole retained log: call it in a thread."""
    if snapshot.total_bytes <= replay_bytes:
        return Boundary(snapshot.start)
    place = _after_newline(snapshot, snapshot.back(replay_bytes))
    modes, before = TerminalModes(), Boundary(place)
    for position, raw in snapshot.slices(snapshot.start, place):
        was_alternate = modes.is_alternate
        preamble = b"" if was_alternate else modes.preamble()
        _feed(modes, raw, position)
        if modes.is_alternate and not was_alternate:
            before = Boundary(position, preamble, is_whole=position == snapshot.start)
    far = snapshot.back(replay_bytes + extend_bytes)
    if modes.is_alternate and before.position != place and before.position >= far:
        return before
    return Boundary(place, modes.preamble(), is_whole=False)


def _feed(modes: TerminalModes, raw: bytes, position: Position) -> None:
    if b"\x1b" in raw:
        for chunk in log.parse(raw, segment=position.segment, offset=position.offset):
            modes.feed(chunk.payload)


def _after_newline(snapshot: Snapshot, place: Position) -> Position:
    """The first line at or after `place` that begins a line of output (the one before it was full)."""
    for position, raw in snapshot.slices(place, snapshot.end()):
        offset = position.offset
        for line in raw.split(b"\n")[:-1]:
            offset += len(line) + 1
            if line[43:44] == b"F":
                return Position(position.segment, offset)
        break
    return place
