"""Images made in code, and a real small Linux with a shell; pushed to a registry over its HTTP API.

`tarfile` builds archives here and never reads one (threats.md 0.2).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import httpx
import zstandard

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Compression = Literal["gzip", "zstd", "plain"]
Kind = Literal["file", "dir", "symlink", "hardlink", "char", "block", "fifo"]

OCI = "application/vnd.oci.image."
DOCKER = "application/vnd.docker."
OCI_MANIFEST = f"{OCI}manifest.v1+json"
OCI_INDEX = f"{OCI}index.v1+json"
OCI_CONFIG = f"{OCI}config.v1+json"
DOCKER_MANIFEST = f"{DOCKER}distribution.manifest.v2+json"
DOCKER_LIST = f"{DOCKER}distribution.manifest.list.v2+json"
DOCKER_CONFIG = f"{DOCKER}container.image.v1+json"

SUFFIX = {"gzip": "+gzip", "zstd": "+zstd", "plain": ""}
TYPES = {
    "file": tarfile.REGTYPE,
    "dir": tarfile.DIRTYPE,
    "symlink": tarfile.SYMTYPE,
    "hardlink": tarfile.LNKTYPE,
    "char": tarfile.CHRTYPE,
    "block": tarfile.BLKTYPE,
    "fifo": tarfile.FIFOTYPE,
}


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass(frozen=True)
class Entry:
    """One member of a layer's tar, in the order it is written. Nothing is checked: hostile ones are the point."""

    name: str
    kind: Kind = "file"
    data: bytes = b""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    link: str = ""
    major: int = 0
    minor: int = 0
    mtime: int = 1_400_000_000
    xattrs: dict[str, str] = field(default_factory=dict)


def folder(name: str, mode: int = 0o755, **more: Any) -> Entry:
    return Entry(name, "dir", mode=mode, **more)


def symlink(name: str, target: str, **more: Any) -> Entry:
    return Entry(name, "symlink", link=target, mode=0o777, **more)


def program(name: str, data: bytes) -> Entry:
    return Entry(name, data=data, mode=0o755)


def tar_of(entries: Iterable[Entry]) -> bytes:
    """The entries as an uncompressed pax archive with its two closing blocks."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry in entries:
            info = tarfile.TarInfo(entry.name)
            info.type = TYPES[entry.kind]
            info.size = len(entry.data) if entry.kind == "file" else 0
            info.mode, info.uid, info.gid, info.mtime = entry.mode, entry.uid, entry.gid, entry.mtime
            info.linkname, info.devmajor, info.devminor = entry.link, entry.major, entry.minor
            info.pax_headers = {f"SCHILY.xattr.{name}": value for name, value in entry.xattrs.items()}
            archive.addfile(info, io.BytesIO(entry.data))
    return buffer.getvalue()


def compress(data: bytes, compression: Compression) -> bytes:
    if compression == "gzip":
        return gzip.compress(data, 6, mtime=0)
    if compression == "zstd":
        return zstandard.ZstdCompressor(level=3).compress(data)
    return data


@dataclass(frozen=True)
class TestLayer:
    """One layer: `tar` is what its diff ID names, `blob` what its digest names."""

    __test__ = False

    tar: bytes
    blob: bytes
    media_type: str

    @property
    def digest(self) -> str:
        return sha256(self.blob)

    @property
    def diff_id(self) -> str:
        return sha256(self.tar)


def layer(content: Iterable[Entry] | bytes, *, compression: Compression = "gzip", docker: bool = False) -> TestLayer:
    """A layer of entries, or of a ready tar (or of bytes that are none)."""
    tar = content if isinstance(content, bytes) else tar_of(content)
    media_type = f"{OCI}layer.v1.tar{SUFFIX[compression]}"
    if docker:
        media_type = f"{DOCKER}image.rootfs.diff.tar" + (".gzip" if compression == "gzip" else SUFFIX[compression])
    return TestLayer(tar, compress(tar, compression), media_type)


@dataclass(frozen=True)
class TestImage:
    """One image for one platform. `digest` is the manifest's, `image_id` the config's."""

    __test__ = False

    layers: tuple[TestLayer, ...]
    config: bytes
    manifest: bytes
    media_type: str
    platform: dict[str, str]

    @property
    def digest(self) -> str:
        return sha256(self.manifest)

    @property
    def image_id(self) -> str:
        return sha256(self.config)


@dataclass(frozen=True)
class TestIndex:
    """Several images under one name: an OCI index or a Docker manifest list."""

    __test__ = False

    images: tuple[TestImage, ...]
    manifest: bytes
    media_type: str

    @property
    def digest(self) -> str:
        return sha256(self.manifest)


def descriptor(media_type: str, data: bytes, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "size": len(data), "digest": sha256(data), **more}


def image(
    layers: Sequence[TestLayer],
    *,
    docker: bool = False,
    architecture: str = "amd64",
    os: str = "linux",
    variant: str = "",
    created: str = "2014-04-17T12:00:00Z",
    **config: Any,
) -> TestImage:
    """An image of these layers; keywords such as `Cmd=["/bin/sh"]` or `Env=[…]` go into the config's `config` object."""
    platform = {"architecture": architecture, "os": os} | ({"variant": variant} if variant else {})
    document = {
        **platform,
        "created": created,
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [item.diff_id for item in layers]},
        "history": [{"created": created, "created_by": f"/bin/sh -c # layer {n}"} for n in range(len(layers))],
    }
    config_bytes = json.dumps(document).encode()
    media_type = DOCKER_MANIFEST if docker else OCI_MANIFEST
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": descriptor(DOCKER_CONFIG if docker else OCI_CONFIG, config_bytes),
        "layers": [descriptor(item.media_type, item.blob) for item in layers],
    }
    return TestImage(tuple(layers), config_bytes, json.dumps(manifest, indent=3).encode(), media_type, platform)


def index(images: Sequence[TestImage], *, docker: bool = False) -> TestIndex:
    media_type = DOCKER_LIST if docker else OCI_INDEX
    entries = [descriptor(item.media_type, item.manifest, platform=item.platform) for item in images]
    document = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries}
    return TestIndex(tuple(images), json.dumps(document, indent=3).encode(), media_type)


@dataclass(frozen=True)
class Pusher:
    """Uploads to one repository of one registry."""

    url: str
    repository: str
    auth: tuple[str, str] | None = None

    def push(self, content: TestImage | TestIndex, tag: str) -> str:
        """Upload everything and move the tag. Returns the digest that the tag then names."""
        with httpx.Client(auth=self.auth, trust_env=False, timeout=60) as client:
            if isinstance(content, TestIndex):
                for item in content.images:
                    self._image(client, item, item.digest)
            else:
                self._image(client, content, tag)
            self._manifest(client, content, tag)
        return content.digest

    def _image(self, client: httpx.Client, item: TestImage, name: str) -> None:
        for blob in (item.config, *(part.blob for part in item.layers)):
            self._blob(client, blob)
        self._manifest(client, item, name)

    def _blob(self, client: httpx.Client, blob: bytes) -> None:
        digest = sha256(blob)
        base = f"{self.url}/v2/{self.repository}/blobs"
        if client.head(f"{base}/{digest}").status_code == 200:
            return
        started = client.post(f"{base}/uploads/").raise_for_status()
        location = httpx.URL(started.url).join(started.headers["Location"])
        client.put(location.copy_merge_params({"digest": digest}), content=blob).raise_for_status()

    def _manifest(self, client: httpx.Client, item: TestImage | TestIndex, name: str) -> None:
        url = f"{self.url}/v2/{self.repository}/manifests/{name}"
        client.put(url, content=item.manifest, headers={"Content-Type": item.media_type}).raise_for_status()


def push(url: str, name: str, content: TestImage | TestIndex, auth: tuple[str, str] | None = None) -> str:
    """Push as `name` (`library/ubuntu:14.04`) to the registry at `url`. Returns the digest that the tag names."""
    repository, _, tag = name.rpartition(":")
    return Pusher(url, repository, auth).push(content, tag)
