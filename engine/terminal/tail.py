"""Following a log across segments, without ever blocking.

Theory. A tail holds a position and the descriptor of the segment it is in. An open descriptor pins an inode, so a
segment that rotation deletes can still be read to its end. A tail that must not lose a byte (`pin=True`, for
command-line streams) also opens every later segment the moment it hears of it: call `rescan` when the folder changes
(watch.py). Pinned segments are bounded by `pin_limit_bytes`; past that the oldest is given up, and reading
raises LogGone when it gets there. So are they on a disk that is nearly full, where the container would suffer.

A segment is left only when a newer one exists and it has been read to the end *after* that was known. A new segment
that may not be opened yet (conmon makes it 0600, the engine hands it to the group a moment later) means: wait.

If you touch this: rotation.py renames before conmon reopens; conmon may reopen twice (its ctl bug) and replaces an
empty new file by another; conmon's own limit of 256 MiB replaces a full file under the same number.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import EngineError
from engine.terminal import log
from engine.terminal.log import Chunk, Position
from engine.terminal.segments import LogFolder, Scan

if TYPE_CHECKING:
    from pathlib import Path

PIECE_BYTES = 48 * 1024  # of log: about 30 KiB of output in lines of usual length
PAYLOAD_BYTES = 32 * 1024
LINE_LIMIT_BYTES = 1024 * 1024
PIN_LIMIT_BYTES = 4 * 1024 * 1024 * 1024
TIGHT_DISK_BYTES = 256 * 1024 * 1024


class LogGone(EngineError):
    """The next bytes were rotated away before they were read."""

    code = "log-gone"


@dataclass(slots=True)
class _Open:
    fd: int
    inode: int

    @classmethod
    def of(cls, fd: int) -> _Open:
        return cls(fd, os.fstat(fd).st_ino)

    @property
    def size(self) -> int:
        return os.fstat(self.fd).st_size


class LogTail:
    """Reads from `position` on. Not thread-safe; close it.

    Args:
        io: the container's io folder; FileNotFoundError when it is not there.
        position: start of a line. One beyond the end of its segment (a log that was replaced) starts that segment
            again, and `was_reset` says so.
        pin: keep descriptors of all later segments, and raise LogGone rather than skip.
        pin_limit_bytes: how much log may be pinned.
    """

    def __init__(
        self, io: Path, position: Position, *, pin: bool = False, pin_limit_bytes: int = PIN_LIMIT_BYTES
    ) -> None:
        self._folder = LogFolder(io)
        self._pin = pin
        self._pin_limit_bytes = pin_limit_bytes
        self._open: dict[int, _Open] = {}
        self._scan = Scan((), None, None)
        self._given_up = 0
        self._successor: _Open | None = None
        self.position = position
        self.was_reset = False
        self.lost_segments = 0
        self.rescan()
        self._check_start()

    def close(self) -> None:
        for held in [*self._open.values(), *([self._successor] if self._successor else [])]:
            os.close(held.fd)
        self._open.clear()
        self._successor = None
        self._folder.close()

    def rescan(self) -> None:
        """Learn of new segments. Cheap enough for every change in the folder, too dear for every write to the log."""
        scan = self._folder.scan()
        self._scan = scan
        if scan.fd is not None and scan.newest is not None:
            self._take_newest(scan.newest, scan.fd)
        if self._pin:
            for number in scan.older:
                if number >= self.position.segment and number not in self._open and number > self._given_up:
                    self._hold(number)
            self._bound_pins()

    @property
    def at_end(self) -> bool:
        """Everything that exists now has been read (a last line without its newline does not count)."""
        held = self._open.get(self.position.segment)
        if held is None:
            return not self._scan.is_complete(self.position.segment) and self._scan.newest != self.position.segment
        return held.size <= self.position.offset and not self._has_next()

    def lag_bytes(self) -> int:
        """Bytes of log between the position and the end."""
        total = 0
        for number in {*self._open, *self._scan.older, *([self._scan.newest] if self._scan.newest else [])}:
            if number >= self.position.segment:
                total += self._size(number) - (self.position.offset if number == self.position.segment else 0)
        return max(0, total)

    def move(self, position: Position) -> None:
        """Go on from elsewhere (a viewer that skips)."""
        self.position = position
        self._close_before(position.segment)
        self.rescan()

    def read(
        self,
        max_bytes: int,
        *,
        until: Position | None = None,
        until_ns: int | None = None,
        parse: log.Parser = log.parse,
    ) -> list[Chunk]:
        """The next chunks, at most `max_bytes` of log (one long line may exceed it); empty: nothing there now.

        Each chunk's payload is at most 32 KiB as long as lines are. With `until`, the start of a line, nothing at or
        after it is returned; with `until_ns`, no line written at or after that time.

        Raises:
            LogGone: a pinned tail lost its place; `position` stays.
        """
        chunks: list[Chunk] = []
        left = max_bytes
        piece = PIECE_BYTES if parse is log.parse else PAYLOAD_BYTES  # others keep a state: they parse a line once
        while left > 0:
            raw = self._next_raw(min(left, piece), until=until, may_exceed=not chunks)
            if not raw:
                break
            if until_ns is not None and (end := log.cut_before(raw, until_ns)) < len(raw):
                raw, left = raw[:end], 0
            segment, offset = self.position
            raw, parsed = self._parsed(raw, parse)
            chunks += parsed
            self.position = Position(segment, offset + len(raw))
            left -= len(raw)
        return chunks

    def _parsed(self, raw: bytes, parse: log.Parser) -> tuple[bytes, list[Chunk]]:
        """Chunks of at most 32 KiB (unless one line is longer), and the part of `raw` that they are made of."""
        segment, offset = self.position
        parsed = parse(raw, segment=segment, offset=offset)
        if max((len(chunk.payload) for chunk in parsed), default=0) > PAYLOAD_BYTES:
            end = raw.rfind(b"\n", 0, PAYLOAD_BYTES) + 1
            if 0 < end < len(raw):
                return raw[:end], parse(raw[:end], segment=segment, offset=offset)
        return raw, parsed

    def next_time_ns(self) -> int | None:
        """When the line at the position was written; None when it is not there (yet), or in the next segment."""
        held = self._open.get(self.position.segment)
        line = os.pread(held.fd, log.PREFIX_BYTES, self.position.offset) if held else b""
        return log.time_ns(line) if len(line) == log.PREFIX_BYTES else None

    def read_rest(self) -> list[Chunk]:
        """After the container's end: a last line that never got its newline."""
        held = self._open.get(self.position.segment)
        if held is None:
            return []
        raw = os.pread(held.fd, PIECE_BYTES, self.position.offset)
        if not raw or b"\n" in raw:
            return []
        chunks = log.salvage(raw, segment=self.position.segment, offset=self.position.offset)
        self.position = Position(self.position.segment, self.position.offset + len(raw))
        return chunks

    def _next_raw(self, wanted: int, *, until: Position | None, may_exceed: bool) -> bytes:
        """Whole lines at the position, moving on to the next segment where this one is complete.

        Without `may_exceed`, nothing rather than a line longer than `wanted`.
        """
        while until is None or self.position < until:
            if until is not None and self.position.segment == until.segment:
                wanted = min(wanted, until.offset - self.position.offset)
            held = self._open.get(self.position.segment) or self._hold(self.position.segment)
            if held is None:
                if not self._jump_if_gone():
                    return b""
                continue
            complete = self._has_next()  # asked before reading: what conmon wrote until then is read below
            raw = self._whole_lines(held.fd, wanted, complete=complete, may_exceed=may_exceed)
            if raw is None:
                return b""
            if raw or not complete:
                return raw
            self._advance()
        return b""

    def _whole_lines(self, fd: int, wanted: int, *, complete: bool, may_exceed: bool) -> bytes | None:
        """Empty: there is no whole line. None: there may be, but it does not fit."""
        offset = self.position.offset
        while True:
            raw = os.pread(fd, wanted, offset)
            end = raw.rfind(b"\n") + 1
            if end:
                return raw[:end]
            if len(raw) < wanted or wanted >= LINE_LIMIT_BYTES:
                break
            if not may_exceed:
                return None
            wanted *= 2
        if complete and raw and len(raw) < wanted:
            self.position = Position(self.position.segment, offset + len(raw))  # cut short by a full disk: not output
        return b""

    def _has_next(self) -> bool:
        return self._scan.is_complete(self.position.segment) or self._successor is not None

    def _advance(self) -> None:
        number = self.position.segment
        if self._successor is not None and self._scan.newest == number:
            os.close(self._open[number].fd)
            self._open[number], self._successor = self._successor, None
            self.position = Position(number, 0)
            return
        self.position = Position(number + 1, 0)
        self._close_before(number + 1)
        if number + 1 not in self._open:
            self.rescan()

    def _hold(self, number: int) -> _Open | None:
        """Open a segment that is not held yet."""
        if number == self._scan.newest or number > self._scan.highest or number <= self._given_up:
            return self._open.get(number)
        fd = self._folder.open_older(number)
        if fd is None:
            return None
        self._open[number] = _Open.of(fd)
        return self._open[number]

    def _take_newest(self, number: int, fd: int) -> None:
        new, known = _Open.of(fd), self._open.get(number)
        is_wanted = number == self.position.segment or (self._pin and number > self.position.segment)
        if known is not None and known.inode != new.inode:
            self._replace(number, known, new)
        elif known is not None or not is_wanted:
            os.close(fd)
        else:
            self._open[number] = new

    def _replace(self, number: int, known: _Open, new: _Open) -> None:
        """The same number, another file: conmon reopened twice, or its own limit replaced a full file."""
        if known.size == 0 or number != self.position.segment:
            os.close(known.fd)
            self._open[number] = new
            return
        if self._successor is not None:
            os.close(self._successor.fd)
        self._successor = new

    def _jump_if_gone(self) -> bool:
        """The segment at the position cannot be opened: has it been rotated away, or must we wait for it?"""
        number = self.position.segment
        if number == self._scan.newest or not self._scan.is_complete(number):
            return False
        later = [n for n in (*self._scan.older, *self._open, self._scan.highest) if n > number]
        if number in self._scan.older and number > self._given_up:
            self.rescan()  # it was there when we looked: it may not be readable yet, or it went in between
            if number in self._scan.older:
                return False
        if self._pin:
            msg = "The log was rotated away before it could be read."
            raise LogGone(msg)
        self.lost_segments += min(later) - number
        self.position = Position(min(later), 0)
        self.rescan()
        return True

    def _bound_pins(self) -> None:
        while len(self._open) > 1 and self._pins_too_much():
            oldest = min(self._open)
            self._given_up = oldest
            os.close(self._open.pop(oldest).fd)

    def _pins_too_much(self) -> bool:
        """Past the cap; or the disk is nearly full and the oldest segment takes space only because of us."""
        if sum(held.size for held in self._open.values()) > self._pin_limit_bytes:
            return True
        oldest = os.fstat(self._open[min(self._open)].fd)
        space = os.fstatvfs(self._open[max(self._open)].fd)
        return oldest.st_nlink == 0 and space.f_bavail * space.f_frsize < TIGHT_DISK_BYTES

    def _check_start(self) -> None:
        held = self._open.get(self.position.segment) or self._hold(self.position.segment)
        if held is None:
            return
        offset = self.position.offset
        at_line = offset == 0 or os.pread(held.fd, 1, offset - 1) == b"\n"
        if not at_line:
            self.position = Position(self.position.segment, 0)
            self.was_reset = True

    def _size(self, number: int) -> int:
        held = self._open.get(number)
        return held.size if held else self._folder.size_of(number, newest=self._scan.newest)

    def _close_before(self, number: int) -> None:
        for old in [n for n in self._open if n < number]:
            os.close(self._open.pop(old).fd)
