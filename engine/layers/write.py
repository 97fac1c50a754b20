"""Write one layer: verify its diff ID and leave a squashfs file that is on the disk. The way into engine.layers."""

from __future__ import annotations

import errno
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from engine.errors import Cancelled, DigestMismatch, StoreError, StoreFull
from engine.layers.build import Replay, Survey, write_directories
from engine.layers.inflate import Source, inflate
from engine.layers.reader import TarReader
from engine.layers.squashfs import SquashfsWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine.config import Limits
    from engine.digest import DiffId
    from engine.ids import IdRange


class LayerSource(Protocol):
    def open(self) -> Iterator[bytes]:
        """The compressed bytes in order, in chunks of any size; called again for a layer that needs two passes."""
        ...


@dataclass(frozen=True, slots=True)
class WrittenLayer:
    """`unpacked_bytes` as Docker counts a layer: content of files and text of symbolic links, hard links once."""

    diff_id: DiffId
    file_sha256: str
    file_bytes: int
    unpacked_bytes: int
    entries: int
    warnings: tuple[str, ...]


class _Hashed:
    """Chunks passed through while their sha256 is taken."""

    def __init__(self, chunks: Iterator[bytes], diff_id: DiffId) -> None:
        self._chunks = chunks
        self._hash = diff_id.hasher()

    def __iter__(self) -> Iterator[bytes]:
        update = self._hash.update
        for chunk in self._chunks:
            update(chunk)
            yield chunk

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def write_layer(
    source: LayerSource,
    *,
    media_type: str,
    diff_id: DiffId,
    output: Path,
    limits: Limits,
    on_bytes: Callable[[int], None],
    cancelled: Callable[[], bool],
    ids: IdRange | None = None,
) -> WrittenLayer:
    """Turn a layer's archive into the squashfs file `output`.

    Atomic: `output` appears (0640, synced, its folder too) only when everything was verified; before that there is
    `output` + ".partial", which every failure removes.

    Args:
        source: the compressed blob; its own digest is the caller's business.
        media_type: only for a warning where the blob is something else: what the bytes are decides, as with Docker.
        diff_id: what the plain archive must hash to.
        output: in a folder that exists and that this process may write.
        limits: `layer_bytes` (unpacked) and `layer_entries` are what counts here.
        on_bytes: compressed bytes taken so far; starts again at 0 in a second pass.
        cancelled: asked at every chunk.
        ids: whose the files are to be on the host; without, they are the image's own numbers.

    Raises:
        LayerRejected: broken, ambiguous, hostile or beyond a limit.
        DigestMismatch: the plain archive is not `diff_id`.
        StoreFull, StoreError: the file could not be written.
        Cancelled: `cancelled` said so.
    """
    partial = output.with_name(output.name + ".partial")

    def one_pass(consume: Callable[[TarReader], None]) -> str:
        compressed = Source(source.open(), on_bytes, check)
        hashed = _Hashed(inflate(compressed, limit_bytes=limits.layer_bytes), diff_id)
        reader = TarReader(iter(hashed))
        consume(reader)
        reader.finish()
        if hashed.hexdigest() != diff_id.hex:
            msg = f"The layer's content does not have the diff ID {diff_id} that the image's config gives for it."
            raise DigestMismatch(msg, subject=diff_id)
        return compressed.compression

    def check() -> None:
        if cancelled():
            msg = "Writing the layer was cancelled."
            raise Cancelled(msg, subject=diff_id)

    owner = 0 if ids is None else ids.first
    with SquashfsWriter(partial, limit_bytes=limits.layer_bytes, owner=owner) as writer:
        survey = Survey(writer, limits, ids)
        found = one_pass(survey.run)
        unpacked = survey.unpacked_bytes
        if not survey.tree.needs_replay:
            write_directories(survey.tree, writer, ids)
            writer.finish()
    if survey.tree.needs_replay:
        with SquashfsWriter(partial, limit_bytes=limits.layer_bytes, owner=owner) as writer:
            replay = Replay(writer, survey.tree, ids)
            one_pass(replay.run)
            unpacked = replay.unpacked_bytes
            write_directories(survey.tree, writer, ids)
            writer.finish()
    file_sha256, file_bytes = _publish(partial, output)
    return WrittenLayer(
        diff_id, file_sha256, file_bytes, unpacked, survey.entries, _warnings(survey, media_type, found)
    )


def _warnings(survey: Survey, media_type: str, found: str) -> tuple[str, ...]:
    claimed = next((name for name in ("gzip", "zstd") if media_type.endswith(name)), "none")
    if claimed == found:
        return survey.warnings()
    return (*survey.warnings(), f"The layer's media type says compression '{claimed}', its bytes are '{found}'.")


def _publish(partial: Path, output: Path) -> tuple[str, int]:
    """Hash the finished file while it goes to the disk, give it its name and bring that to the disk."""
    try:
        with partial.open("rb") as file, ThreadPoolExecutor(max_workers=1) as aside:
            os.fchmod(file.fileno(), 0o640)
            synced = aside.submit(os.fsync, file.fileno())
            file_sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            size = os.fstat(file.fileno()).st_size
            synced.result()
        partial.replace(output)
        folder = os.open(output.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        partial.unlink(missing_ok=True)
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            msg = "The disk is full: the layer could not be written."
            raise StoreFull(msg) from error
        msg = f"The layer's file could not be put in place: {error.strerror}."
        raise StoreError(msg) from error
    return file_sha256, size
