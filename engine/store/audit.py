"""What lies in the store, against what rows say. Reads only."""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.errors import DigestMismatch, EngineError, NotStored
from engine.store.adopt import file_sha256
from engine.store.blobs import BlobStore
from engine.store.partial import SWEPT_AFTER_S, partial_files
from engine.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from engine.config import EngineConfig
    from engine.digest import Digest

_MODE = 0o440


@dataclass(frozen=True, slots=True)
class StoredLayer:
    """What the row says of a layer's file. `sha256` and size of the file itself, not of what is in it."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRows:
    """`layers`: by the name of their file, all that are READY; `named`: also those that are on their way in or out.

    `blobs`: what images and tags name.
    """

    layers: Mapping[str, StoredLayer] = field(default_factory=dict)
    named: frozenset[str] = frozenset()
    blobs: frozenset[Digest] = frozenset()


def look(config: EngineConfig, rows: StoreRows) -> Iterator[Violation]:
    """Layers and blobs by name, owner and size; `verify` reads them."""
    on_disk = _names(config.layers)
    for name in sorted(rows.layers.keys() - on_disk):
        yield _of_layer("I1", name, "is not there; pull its image again")
    for name in sorted(on_disk):
        yield from _layer(config.layers / name, rows)
    for digest in sorted(rows.blobs):
        if not BlobStore(config).has(digest):
            yield _of_blob(digest, "is not there; pull its image again")
    for path in partial_files(config, older_than_s=SWEPT_AFTER_S * 2):
        yield Violation(invariant="I2", kind="file", name=str(path.relative_to(config.data)), problem="is partial")


def verify(config: EngineConfig, rows: StoreRows, *, on_bytes: Callable[[int], None]) -> Iterator[Violation]:
    """Hash every byte of what rows name. Takes as long as the disk: 1 GB in some seconds. What is not there is `look`'s.

    `on_bytes` is told how many have been read; it may raise to stop.
    """
    done = 0
    for digest in sorted(rows.blobs):
        with contextlib.suppress(NotStored):
            try:
                BlobStore(config).get(digest)
            except DigestMismatch:
                yield _of_blob(digest, "is damaged; pull its image again")
    for name, row in sorted(rows.layers.items()):
        try:
            found = file_sha256(config.layers / name)
        except EngineError:
            continue  # a link: `look` says so
        if found not in ("", row.sha256):
            yield _of_layer("I1", name, "has other bytes than when it was written; pull its image again")
        done += row.size_bytes
        on_bytes(done)


def _names(folder: Path) -> set[str]:
    try:
        return {entry.name for entry in os.scandir(folder)}
    except FileNotFoundError:
        return set()


def _of_layer(invariant: str, name: str, problem: str, *, is_orphan: bool = False) -> Violation:
    return Violation(invariant=invariant, kind="layer", name=name, problem=problem, is_orphan=is_orphan)


def _layer(path: Path, rows: StoreRows) -> Iterator[Violation]:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    row = rows.layers.get(path.name)
    if path.name.startswith("."):
        return
    if path.suffix != ".sqfs" or not _is_ours(found):
        yield _of_layer("I9", path.name, "is not a file of root's alone that nobody can write to")
    elif row is None:
        if path.name not in rows.named:
            yield _of_layer("I4", path.name, "has no row; it is left alone", is_orphan=True)
    elif found.st_size != row.size_bytes:
        yield _of_layer("I1", path.name, "has another size than when it was written; pull its image again")


def _is_ours(found: os.stat_result) -> bool:
    mode = stat.S_IMODE(found.st_mode)
    return stat.S_ISREG(found.st_mode) and found.st_uid == 0 and mode == _MODE and found.st_nlink == 1


def _of_blob(digest: Digest, problem: str) -> Violation:
    return Violation(invariant="I1", kind="blob", name=digest.short, problem=problem)
