"""Reading a terminal's log together with the sizes that were in force while it was written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.terminal import resize

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.terminal.log import Chunk, Position
    from engine.terminal.resize import Resized, Size
    from engine.terminal.tail import LogTail


@dataclass(frozen=True, slots=True)
class Step:
    """What comes next: perhaps a new size, then output."""

    size: Size | None
    chunks: Sequence[Chunk]


class Replay:
    """From the tail's position up to `end`, where live output begins."""

    def __init__(self, io: Path, tail: LogTail, end: Position) -> None:
        self._tail = tail
        self._end = end
        self._sizes: list[Resized] = resize.history(io)
        self._said: Size | None = None

    def read(self, max_bytes: int) -> Step | None:
        """None when the end is reached and every size has been said; otherwise at most `max_bytes` of log."""
        if self._tail.position >= self._end:
            return self._last_size()
        size = self._size_at(self._tail.next_time_ns())
        until = self._sizes[0].time_ns if self._sizes else None
        chunks = self._tail.read(max_bytes, until=self._end, until_ns=until)
        if chunks or size is not None:
            return Step(size, chunks)
        return self._last_size() if until is None else Step(self._size_at(until), ())

    def _size_at(self, time_ns: int | None) -> Size | None:
        """The size in force at that time, if it is another than was said; those before it are passed over."""
        due = sum(1 for resized in self._sizes if time_ns is not None and resized.time_ns <= time_ns)
        if due == 0:
            return None
        size = self._sizes[due - 1].size
        del self._sizes[:due]
        if size == self._said:
            return None
        self._said = size
        return size

    def _last_size(self) -> Step | None:
        """Only the last of the sizes that no output followed."""
        size = self._size_at(self._sizes[-1].time_ns) if self._sizes else None
        return Step(size, ()) if size is not None else None
