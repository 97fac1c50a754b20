"""The engine's store, as far as the unprivileged processes use it."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from dashboard.gateway.config import engine_config
from engine.digest import Digest
from engine.oci.image_config import ImageConfig
from engine.oci.platforms import Platform
from engine.store.blobs import BlobStore
from engine.store.ingest import remove_stale, stale

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path


def parse_platform(text: str) -> Platform | None:
    """`linux/arm64`; None for no text: the host's.

    Raises:
        RequestRefused: not of that form.
    """
    return Platform.parse(text) if text else None


def read_image_config(config_digest: str) -> ImageConfig:
    """An image's config from the blob store, checked against its digest.

    Raises:
        NotStored, DigestMismatch, DocumentInvalid.
    """
    return ImageConfig.parse(BlobStore(engine_config()).get(Digest(config_digest)))


def discard_incoming(name: str) -> None:
    """Remove `incoming/<name>` and everything that was begun under that name (`<name>.…`). Idempotent."""
    folder = engine_config().incoming
    with contextlib.suppress(FileNotFoundError):
        for path in folder.iterdir():
            if path.name == name or path.name.startswith(f"{name}."):
                _unlink(path)


def abandoned_incoming(*, older_than_s: float, kept: Collection[str]) -> list[Path]:
    """Layer files that nobody took over and nobody has written to for so long.

    Args:
        older_than_s: the time of grace.
        kept: first parts of names (a layer's hex digits) that somebody is at work on, however old.
    """
    found = []
    with contextlib.suppress(FileNotFoundError):
        for path in engine_config().incoming.iterdir():
            with contextlib.suppress(FileNotFoundError):
                is_old = time.time() - path.stat(follow_symlinks=False).st_mtime > older_than_s
                if is_old and path.name.partition(".")[0] not in kept:
                    found.append(path)
    return found


def sweep_incoming(*, older_than_s: float, kept: Collection[str]) -> int:
    """Remove what `abandoned_incoming` finds. Returns how many."""
    removed = 0
    for path in abandoned_incoming(older_than_s=older_than_s, kept=kept):
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):
            path.unlink()
            removed += 1
    return removed


def abandoned_ingest(*, older_than_s: float) -> list[Path]:
    """Unfinished downloads that nobody has touched for so long; some may be locked."""
    return stale(engine_config(), older_than_s=older_than_s)


def sweep_ingest(*, older_than_s: float) -> int:
    """Remove unfinished downloads that nobody has touched for so long; what is locked stays. Returns how many."""
    return remove_stale(engine_config(), older_than_s=older_than_s)


def discard_ingest(digest: Digest) -> None:
    """Remove an unfinished download. Idempotent."""
    _unlink(engine_config().ingest / digest)


def _unlink(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
