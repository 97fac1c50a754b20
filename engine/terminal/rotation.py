"""Rotating a container's log; engine side, root.

Theory. conmon's reopen (`2 0 0` on its control fifo) creates `ctr.log.tmp`, truncating one that is there, and renames
it to `ctr.log`. It exits, and takes the container with it, when it cannot create that file. So we keep an empty
`ctr.log.tmp` of the right owner and mode in place at all times: the new log is readable for the web process from its
first byte, conmon needs no new inode on a full disk, and a rotation of its own would come out right too (it has none:
`engine.runtime.conmon` says why).

Steps, each safe to be the last: make `ctr.log.tmp`; rename `ctr.log` to `ctr.log.<number>`; ask conmon; wait for the new
`ctr.log`; make the next `ctr.log.tmp`; delete what is too old. While conmon has not reopened it goes on writing to
the renamed file, and tails go on reading it. An interrupted rotation (no `ctr.log`) is finished by the next call.
conmon must never be asked twice for one rotation: the second reopening would throw away what it wrote after the first.
So it is asked again only when its fifo is empty, that is, when it has read the first asking and nothing came of it.

Numbers must only grow, so at least one older segment always stays. Segments younger than 3 s stay too, up to a cap:
a reader has that long to hear of a segment and to open it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import WrongState
from engine.terminal import resize, segments
from engine.terminal.tail import PIN_LIMIT_BYTES, TIGHT_DISK_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from engine.config import Limits

NEXT_NAME = f"{segments.NAME}.tmp"
MODE = 0o640
REOPEN_ASK = b"2 0 0\n"
REOPEN_WAIT_S = 1.0
BUSY_WAIT_S = 5.0
FIONREAD = 0x541B  # unread bytes of a pipe, from either end; pipe(7)
REOPEN_ATTEMPTS = 3
YOUNG_S = 3.0
YOUNG_SEGMENTS = 8
FULL_BELOW_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class LogState:
    """`is_full`: the disk takes no more, so output is being lost (F34)."""

    was_rotated: bool
    is_full: bool


def prepare(io: Path, size: resize.Size, *, uid: int, gid: int) -> None:
    """Before conmon starts: `ctr.log`, `ctr.log.tmp` and `resizes` with their owners, so that viewers may open at once.

    A log of an earlier start is kept; conmon appends to it. `ctr.log` comes last: viewers wait for it.
    """
    resize.create(io, size, uid=uid, gid=gid)
    for name in (NEXT_NAME, segments.NAME):
        _make(io / name, gid)


def rotate(io: Path, limits: Limits, *, gid: int, force: bool = False, keep_from: int | None = None) -> LogState:
    """Rotate when the newest segment is larger than `limits.log_segment_bytes`; repair what was left half done.

    Call it about once a second for each running container. Never raises for a container that has just ended. Segments
    from `keep_from` on stay, within the limits of what a tail may hold open.
    """
    is_full = disk_is_full(io)
    _repair(io, gid, may_create=not is_full)
    try:
        size = (io / segments.NAME).stat().st_size
    except FileNotFoundError:
        size = 0
        force = True  # an earlier rotation got as far as the rename
    was_rotated = False
    if force or size >= limits.log_segment_bytes:
        was_rotated = _rotate(io, gid)
    _delete_old(io, limits, keep_from)
    return LogState(was_rotated, is_full)


def disk_is_full(io: Path) -> bool:
    space = os.statvfs(io)
    return space.f_bfree * space.f_frsize < FULL_BELOW_BYTES


def _rotate(io: Path, gid: int) -> bool:
    if not (io / NEXT_NAME).exists():  # conmon would have to create it, and dies if it cannot
        return False
    newest = io / segments.NAME
    if newest.exists():
        number = max(_older(io), default=0) + 1
        if not _conmon_listens(io):
            return False
        newest.rename(io / f"{segments.NAME}.{number}")
    for _ in range(REOPEN_ATTEMPTS):
        try:
            if not _unread_bytes(io):
                resize.control(io, REOPEN_ASK)
        except (WrongState, OSError):
            return False
        if _appears(io, newest):
            _repair(io, gid, may_create=True)
            return True
    return False


def _conmon_listens(io: Path) -> bool:
    try:
        fd = os.open(io / resize.CONTROL, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    os.close(fd)
    return True


def _unread_bytes(io: Path) -> int:
    """How much of what conmon was told it has not read yet."""
    fd = os.open(io / resize.CONTROL, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        unread: int = struct.unpack("i", fcntl.ioctl(fd, FIONREAD, b"\0" * 4))[0]
    finally:
        os.close(fd)
    return unread


def _appears(io: Path, path: Path) -> bool:
    """Wait for the new log: as long as conmon has not read the asking (up to `BUSY_WAIT_S`), and a moment more."""
    last = time.monotonic() + BUSY_WAIT_S
    deadline = time.monotonic() + REOPEN_WAIT_S
    while not path.exists():
        now = time.monotonic()
        if now >= last:
            return False
        try:
            if _unread_bytes(io):
                deadline = now + REOPEN_WAIT_S
        except OSError:  # it has ended
            return path.exists()
        if now >= deadline:
            return False
        time.sleep(0.002)
    return True


def _repair(io: Path, gid: int, *, may_create: bool) -> None:
    """The newest segment readable for the group, and the next one in place."""
    with contextlib.suppress(FileNotFoundError):
        _give(io / segments.NAME, gid)
    if may_create or not (io / NEXT_NAME).exists():
        with contextlib.suppress(OSError):
            _make(io / NEXT_NAME, gid)


def _make(path: Path, gid: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    os.close(fd)
    _give(path, gid)


def _give(path: Path, gid: int) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        found = os.fstat(fd)
        if found.st_gid != gid:
            os.fchown(fd, -1, gid)
        if found.st_mode & 0o777 != MODE:
            os.fchmod(fd, MODE)
    finally:
        os.close(fd)


def _has_room(io: Path, older: list[int]) -> bool:
    """The same limits as of what tails hold open."""
    space = os.statvfs(io)
    total = sum((io / f"{segments.NAME}.{number}").stat().st_size for number in older)
    return total < PIN_LIMIT_BYTES and space.f_bavail * space.f_frsize > TIGHT_DISK_BYTES


def _older(io: Path) -> list[int]:
    return sorted(n for path in io.iterdir() if (n := segments.number_of(path.name)) is not None)


def _delete_old(io: Path, limits: Limits, keep_from: int | None) -> None:
    older = _older(io)
    kept = max(1, limits.log_segments - 1)
    too_old = older[:-kept] if len(older) > kept else []
    if keep_from is not None and _has_room(io, older):
        too_old = [number for number in too_old if number < keep_from]
    for place, number in enumerate(too_old):
        path = io / f"{segments.NAME}.{number}"
        is_young = time.time() - path.stat().st_mtime < YOUNG_S
        if not is_young or len(older) - place > max(YOUNG_SEGMENTS, kept):
            path.unlink(missing_ok=True)
