"""The two halves of a pull: `resolve` finds out what a name means, `extract_layer` turns one layer into a file.

Nothing here touches layers that are ready, tags or rows: a failure leaves them as they were (F02 to F08). Success is
only reported after every digest on the way is verified: manifest, config, compressed layer, diff ID.
"""

from __future__ import annotations

from engine.images.extract import LayerProgress, extract_layer
from engine.images.prove import prove_layer
from engine.images.resolve import ResolvedImage, ResolvedLayer, resolve
from engine.layers.write import WrittenLayer

__all__ = ["LayerProgress", "ResolvedImage", "ResolvedLayer", "WrittenLayer", "extract_layer", "prove_layer", "resolve"]
