"""One layer from its registry to a squashfs file in `incoming/`, everything verified and synced."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine.errors import Cancelled, DigestMismatch, LayerRejected, StoreError, StoreFull
from engine.images.stream import LayerStream
from engine.layers.write import WrittenLayer, write_layer
from engine.oci.media_types import distributable
from engine.registry.client import RegistryClient
from engine.registry.patience import PATIENCE, Patience
from engine.store.ingest import Ingest
from engine.store.space import ensure_room

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine.config import EngineConfig
    from engine.ids import IdRange
    from engine.images.resolve import ResolvedLayer
    from engine.reference import Reference
    from engine.registry.endpoints import Credentials

REPORT_EVERY_S = 0.05
ROOM_FACTOR = 3
"""Space that a layer may need at once, in sizes of its compressed blob: the blob itself and the layer file."""
DRAIN_LIMIT_BYTES = 256 * 1024 * 1024
"""How much of a rejected layer is still fetched to learn whether its digest was wrong, too."""

_INCOMING = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}\Z", re.ASCII)
Status = Literal["Downloading", "Extracting", "Verifying"]


@dataclass(frozen=True, slots=True)
class LayerProgress:
    """Compressed bytes: fetched while downloading, decoded after that."""

    status: Status
    current_bytes: int
    total_bytes: int


class _Stopped(Exception):
    """The caller's thread does not want the download any more."""


@dataclass(frozen=True, slots=True)
class _Extraction:
    """The parts of one call of `extract_layer`."""

    config: EngineConfig
    layer: ResolvedLayer
    ingest: Ingest
    client: RegistryClient
    stop: threading.Event
    progress: Callable[[LayerProgress], None]
    cancelled: Callable[[], bool]
    ids: IdRange | None

    def run(self, output: Path) -> WrittenLayer:
        """Write the layer; a partial download that proves wrong is dropped, and all of it fetched again (F03)."""
        was_partial = self.ingest.size_bytes > 0
        try:
            return self._once(output)
        except DigestMismatch:
            if not was_partial or self.ingest.is_right:
                raise
        self.ingest.restart()
        return self._once(output)

    def _once(self, output: Path) -> WrittenLayer:
        self.stop.clear()
        report = Reporter(self.layer.size_bytes, self.progress)
        with LayerStream(self.ingest, self._fetch, stop=self.stop, cancelled=self.cancelled, report=report) as stream:
            try:
                written = write_layer(
                    stream,
                    media_type=distributable(self.layer.media_type),
                    diff_id=self.layer.diff_id,
                    output=output,
                    limits=self.config.limits,
                    on_bytes=lambda _: None,
                    cancelled=lambda: False,
                    ids=self.ids,
                )
                stream.finish()
            except LayerRejected:
                if self.layer.size_bytes - self.ingest.size_bytes <= DRAIN_LIMIT_BYTES:
                    stream.finish()
                raise
            except BaseException:
                output.unlink(missing_ok=True)
                raise
            return written

    def _fetch(self, offset: int) -> Iterator[bytes]:
        return self.client.stream(self.layer.digest, self.layer.size_bytes, offset=offset)


class Reporter:
    """Progress at a bearable pace; every change of status and the end are always told."""

    def __init__(self, total_bytes: int, progress: Callable[[LayerProgress], None]) -> None:
        self._total = total_bytes
        self._progress = progress
        self._told_at = 0.0
        self._status: Status | None = None

    def __call__(self, fetched_bytes: int, handed_bytes: int) -> None:
        status: Status = "Downloading" if fetched_bytes < self._total else "Extracting"
        current = fetched_bytes if status == "Downloading" else handed_bytes
        if handed_bytes >= self._total:
            status = "Verifying"
        now = time.monotonic()
        if status == self._status and now - self._told_at < REPORT_EVERY_S:
            return
        self._told_at, self._status = now, status
        self._progress(LayerProgress(status, current, self._total))


def _stopper(stop: threading.Event) -> Callable[[], None]:
    def check() -> None:
        if stop.is_set():
            raise _Stopped

    return check


def extract_layer(  # noqa: PLR0913 - options of one call
    config: EngineConfig,
    reference: Reference,
    layer: ResolvedLayer,
    *,
    incoming: str,
    progress: Callable[[LayerProgress], None],
    cancelled: Callable[[], bool],
    credentials: Credentials | None = None,
    patience: Patience = PATIENCE,
    ids: IdRange | None = None,
) -> WrittenLayer:
    """Fetch one layer and write its file system to `incoming/<incoming>`, everything verified and synced.

    A partial download of an earlier attempt is hashed and gone on with. After a failure of the registry what came is
    kept for the next attempt; after anything else (and after success) the compressed blob is gone.

    Args:
        config: the engine's.
        reference: where to fetch it: any image that has this layer.
        layer: as `resolve` found it.
        incoming: a plain file name, the caller's own.
        progress: called in this thread, at most every 50 ms.
        cancelled: asked in this thread, at most every 0.2 s.
        credentials: for the registry; those in a mirror's URL are used without.
        patience: when to give up.
        ids: whose the files are to be on the host (`write_layer`).

    Raises:
        LayerRejected: the archive is broken or hostile.
        DigestMismatch: compressed bytes or content are not what manifest and config say.
        StoreFull, StoreError, RegistryError (all kinds), Cancelled.
        In each case `incoming/<incoming>` does not exist.
    """
    if not _INCOMING.match(incoming):
        msg = "The name of the layer's file is not a plain name."
        raise StoreError(msg)
    if layer.size_bytes > config.limits.layer_bytes:
        msg = f"The layer {layer.digest.short} is larger than {config.limits.layer_bytes} bytes."
        raise LayerRejected(msg, subject=layer.digest)
    config.incoming.mkdir(mode=0o750, exist_ok=True)
    stop = threading.Event()
    client = RegistryClient(config, reference, check=_stopper(stop), credentials=credentials, patience=patience)
    with client, Ingest(config, layer.digest, layer.size_bytes, cancelled) as ingest:
        try:
            ensure_room(config, ROOM_FACTOR * layer.size_bytes - ingest.size_bytes, f"layer {layer.digest.short}")
            written = _Extraction(config, layer, ingest, client, stop, progress, cancelled, ids).run(
                config.incoming / incoming
            )
        except (LayerRejected, DigestMismatch, StoreFull, Cancelled):
            ingest.remove()
            raise
        ingest.remove()
    return written
