r"""conmon's log format, pure.

One line of the file is one record: `2026-11-23T20:39:59.256269028+00:00 stdout F text\n`. The first 45 bytes have a
fixed width. `F` (full) means that the stream had a newline after the text, `P` (partial) that it had none, so
F → text + newline, P → text, in order, is an exact copy of the stream: carriage returns, invalid UTF-8 and NUL
included. A newline byte never occurs inside a record's text. A TTY has one stream, called stdout.

A position is a segment's number and an offset in it, always at the start of a line. Segment numbers only grow: the
file `ctr.log` is the newest segment, `ctr.log.<number>` an older one (rotation.py).

Speed matters here: everything that any container prints passes through `parse`. The fast path splits a block once
and compares a set of tags; one pass of interpreted code per line is two slices.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import NamedTuple, Protocol

PREFIX_BYTES = 45
TIME_BYTES = 35
STDOUT, STDERR = 1, 2
_TAGS = {b" stdout F ": (1, b"\n"), b" stdout P ": (1, b""), b" stderr F ": (2, b"\n"), b" stderr P ": (2, b"")}
_POSITION = re.compile(r"([1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,17})\Z")
_SECONDS = 19
_FRACTION = slice(20, 29)


class Position(NamedTuple):
    """The start of a line. Written `3.4096`. Positions of one container compare in the order of its output."""

    segment: int
    offset: int

    def __str__(self) -> str:
        return f"{self.segment}.{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """Raises ValueError for anything but `<segment>.<offset>`."""
        match = _POSITION.match(text)
        if match is None:
            msg = "a position is <segment>.<offset>"
            raise ValueError(msg)
        return cls(int(match[1]), int(match[2]))


@dataclass(frozen=True, slots=True)
class Chunk:
    """Output of one stream, and the position after it."""

    stream: int
    payload: bytes
    after: Position
    time_ns: int


class Parser(Protocol):
    """`parse`, or something that prints the same lines otherwise."""

    def __call__(self, raw: bytes, *, segment: int, offset: int) -> list[Chunk]: ...


def time_ns(line: bytes) -> int:
    """Nanoseconds since the epoch of a well-formed line; 0 when its time cannot be read."""
    try:
        seconds = datetime.fromisoformat((line[:_SECONDS] + line[_FRACTION.stop : TIME_BYTES]).decode("ascii"))
        return int(seconds.timestamp()) * 1_000_000_000 + int(line[_FRACTION])
    except ValueError:
        return 0


def parse(raw: bytes, *, segment: int, offset: int) -> list[Chunk]:
    """Whole lines (the last one ended by a newline) that start at `offset` of a segment.

    Neighbouring lines of one stream become one chunk. A line that is not a record (a write cut short by a full disk)
    is left out; positions still count it.
    """
    lines = raw.split(b"\n")
    lines.pop()
    if not lines:
        return []
    tags = {line[35:45] for line in lines}
    if len(tags) == 1 and (tag := tags.pop()) in _TAGS:
        stream, end = _TAGS[tag]
        payload = end.join([line[45:] for line in lines]) + end
        return [Chunk(stream, payload, Position(segment, offset + len(raw)), time_ns(lines[0]))]
    return _parse_mixed(lines, segment=segment, offset=offset)


def _parse_mixed(lines: list[bytes], *, segment: int, offset: int) -> list[Chunk]:
    chunks = []
    for stream, group in groupby(lines, _stream):
        own = list(group)
        offset += sum(map(len, own)) + len(own)
        if stream:
            payload = b"".join([line[45:] + _TAGS[line[35:45]][1] for line in own])
            chunks.append(Chunk(stream, payload, Position(segment, offset), time_ns(own[0])))
        elif chunks:
            last = chunks.pop()
            chunks.append(Chunk(last.stream, last.payload, Position(segment, offset), last.time_ns))
    return chunks


def _stream(line: bytes) -> int:
    return _TAGS.get(line[35:45], (0, b""))[0]


class TimesInFront:
    """Parses with each line's time in front of it, as `docker logs -t` prints it. Keeps the line each stream is in."""

    def __init__(self) -> None:
        self._is_inside = {STDOUT: False, STDERR: False}

    def __call__(self, raw: bytes, *, segment: int, offset: int) -> list[Chunk]:
        chunks: list[Chunk] = []
        for line in raw.split(b"\n")[:-1]:
            offset += len(line) + 1
            stream, end = _TAGS.get(line[35:45], (0, b""))
            if not stream:
                continue
            moment = time_ns(line)
            text = line[PREFIX_BYTES:] + end
            if not self._is_inside[stream]:
                text = docker_time(moment) + b" " + text
            self._is_inside[stream] = not end
            if chunks and chunks[-1].stream == stream:
                last = chunks.pop()
                chunks.append(Chunk(stream, last.payload + text, Position(segment, offset), last.time_ns))
            else:
                chunks.append(Chunk(stream, text, Position(segment, offset), moment))
        return chunks


def docker_time(moment_ns: int) -> bytes:
    seconds, rest = divmod(moment_ns, 1_000_000_000)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode() + b".%09dZ" % rest


def cut_before(raw: bytes, until_ns: int) -> int:
    """The offset of the first line written at or after `until_ns`; the length of `raw` when there is none."""
    last = raw.rfind(b"\n", 0, len(raw) - 1) + 1
    if time_ns(raw[last : last + PREFIX_BYTES]) < until_ns:
        return len(raw)
    start = 0
    while start < len(raw) and time_ns(raw[start : start + PREFIX_BYTES]) < until_ns:
        start = raw.index(b"\n", start) + 1
    return start


def salvage(raw: bytes, *, segment: int, offset: int) -> list[Chunk]:
    """What can be told of a last line that never got its newline: its text as a partial record."""
    if raw[35:45] not in _TAGS:
        return []
    stream = _stream(raw)
    return (
        [Chunk(stream, raw[45:], Position(segment, offset + len(raw)), time_ns(raw))] if len(raw) > PREFIX_BYTES else []
    )
