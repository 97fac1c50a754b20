"""tar2sqfs at the end of the pipe: from our canonical tar to a squashfs file, unprivileged and within limits."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from typing import TYPE_CHECKING, Self

from engine.errors import LayerRejected, RuntimeFailed, StoreError, StoreFull
from engine.kernel.process import Process, ProcessFailed, Rlimits
from engine.layers.canonical import END

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

PROGRAM = "tar2sqfs"
CPU_LIMIT_S = 1800
MEMORY_LIMIT_BYTES = 4 * 1024**3
_EXTRA_FILE_BYTES = 256 * 1024**2
_OPEN_FILES = 64
_OPTIONS = ("-q", "-s", "-j", "1", "-Q", "100", "-c", "lz4", "-f")
_IO_ERROR = "I/O error"
_OVERFLOW = "storing filesystem tree: numeric overflow"
_NO_MEMORY = "out of memory"
_FLUSH_BYTES = 512 * 1024
_FLUSH_PIECES = 512
_PIPE_BYTES = 1024 * 1024


class SquashfsWriter:
    """Feeds one tar2sqfs. Leaving its `with` block without `finish()` kills it and removes what it wrote.

    One compressing thread: other layers are written by other processes at the same time. A longer queue before it than
    the default 10 blocks spares a fifth of the time, which would go into waking each other. `owner` has the folders that
    the archive only implies.
    """

    def __init__(self, path: Path, *, limit_bytes: int, owner: int = 0) -> None:
        self._path = path
        self._finished = False
        self._pieces: list[bytes | memoryview] = []
        self._pending = 0
        self._fed_bytes = 0
        self._process = Process(
            [PROGRAM, *_OPTIONS, *(("-d", f"uid={owner},gid={owner}") if owner else ()), str(path)],
            stdin="pipe",
            rlimits=Rlimits(
                cpu_s=CPU_LIMIT_S,
                address_space_bytes=MEMORY_LIMIT_BYTES,
                file_bytes=limit_bytes + _EXTRA_FILE_BYTES,
                open_files=_OPEN_FILES,
            ),
        )
        self._stdin = self._process.stdin.fileno()
        _widen(self._stdin)

    def write(self, piece: bytes | memoryview) -> None:
        """Take a piece of the tar; it may be kept until the next flush.

        Raises:
            StoreFull, StoreError, LayerRejected: tar2sqfs gave up.
        """
        self._pieces.append(piece)
        self._pending += len(piece)
        if self._pending >= _FLUSH_BYTES or len(self._pieces) >= _FLUSH_PIECES:
            self._flush()

    def finish(self) -> None:
        """End the tar and wait for the file, which is not synced yet.

        Raises:
            StoreFull, StoreError, LayerRejected: tar2sqfs gave up; the file is removed.
        """
        self.write(END)
        self._flush()
        self._process.stdin.close()
        try:
            self._process.check(CPU_LIMIT_S)
        except ProcessFailed as error:
            raise self._failure() from error
        self._finished = True

    def _flush(self) -> None:
        pieces, self._fed_bytes = self._pieces, self._fed_bytes + self._pending
        self._pieces, self._pending = [], 0
        try:
            while pieces:
                written = os.writev(self._stdin, pieces)
                pieces = _after(pieces, written)
        except BrokenPipeError as error:
            self._process.wait(CPU_LIMIT_S)
            raise self._failure() from error

    def _failure(self) -> StoreError | LayerRejected | RuntimeFailed:
        status, said = self._process.poll(), self._process.stderr_tail().strip()
        if self._is_disk_full(said):
            return StoreFull("The disk is full: the layer could not be written.")
        if status in {-signal.SIGXCPU, -signal.SIGKILL} or _NO_MEMORY in said:
            return LayerRejected("Writing the layer took more time or memory than a layer may.")
        if status == -signal.SIGXFSZ or os.strerror(errno.EFBIG) in said:
            return LayerRejected("The layer is larger than a layer may be.")
        if _OVERFLOW in said:
            return LayerRejected("The layer has more owners and groups than a layer file can hold (65,536).")
        return StoreError(f"The layer could not be written (tar2sqfs ended with {status}): {said}")

    def _is_disk_full(self, said: str) -> bool:
        """tar2sqfs calls a full disk "I/O error" and takes its file away: would all of it have fitted?"""
        if os.strerror(errno.ENOSPC) in said or os.strerror(errno.EDQUOT) in said:
            return True
        if _IO_ERROR not in said:
            return False
        state = os.statvfs(self._path.parent)
        return state.f_bavail * state.f_frsize < self._fed_bytes

    def __enter__(self) -> Self:
        self._process.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._finished:
            self._process.kill()
        self._process.__exit__(kind, error, trace)
        if not self._finished:
            self._path.unlink(missing_ok=True)


def _after(pieces: list[bytes | memoryview], written: int) -> list[bytes | memoryview]:
    """What is left of `pieces` when so many bytes of them are gone."""
    for index, piece in enumerate(pieces):
        if written < len(piece):
            return [memoryview(piece)[written:], *pieces[index + 1 :]]
        written -= len(piece)
    return []


def _widen(pipe: int) -> None:
    try:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    except PermissionError:  # the user's share of pipe memory is used up: slower, not wrong
        return
