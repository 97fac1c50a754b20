"""Proof that a registry gives us a layer that is here already: fetched and verified, and nothing of it kept.

Layers are shared by their diff ID, and anybody can write one into the config of an image of their own. Without this,
knowing the diff ID of another team's private layer would be having its content (REG-11).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import DigestMismatch
from engine.images.extract import LayerProgress, Reporter
from engine.images.resolve import checker
from engine.layers.inflate import Source, inflate
from engine.registry.client import RegistryClient
from engine.registry.patience import PATIENCE, Patience

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from hashlib import _Hash

    from engine.config import EngineConfig
    from engine.images.resolve import ResolvedLayer
    from engine.reference import Reference
    from engine.registry.endpoints import Credentials


def prove_layer(
    config: EngineConfig,
    reference: Reference,
    layer: ResolvedLayer,
    *,
    progress: Callable[[LayerProgress], None],
    cancelled: Callable[[], bool],
    credentials: Credentials | None = None,
    patience: Patience = PATIENCE,
) -> None:
    """Fetch a layer from `reference`'s repository and check both its digests. Arguments as of `extract_layer`.

    Raises:
        DigestMismatch: what is there is another layer than the image's config says.
        LayerRejected: it cannot be unpacked.
        RegistryError (all kinds), Cancelled.
        Nothing is on the disk in any case.
    """
    check = checker(cancelled, "The download was cancelled.")
    report = Reporter(layer.size_bytes, progress)
    compressed, plain = layer.digest.hasher(), layer.diff_id.hasher()
    with RegistryClient(config, reference, check=check, credentials=credentials, patience=patience) as client:
        fetched = _hashed(client.stream(layer.digest, layer.size_bytes), compressed)
        source = Source(fetched, lambda count: report(count, 0), check)
        for chunk in inflate(source, limit_bytes=config.limits.layer_bytes):
            plain.update(chunk)
        for _ in fetched:  # what the decoder did not want belongs to the digest, too
            pass
    if compressed.hexdigest() != layer.digest.hex or plain.hexdigest() != layer.diff_id.hex:
        msg = (
            f"The registry has no layer {layer.digest.short} with the content that the image's config names: the image is "
            "damaged there, or pretends to have somebody else's layer."
        )
        raise DigestMismatch(msg, subject=layer.digest)


def _hashed(chunks: Iterator[bytes], digest: _Hash) -> Iterator[bytes]:
    for chunk in chunks:
        digest.update(chunk)
        yield chunk
