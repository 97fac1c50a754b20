r"""Sizes of a container's terminal: asking conmon for one, and remembering when each was in force.

conmon up to 2.1.13 reads its control fifo in blocks and, of several lines that arrive together, applies the first one
again and again (runtime.md 2). So at most one line is written per 100 ms and container, and the final size once more,
alone, 150 ms later. The interval holds between processes too, for rotation's lines as well: `io/resizes` is locked
around each write, and its modification time says when the last one was (`control`).

`io/resizes` has a record of 30 bytes for each size that was written: `<time ns, 19> <rows, 4> <columns, 4>\n`. A
replay shows each part of the log at the width it was written for. It is bounded: past 256 KiB the older half goes. The
engine makes the file (root:group, 0660), because the web process may not create files in `io/`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from typing import TYPE_CHECKING, NamedTuple

from engine.errors import WrongState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "resizes"
CONTROL = "ctl"
INTERVAL_S = 0.1
REPEAT_S = 0.15
SIZE_LIMIT = 1000
RECORD_BYTES = 30
LIMIT_BYTES = 256 * 1024
_NS = 1_000_000_000


class Size(NamedTuple):
    rows: int
    columns: int

    @classmethod
    def clamped(cls, rows: int, columns: int) -> Size:
        return cls(max(1, min(SIZE_LIMIT, rows)), max(1, min(SIZE_LIMIT, columns)))


class Resized(NamedTuple):
    """A size, in force from `time_ns` on."""

    time_ns: int
    size: Size


def encode(resized: Resized) -> bytes:
    return b"%019d %4d %4d\n" % (resized.time_ns, *resized.size)


def decode(data: bytes) -> list[Resized]:
    """Records in order; broken ones are left out."""
    found = []
    for line in data.split(b"\n"):
        with contextlib.suppress(ValueError):
            time_ns, rows, columns = map(int, line.split())
            found.append(Resized(time_ns, Size.clamped(rows, columns)))
    return found


def create(io: Path, size: Size, *, uid: int, gid: int) -> None:
    """Make `io/resizes` with the size a container starts with; further starts append to it (engine side, root)."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(io / NAME, flags, 0o600)
    try:
        os.write(fd, encode(Resized(time.time_ns(), size)))
        os.fchown(fd, uid, gid)
        os.fchmod(fd, 0o660)
    finally:
        os.close(fd)


def history(io: Path) -> list[Resized]:
    """All sizes that are still known; empty when there is no such file."""
    with contextlib.suppress(FileNotFoundError, PermissionError), _locked(io, os.O_RDONLY, fcntl.LOCK_SH) as fd:
        return decode(os.pread(fd, 2 * LIMIT_BYTES, 0))
    return []


def current(io: Path) -> Size | None:
    with contextlib.suppress(FileNotFoundError, PermissionError), _locked(io, os.O_RDONLY, fcntl.LOCK_SH) as fd:
        last = _last(fd)
        return last.size if last else None
    return None


@contextlib.contextmanager
def _locked(io: Path, flags: int, lock: int) -> Iterator[int]:
    fd = os.open(io / NAME, flags | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, lock)
        yield fd
    finally:
        os.close(fd)


def _last(fd: int) -> Resized | None:
    size = os.fstat(fd).st_size
    found = decode(os.pread(fd, RECORD_BYTES, max(0, size - RECORD_BYTES)))
    return found[-1] if found else None


def _append(fd: int, resized: Resized) -> None:
    if os.fstat(fd).st_size >= LIMIT_BYTES:
        kept = os.pread(fd, LIMIT_BYTES, LIMIT_BYTES // 2 // RECORD_BYTES * RECORD_BYTES)
        os.ftruncate(fd, 0)
        os.pwrite(fd, kept, 0)
    os.pwrite(fd, encode(resized), os.fstat(fd).st_size)


class Resizer:
    """Coalesces the sizes asked for; the last one wins. Pure in time: the caller brings the clock and calls `step`.

    `ask` and `step` return when to call `step` again (seconds from now; None: nothing is due).
    """

    def __init__(self, io: Path) -> None:
        self._io = io
        self._pending: list[Size] = []
        self._wanted: Size | None = None
        self._repeat_at: float | None = None
        self._repeat: Size | None = None
        self._next_at = 0.0

    def ask(self, size: Size, now_s: float, *, keep_pending: bool = False) -> float | None:
        """`keep_pending` writes what was asked before as well (a nudge: one size, then another)."""
        if not keep_pending:
            self._pending.clear()
        self._pending.append(size)
        return self.step(now_s)

    def step(self, now_s: float) -> float | None:
        """Write what is due.

        Raises:
            WrongState: the container does not run; nothing stays pending.
        """
        if self._pending and now_s >= self._next_at:
            wait_s = self._write(self._pending[0])
            if wait_s:
                self._next_at = now_s + wait_s
            else:
                self._repeat = self._pending.pop(0)
                self._next_at, self._repeat_at = now_s + INTERVAL_S, now_s + REPEAT_S
        elif not self._pending and self._repeat and self._repeat_at is not None and now_s >= self._repeat_at:
            wait_s = self._write(self._repeat, is_repeat=True)
            self._repeat_at = now_s + wait_s if wait_s else None
            self._next_at = now_s + (wait_s or INTERVAL_S)
        return self._due_in(now_s)

    def _due_in(self, now_s: float) -> float | None:
        if self._pending:
            return max(0.0, self._next_at - now_s)
        return max(0.0, self._repeat_at - now_s) if self._repeat_at is not None else None

    def _write(self, size: Size, *, is_repeat: bool = False) -> float:
        """0.0 when written; otherwise how long to wait because somebody else has just written one."""
        try:
            return self._write_locked(size, is_repeat=is_repeat)
        except (FileNotFoundError, WrongState) as error:
            self._pending.clear()
            self._repeat_at = None
            msg = "The container is not running."
            raise WrongState(msg) from error

    def _write_locked(self, size: Size, *, is_repeat: bool) -> float:
        with _locked(self._io, os.O_RDWR, fcntl.LOCK_EX) as fd:
            last = _last(fd)
            if is_repeat and last is not None and last.size != size:
                return 0.0  # another viewer has set another size since: the last one wins
            wait_s = _must_wait_s(fd)
            if wait_s:
                return wait_s
            _write_line(self._io, b"1 %d %d\n" % size)
            if is_repeat:
                os.utime(fd)
            else:
                _append(fd, Resized(time.time_ns(), size))
            return 0.0


def control(io: Path, line: bytes, *, timeout_s: float = 2.0) -> None:
    """Write a line to conmon's control fifo with nothing else within 100 ms before; waits its turn (engine side).

    Raises:
        WrongState: conmon does not run.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        with _locked(io, os.O_RDWR, fcntl.LOCK_EX) as fd:
            wait_s = _must_wait_s(fd)
            if not wait_s or time.monotonic() >= deadline:
                _write_line(io, line)
                os.utime(fd)
                return
        time.sleep(wait_s)


def _must_wait_s(fd: int) -> float:
    since_ns = time.time_ns() - os.fstat(fd).st_mtime_ns
    return INTERVAL_S - since_ns / _NS if 0 <= since_ns < INTERVAL_S * _NS else 0.0


def _write_line(io: Path, line: bytes) -> None:
    """Never waits. Raises WrongState when nobody reads the fifo."""
    try:
        fd = os.open(io / CONTROL, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno not in {errno.ENOENT, errno.ENXIO}:
            raise
        msg = "The container is not running."
        raise WrongState(msg) from error
    try:
        with contextlib.suppress(BlockingIOError):
            os.write(fd, line)
    finally:
        os.close(fd)
