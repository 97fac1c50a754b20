"""Media types of image documents and layers. Anything else is refused (REG-03).

Source: OCI image-spec 1.1, media-types.md; distribution, manifest-v2-2.md.
"""

from __future__ import annotations

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"

INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
CONFIGS = frozenset({OCI_CONFIG, DOCKER_CONFIG})
SCHEMA_1 = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    }
)
ACCEPTED = (OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST)

_OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
_DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
LAYERS = frozenset(
    {
        _OCI_LAYER,
        f"{_OCI_LAYER}+gzip",
        f"{_OCI_LAYER}+zstd",
        _DOCKER_LAYER,
        f"{_DOCKER_LAYER}.gzip",
        f"{_DOCKER_LAYER}.zstd",
        f"{_DOCKER_LAYER}+zstd",
    }
)
_FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar"
FOREIGN_LAYERS = {
    _FOREIGN: _OCI_LAYER,
    f"{_FOREIGN}+gzip": f"{_OCI_LAYER}+gzip",
    f"{_FOREIGN}+zstd": f"{_OCI_LAYER}+zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar": _DOCKER_LAYER,
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip": f"{_DOCKER_LAYER}.gzip",
}
"""Layers that others may not pass on, with the type of the same bytes without that wish. Their `urls` are ignored (REG-04)."""


def distributable(media_type: str) -> str:
    """The layer type that says only how the bytes are packed."""
    return FOREIGN_LAYERS.get(media_type, media_type)
