"""Unfinished downloads: `ingest/<digest>`, one at a time by lock, resumable, trusted only after they were hashed again.

The file is never synced: after a power cut its bytes may be anything, and the hash decides what they are worth (F03).
A lock ends with its holder, so a killed worker blocks nobody (F30).
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Self

from engine.errors import Cancelled
from engine.kernel import files
from engine.store.space import ensure_room, store_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine.config import EngineConfig
    from engine.digest import Digest

CHUNK_BYTES = 1024 * 1024
LOCK_POLL_S = 0.25
ROOM_EVERY_BYTES = 32 * 1024 * 1024
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class Ingest:
    """One download, locked while the `with` block runs. `size_bytes` says how much of it is there and hashed.

    Args:
        expected_bytes: what the descriptor promises; more is never kept.
        cancelled: asked while another worker holds the lock.
    """

    def __init__(
        self, config: EngineConfig, digest: Digest, expected_bytes: int, cancelled: Callable[[], bool]
    ) -> None:
        self.digest = digest
        self.size_bytes = 0
        self._config = config
        self._expected_bytes = expected_bytes
        self._cancelled = cancelled
        self._path = config.ingest / digest
        self._lock = files.FileLock(self._path)
        self._hash = digest.hasher()
        self._fd = -1
        self._checked_bytes = 0

    def __enter__(self) -> Self:
        try:
            files.ensure_folder(self._path.parent, 0o750, uid=self._config.uid, gid=self._config.gid)
            self._acquire()
            self._fd = os.open(self._path, _FLAGS, 0o640)
            os.fchown(self._fd, self._config.uid, self._config.gid)
            os.fchmod(self._fd, 0o640)
            self._rehash()
        except OSError as error:
            self.__exit__()
            raise store_error(error, f"download {self.digest.short}") from error
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._lock.release()

    def _acquire(self) -> None:
        while not self._lock.acquire(timeout_s=0):
            if self._cancelled():
                msg = "The download was cancelled."
                raise Cancelled(msg, subject=self.digest)
            time.sleep(LOCK_POLL_S)

    def _rehash(self) -> None:
        """Hash what an earlier attempt left. What is longer than promised cannot be the right bytes."""
        if os.fstat(self._fd).st_size > self._expected_bytes:
            self.restart()
            return
        for chunk in self.read():
            self._hash.update(chunk)
            self.size_bytes += len(chunk)
            if self._cancelled():
                msg = "The download was cancelled."
                raise Cancelled(msg, subject=self.digest)
        if self.size_bytes == self._expected_bytes and not self.is_right:
            self.restart()

    @property
    def is_complete(self) -> bool:
        return self.size_bytes == self._expected_bytes

    @property
    def is_right(self) -> bool:
        """Whether the bytes so far have the digest."""
        return self._hash.hexdigest() == self.digest.hex

    def restart(self) -> None:
        """Drop everything that is there."""
        os.ftruncate(self._fd, 0)
        self._hash = self.digest.hasher()
        self.size_bytes = self._checked_bytes = 0

    def append(self, chunk: bytes) -> None:
        """Keep and hash the next bytes.

        Raises:
            StoreFull: no space, or the reserve would be touched. What was there stays.
            StoreError: another failure of the disk.
        """
        if self.size_bytes - self._checked_bytes >= ROOM_EVERY_BYTES:
            ensure_room(self._config, 0, "the download")
            self._checked_bytes = self.size_bytes
        try:
            view = memoryview(chunk)
            while view:
                written = os.pwrite(self._fd, view, self.size_bytes + len(chunk) - len(view))
                view = view[written:]
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self.size_bytes)
            raise store_error(error, f"download {self.digest.short}") from error
        self._hash.update(chunk)
        self.size_bytes += len(chunk)

    def read(self) -> Iterator[bytes]:
        """All bytes that are there, from the first. Does not disturb `append`."""
        offset = 0
        while chunk := os.pread(self._fd, CHUNK_BYTES, offset):
            offset += len(chunk)
            yield chunk

    def remove(self) -> None:
        """Take the file away: it is not needed any more, or cannot be right."""
        self._path.unlink(missing_ok=True)


def stale(config: EngineConfig, *, older_than_s: float) -> list[Path]:
    """Downloads that nobody has touched for so long, also those that somebody works on."""
    found = []
    for path in config.ingest.iterdir() if config.ingest.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat(follow_symlinks=False).st_mtime >= older_than_s:
                found.append(path)
    return found


def remove_stale(config: EngineConfig, *, older_than_s: float) -> int:
    """Remove downloads that nobody has touched for so long and nobody is working on. Returns how many."""
    removed = 0
    for path in stale(config, older_than_s=older_than_s):
        with contextlib.suppress(FileNotFoundError):
            lock = files.FileLock(path)
            if not lock.acquire(timeout_s=0):
                continue
            try:
                path.unlink()
                removed += 1
            finally:
                lock.release()
    return removed
