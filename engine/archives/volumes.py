"""Backing up and restoring volumes. Owners are the container's own numbers, as the volume keeps them (ADR 10, 13)."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import secrets
from typing import TYPE_CHECKING

from engine.archives import files as archives
from engine.archives.pack import Packed, pack
from engine.archives.unpack import Unpacked, Unpacker
from engine.errors import ArchiveRejected, Cancelled, LayerRejected, StoreError, StoreFull
from engine.kernel import files
from engine.layers.inflate import Source, inflate
from engine.layers.reader import TarReader
from engine.store.space import ensure_room
from engine.volumes import fill, places
from engine.volumes.copy import copy_attributes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine.config import EngineConfig

logger = logging.getLogger(__name__)
_ROOM_EVERY_BYTES = 16 << 20
_BUFFER_BYTES = 1 << 20
_OF_LAYERS = "The layer's archive is refused: "
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def backup_volume(
    config: EngineConfig,
    name: str,
    key: str,
    *,
    on_bytes: Callable[[int], None],
    cancelled: Callable[[], bool],
) -> Packed:
    """Write a volume as a tar to `transfers/<key>`, for the unprivileged user to send. Containers may go on writing.

    Idempotent: a file of that name is replaced. Takes no lock; a volume that is removed meanwhile makes it fail.

    Raises:
        ArchiveRejected: there is more in the volume than an archive may hold, or names that nothing could unpack.
        StoreFull: the reserve of the disk would be touched.
        StoreError: the volume cannot be read or the file not be written.
        Cancelled: `cancelled` said so. After each of them there is no such file.
    """
    data = places.ensure_volume(config, name)
    with archives.new_archive(config, key) as fd, _told(name):
        out = _Out(config, fd, on_bytes, cancelled)
        top = os.open(data, _FOLDER)
        try:
            packed = pack(top, out.write, config.limits)
        finally:
            os.close(top)
        out.flush()
    return packed


def restore_volume(
    config: EngineConfig,
    name: str,
    key: str,
    *,
    on_bytes: Callable[[int], None],
    cancelled: Callable[[], bool],
) -> Unpacked:
    """Replace everything in a volume by the tar `transfers/<key>`, plain or compressed (gzip, zstd).

    The whole archive is read and unpacked beside `_data` and is on the disk before the two change places in one step. Up to
    then every error, and a crash, leaves the volume as it was. The caller sees to it that no container has the volume.

    Raises:
        NotStored, StoreError: there is no such archive, or the disk refuses.
        ArchiveRejected: broken, cut off, ambiguous, hostile or beyond a limit.
        StoreFull: no space, or the reserve would be touched.
        Cancelled: `cancelled` said so.
    """
    data = places.ensure_volume(config, name)
    fresh = data.with_name(places.RESTORED)
    with places.lock(config, name), _told(name):
        fill.finish(config, name)
        files.remove_tree(fresh)
        try:
            with archives.opened_archive(config, key) as fd:
                source = Source(archives.chunks(fd), on_bytes, lambda: _refuse_cancelled(cancelled))
                unpacked = _unpack_beside(config, data, fresh, source, cancelled)
            files.exchange(fresh, data)
            files.sync_folder(data.parent)
        finally:
            _remove(fresh)
    return unpacked


def sweep_restored(config: EngineConfig) -> None:
    """What a crash left beside a volume's data becomes a removed volume, which the sweep of those takes away."""
    for path in config.volumes.glob(f"*/{places.RESTORED}"):
        lock = places.lock(config, path.parent.name)
        if lock.acquire(timeout_s=0):
            try:
                with contextlib.suppress(FileNotFoundError):
                    path.rename(config.volumes / f"{places.REMOVED}{secrets.token_hex(16)}")
            finally:
                lock.release()


def _unpack_beside(
    config: EngineConfig, data: Path, fresh: Path, source: Source, cancelled: Callable[[], bool]
) -> Unpacked:
    def check() -> None:
        _refuse_cancelled(cancelled)
        ensure_room(config, 0, "restoring the volume")

    fresh.mkdir(mode=0o700)
    top, before = os.open(fresh, _FOLDER), os.open(data, _FOLDER)
    try:
        copy_attributes(before, top)  # those of the root folder, where the archive has no entry for it
        reader = TarReader(inflate(source, limit_bytes=_stream_limit(config)))
        unpacked = Unpacker(top, config.limits, check).run(reader)
    finally:
        os.close(top)
        os.close(before)
    check()
    files.sync_file_system(fresh)
    return unpacked


def _stream_limit(config: EngineConfig) -> int:
    """Content, and a header or four for each entry."""
    return config.limits.archive_bytes + 2048 * config.limits.archive_entries


def _remove(fresh: Path) -> None:
    try:
        files.remove_tree(fresh)
    except OSError:
        logger.exception("what is left of a restored volume, %s, could not be removed", fresh)


def _refuse_cancelled(cancelled: Callable[[], bool]) -> None:
    if cancelled():
        msg = "It was cancelled; the volume is as it was."
        raise Cancelled(msg)


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    """Errors of the reader and of the disk in our own words."""
    try:
        yield
    except LayerRejected as error:
        why, at, place = str(error).removeprefix(_OF_LAYERS).removesuffix(".").removesuffix("')").partition(" (at '")
        where = f" (at '{place}')" if at else ""
        msg = f"The archive is refused: {why}{where}."
        raise ArchiveRejected(msg, subject=name) from error
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            msg = f"The disk is full: the work on the volume {name} was undone."
            raise StoreFull(msg, subject=name) from error
        msg = f"The disk refused the work on the volume {name}, and it was undone: {error.strerror or error}."
        raise StoreError(msg, subject=name) from error


class _Out:
    """The archive's file: small pieces are gathered; room, cancelling and progress are looked at every 16 MiB."""

    def __init__(
        self, config: EngineConfig, fd: int, on_bytes: Callable[[int], None], cancelled: Callable[[], bool]
    ) -> None:
        self._config = config
        self._fd = fd
        self._on_bytes = on_bytes
        self._cancelled = cancelled
        self._pending = bytearray()
        self._written = self._looked_at = 0
        self._look()

    def write(self, piece: bytes) -> None:
        self._pending += piece
        if len(self._pending) >= _BUFFER_BYTES:
            self.flush()

    def flush(self) -> None:
        view = memoryview(self._pending)
        while view:
            view = view[os.write(self._fd, view) :]
        self._written += len(self._pending)
        self._pending = bytearray()
        if self._written - self._looked_at >= _ROOM_EVERY_BYTES:
            self._look()

    def _look(self) -> None:
        self._looked_at = self._written
        _refuse_cancelled(self._cancelled)
        ensure_room(self._config, 0, "the backup")
        self._on_bytes(self._written)
