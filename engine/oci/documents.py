"""Descriptor, manifest and index: parsed once, strictly, from the raw bytes whose digest was verified.

The same bytes must never be readable as two kinds of document (CVE-2021-41190): a document with both `manifests` and
`layers` or `config` is refused, its own `mediaType` must equal the type it was served and described with, and types
outside `media_types` are unknown. `urls` of descriptors are not even read (REG-04). If you add a kind of document:
also `engine.images.pull` and the vectors in tests/vectors.

Source: OCI image-spec 1.1, manifest.md, image-index.md, descriptor.md; distribution, manifest-v2-2.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.digest import Digest
from engine.errors import DocumentInvalid, ReferenceInvalid
from engine.oci import media_types
from engine.oci.platforms import Platform
from engine.oci.strict_json import DOCUMENT_LIMIT_BYTES, Reader, load

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Descriptor", "Index", "Manifest", "Platform", "choose", "parse_document"]

LAYER_LIMIT = 500
INDEX_LIMIT = 1000
SIZE_LIMIT = 2**63


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What another document is: type, digest, exact size in bytes, and in an index the platform."""

    media_type: str
    digest: Digest
    size_bytes: int
    platform: Platform | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image for one platform. Layers from the lowest up."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True)
class Index:
    """Several images under one name."""

    media_type: str
    manifests: tuple[Descriptor, ...]


def parse_digest(text: str, what: str) -> Digest:
    try:
        return Digest(text)
    except ReferenceInvalid as error:
        msg = f"{what} is not valid: {error}"
        raise DocumentInvalid(msg) from error


def _platform(reader: Reader) -> Platform | None:
    if reader.members.get("platform") is None:
        return None
    found = reader.child("platform")
    return Platform.of(found.text("os"), found.text("architecture"), found.text("variant"))


def _descriptor(reader: Reader) -> Descriptor:
    size = reader.number("size")
    if not 0 <= size < SIZE_LIMIT:
        reader.reject("size", "a size in bytes")
    media_type = reader.text("mediaType")
    if not media_type:
        reader.reject("mediaType", "a media type")
    return Descriptor(media_type, parse_digest(reader.text("digest"), reader.what), size, _platform(reader))


def _manifest(reader: Reader, media_type: str) -> Manifest:
    if reader.members.get("config") is None:
        reader.reject("config", "a descriptor")
    config = _descriptor(reader.child("config"))
    if config.media_type not in media_types.CONFIGS:
        msg = f"{reader.what} does not describe a container image but '{config.media_type[:120]}'."
        raise DocumentInvalid(msg)
    if config.size_bytes > DOCUMENT_LIMIT_BYTES:
        msg = f"{reader.what} names a configuration larger than {DOCUMENT_LIMIT_BYTES // 1024 // 1024} MiB."
        raise DocumentInvalid(msg)
    layers = tuple(_descriptor(child) for child in reader.children("layers", LAYER_LIMIT))
    for layer in layers:
        if layer.media_type not in media_types.LAYERS and layer.media_type not in media_types.FOREIGN_LAYERS:
            msg = f"{reader.what} has a layer of an unknown kind: '{layer.media_type[:120]}'."
            raise DocumentInvalid(msg)
    return Manifest(media_type, config, layers)


def _index(reader: Reader, media_type: str) -> Index:
    return Index(media_type, tuple(_descriptor(child) for child in reader.children("manifests", INDEX_LIMIT)))


def _check_kind(reader: Reader, media_type: str) -> None:
    """Raise unless the document can be read in one way only, the one it was announced as."""
    if media_type in media_types.SCHEMA_1 or reader.members.get("schemaVersion") == 1:
        msg = (
            f"{reader.what} is in the old format, schema 1, which Berth does not read (nor does Docker today). "
            "Push the image again with a newer client."
        )
        raise DocumentInvalid(msg)
    if reader.number("schemaVersion") != 2:
        reader.reject("schemaVersion", "2")
    own = reader.text("mediaType")
    if own and own != media_type:
        msg = f"{reader.what} says that it is '{own[:120]}', but the registry sent it as '{media_type[:120]}'."
        raise DocumentInvalid(msg)
    has_manifests = "manifests" in reader.members
    if has_manifests and ("layers" in reader.members or "config" in reader.members):
        msg = f"{reader.what} could be read both as one image and as a list of images."
        raise DocumentInvalid(msg)


def parse_document(data: bytes, media_type: str, what: str) -> Manifest | Index:
    """The manifest or index in `data`, which was served or described as `media_type`.

    Args:
        data: the raw bytes; their digest is the caller's business.
        media_type: without parameters, in lower case.
        what: names the document in errors ("the manifest of ubuntu:14.04").

    Raises:
        DocumentInvalid: anything that may not be trusted; the sentence says what.
    """
    if media_type not in media_types.SCHEMA_1 | media_types.MANIFESTS | media_types.INDEXES:
        shown = f"'{media_type[:120]}'" if media_type else "nothing"
        msg = f"{what} is of a kind that Berth does not know: the registry calls it {shown}."
        raise DocumentInvalid(msg)
    reader = Reader(load(data, what), what)
    _check_kind(reader, media_type)
    if media_type in media_types.INDEXES:
        if reader.members.get("manifests") is None:
            reader.reject("manifests", "a list")
        return _index(reader, media_type)
    if reader.members.get("layers") is None:
        reader.reject("layers", "a list")
    return _manifest(reader, media_type)


def choose(index: Index, wanted: Platform) -> Descriptor | None:
    """The entry that suits `wanted` best, the first of equals; a nested index without platform as a last resort."""
    best: tuple[int, Descriptor] | None = None
    for entry in _images(index.manifests):
        suits = wanted.suitability(entry.platform) if entry.platform else None
        if suits is not None and (best is None or suits > best[0]):
            best = (suits, entry)
    if best is not None:
        return best[1]
    nested = (e for e in index.manifests if e.platform is None and e.media_type in media_types.INDEXES)
    return next(nested, None)


def _images(entries: Sequence[Descriptor]) -> list[Descriptor]:
    """Entries of a known type: others (attestations, artifacts) are no candidates and no error."""
    return [entry for entry in entries if entry.media_type in media_types.MANIFESTS | media_types.INDEXES]
