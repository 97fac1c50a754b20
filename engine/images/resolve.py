"""What a name means at its registry: which image for which platform, and which layers it has."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.digest import DiffId, Digest
from engine.errors import Cancelled, DocumentInvalid, ImageUnknown, RegistryError
from engine.oci.documents import Descriptor, Index, Manifest, Platform, choose, parse_document
from engine.oci.image_config import ImageConfig
from engine.registry.client import FetchedDocument, RegistryClient
from engine.registry.patience import PATIENCE, Patience
from engine.store.blobs import BlobStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.config import EngineConfig
    from engine.reference import Reference
    from engine.registry.endpoints import Credentials

INDEX_DEPTH_LIMIT = 2
ASK_EVERY_S = 0.2
_CANCELLED = "The pull was cancelled."


@dataclass(frozen=True, slots=True)
class ResolvedLayer:
    """`digest` and `size_bytes` of the compressed blob."""

    digest: Digest
    media_type: str
    size_bytes: int
    diff_id: DiffId


@dataclass(frozen=True, slots=True)
class ResolvedImage:
    """`digest` is what the tag names: the index's where there is one. The image's id is `config_digest`.

    `is_public`: the registry gives it to whoever asks, without the credentials that may have been used here.
    """

    reference: Reference
    digest: Digest
    manifest_digest: Digest
    config_digest: Digest
    config: ImageConfig
    layers: tuple[ResolvedLayer, ...]
    is_public: bool = True


def resolve(
    config: EngineConfig,
    reference: Reference,
    *,
    platform: Platform | None = None,
    cancelled: Callable[[], bool],
    credentials: Credentials | None = None,
    patience: Patience = PATIENCE,
) -> ResolvedImage:
    """What `reference` means at its registry, for a platform (the host's by default).

    Its index, manifest and config are stored as blobs when all of them are verified. Idempotent.

    Raises:
        ImageUnknown: no such repository, tag, digest, or no image for the platform.
        RegistryError (its other kinds): see `RegistryClient.named_document`.
        DocumentInvalid, DigestMismatch: what the registry says cannot be trusted.
        StoreError, Cancelled: nothing but blobs that nobody refers to is left.
    """
    wanted = platform or Platform.host()
    with RegistryClient(
        config,
        reference,
        check=checker(cancelled, _CANCELLED),
        credentials=credentials,
        patience=patience,
    ) as client:
        documents = [client.named_document()]
        manifest = _descend(client, reference, documents, wanted)
        config_blob = client.blob(manifest.config)
    is_public = credentials is None or _is_anybodys(
        config, reference, documents, cancelled=cancelled, patience=patience
    )
    image_config = ImageConfig.parse(config_blob)
    _check_platform(reference, image_config, wanted)
    layers = _layers(manifest, image_config)
    store = BlobStore(config)
    for document in documents:
        store.put(document.data, expected=document.digest)
    store.put(config_blob, expected=manifest.config.digest)
    return ResolvedImage(
        reference=reference,
        digest=documents[0].digest,
        manifest_digest=documents[-1].digest,
        config_digest=manifest.config.digest,
        config=image_config,
        layers=layers,
        is_public=is_public,
    )


def _is_anybodys(
    config: EngineConfig,
    reference: Reference,
    documents: list[FetchedDocument],
    *,
    cancelled: Callable[[], bool],
    patience: Patience,
) -> bool:
    """Whether somebody without credentials gets the same manifest. Where that cannot be found out it is private."""
    check = checker(cancelled, _CANCELLED)
    try:
        with RegistryClient(config, reference, check=check, patience=patience) as client:
            return client.has_document(documents[-1].digest)
    except RegistryError:
        return False


def _descend(
    client: RegistryClient, reference: Reference, documents: list[FetchedDocument], wanted: Platform
) -> Manifest:
    """From what the name means down to one manifest; every document on the way is added to `documents`."""
    what = f"The manifest of {reference.familiar}"
    for _ in range(INDEX_DEPTH_LIMIT + 1):
        found = parse_document(documents[-1].data, documents[-1].media_type, what)
        if isinstance(found, Manifest):
            return found
        documents.append(client.document(_chosen(reference, found, wanted)))
    msg = f"{what} is a list of lists of lists of images, which is too deep."
    raise DocumentInvalid(msg, subject=reference.canonical)


def _chosen(reference: Reference, index: Index, wanted: Platform) -> Descriptor:
    entry = choose(index, wanted)
    if entry is None:
        offered = ", ".join(
            sorted({str(e.platform) for e in index.manifests if e.platform and "unknown" not in str(e.platform)})
        )
        msg = f"no matching manifest for {wanted} in the manifest list entries of {reference.familiar} (it has: {offered or 'none'})"
        raise ImageUnknown(msg[:2000], subject=reference.canonical)
    return entry


def _check_platform(reference: Reference, config: ImageConfig, wanted: Platform) -> None:
    """An image that stands alone says only in its config what it runs on; old ones may not say it at all."""
    if not config.architecture:
        return
    found = Platform.of(config.os, config.architecture, config.variant)
    if wanted.suitability(found) is None:
        msg = (
            f"image {reference.familiar} was found but does not match the wanted platform: wanted {wanted}, actual: {found}. "
            f"no matching manifest for {wanted}"
        )
        raise ImageUnknown(msg, subject=reference.canonical)


def _layers(manifest: Manifest, config: ImageConfig) -> tuple[ResolvedLayer, ...]:
    if len(manifest.layers) != len(config.diff_ids):
        msg = (
            f"The image cannot be trusted: its manifest has {len(manifest.layers)} layers, "
            f"its configuration speaks of {len(config.diff_ids)}."
        )
        raise DocumentInvalid(msg, subject=manifest.config.digest)
    pairs = zip(manifest.layers, config.diff_ids, strict=True)
    return tuple(ResolvedLayer(layer.digest, layer.media_type, layer.size_bytes, diff_id) for layer, diff_id in pairs)


def checker(cancelled: Callable[[], bool], sentence: str) -> Callable[[], None]:
    """`cancelled` as something that raises, asked at most every `ASK_EVERY_S`."""
    asked_at = 0.0

    def check() -> None:
        nonlocal asked_at
        now = time.monotonic()
        if now - asked_at < ASK_EVERY_S:
            return
        asked_at = now
        if cancelled():
            raise Cancelled(sentence)

    return check
