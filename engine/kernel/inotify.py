"""Being told when files change. Source: inotify(7)."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from enum import IntFlag
from typing import TYPE_CHECKING, Self

from engine.kernel.libc import LIBRARY, checked

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

_HEADER = struct.Struct("iIII")
_READ_BYTES = 64 * 1024


class Mask(IntFlag):
    MODIFY = 0x2
    ATTRIB = 0x4
    CLOSE_WRITE = 0x8
    MOVED_FROM = 0x40
    MOVED_TO = 0x80
    CREATE = 0x100
    DELETE = 0x200
    DELETE_SELF = 0x400
    MOVE_SELF = 0x800
    OVERFLOW = 0x4000
    IGNORED = 0x8000
    ONLYDIR = 0x1000000


@dataclass(frozen=True, slots=True)
class Event:
    watch: int
    mask: Mask
    name: str


class Inotify:
    """Watches of one reader. Non-blocking; `fileno` is for selectors and event loops."""

    def __init__(self) -> None:
        self._fd = checked("inotify_init1", LIBRARY.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def fileno(self) -> int:
        return self._fd

    def add(self, path: Path, mask: Mask) -> int:
        """Watch a file or folder; the number stands in its events. Adding it again changes the mask."""
        return checked(f"inotify {path}", LIBRARY.inotify_add_watch(self._fd, os.fsencode(path), int(mask)))

    def remove(self, watch: int) -> None:
        LIBRARY.inotify_rm_watch(self._fd, watch)

    def drain(self) -> list[Event]:
        """All events that are there, without waiting. OVERFLOW among them: some were lost, look at everything."""
        events: list[Event] = []
        while True:
            try:
                data = os.read(self._fd, _READ_BYTES)
            except BlockingIOError:
                return events
            events += _parse(data)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _parse(data: bytes) -> list[Event]:
    events, at = [], 0
    while at < len(data):
        watch, mask, _, length = _HEADER.unpack_from(data, at)
        name = data[at + _HEADER.size : at + _HEADER.size + length].rstrip(b"\0")
        events.append(Event(watch, Mask(mask), os.fsdecode(name)))
        at += _HEADER.size + length
    return events
