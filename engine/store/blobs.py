"""Content-addressed blobs: `blobs/<algorithm>/<hex>`. Small ones only: manifests, indexes and configs.

A name always tells the truth: bytes get it by rename after they were hashed and synced, and are hashed again whenever
they are read, so that a damaged disk is noticed and the next pull repairs it (F37).
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from engine.digest import Digest
from engine.errors import DigestMismatch, NotStored
from engine.kernel import files
from engine.store.space import store_error

if TYPE_CHECKING:
    from pathlib import Path

    from engine.config import EngineConfig

FOLDER_MODE = 0o750
FILE_MODE = 0o640
LIMIT_BYTES = 4 * 1024 * 1024  # no document is larger (REG-08)


class BlobStore:
    """The blobs of one engine. Any number of processes may use it at once."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config

    def path(self, digest: Digest) -> Path:
        """Where the blob is, or would be."""
        return self._config.blobs / digest.algorithm / digest.hex

    def has(self, digest: Digest) -> bool:
        """Whether a file has that name; only `get` says whether it is whole."""
        return self.path(digest).is_file()

    def put(self, data: bytes, *, expected: Digest | None = None) -> Digest:
        """Store a blob and say what its digest is.

        Idempotent: whole bytes already stored are left alone, damaged ones replaced. Atomic: readers see all of it or
        none, also after a power cut (temporary file, fsync, rename, fsync of the folder).

        Raises:
            DigestMismatch: `data` is not what `expected` names; nothing was stored.
            StoreFull, StoreError: nothing was stored.
        """
        digest = expected or Digest.of(data)
        _check(digest, data)
        path = self.path(digest)
        try:
            if _is_whole(path, data):
                return digest
            self._ensure_folders(path.parent)
            files.write_atomic(path, data, mode=FILE_MODE, uid=self._config.uid, gid=self._config.gid)
        except OSError as error:
            raise store_error(error, f"blob {digest.short}") from error
        return digest

    def get(self, digest: Digest) -> bytes:
        """The blob's bytes, hashed again.

        Raises:
            NotStored: it is not there.
            DigestMismatch: its file is damaged. Pulling the image again repairs it.
        """
        try:
            data = _read(self.path(digest))
        except FileNotFoundError as error:
            msg = f"blob {digest.short} is not stored here."
            raise NotStored(msg, subject=digest) from error
        except OSError as error:
            msg = f"blob {digest.short} cannot be read: {error.strerror}. Pull the image again."
            raise DigestMismatch(msg, subject=digest) from error
        _check(digest, data)
        return data

    def remove(self, digest: Digest) -> None:
        """Forget a blob. Idempotent."""
        self.path(digest).unlink(missing_ok=True)

    def _ensure_folders(self, folder: Path) -> None:
        for path in (folder.parent, folder):
            files.ensure_folder(path, FOLDER_MODE, uid=self._config.uid, gid=self._config.gid)


def _read(path: Path) -> bytes:
    """A regular file of an allowed size. Root reads here too, and others can write here: no link, no FIFO, no device.

    Raises:
        OSError: what it is instead (EINVAL), or what the kernel says.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_size > LIMIT_BYTES:
            raise OSError(errno.EINVAL, "it is not a file of a blob's size", str(path))
        return file.read(LIMIT_BYTES + 1)


def _is_whole(path: Path, data: bytes) -> bool:
    try:
        return _read(path) == data
    except OSError:
        return False


def _check(digest: Digest, data: bytes) -> None:
    hasher = digest.hasher()
    hasher.update(data)
    if hasher.hexdigest() != digest.hex:
        msg = f"the bytes of blob {digest.short} do not have its digest. Pull the image again."
        raise DigestMismatch(msg, subject=digest)
