"""Writing archives from memory, and looking into the squashfs files that come out of it without root (sqfs2tar)."""

from __future__ import annotations

import gzip
import hashlib
import io
import subprocess
import tarfile
from dataclasses import dataclass, replace

import pytest

from engine.config import Limits
from engine.digest import Digest
from engine.layers.write import WrittenLayer, write_layer

GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"


class Blob:
    """A layer's compressed bytes; counts how often it was opened."""

    def __init__(self, data: bytes, chunk_bytes: int = 50_000) -> None:
        self.data = data
        self.chunk_bytes = chunk_bytes
        self.opened = 0

    def open(self):
        self.opened += 1
        for at in range(0, len(self.data), self.chunk_bytes):
            yield self.data[at : at + self.chunk_bytes]


@dataclass
class Looked:
    """What a written layer holds: `entries` by name (tarfile.TarInfo), `content` of the files."""

    written: WrittenLayer
    path: object
    opened: int
    entries: dict[str, tarfile.TarInfo]
    content: dict[str, bytes]

    def xattrs(self, name: str) -> dict[str, str]:
        prefix = "SCHILY.xattr."
        return {
            key.removeprefix(prefix): value for key, value in self.entries[name].pax_headers.items() if prefix in key
        }


def is_whiteout(entry: tarfile.TarInfo) -> bool:
    return entry.ischr() and not entry.devmajor and not entry.devminor


@pytest.fixture
def write(tmp_path):
    """write(plain, ...) -> Looked: compress, write, verify, and read the result back."""

    def write(
        plain: bytes,
        *,
        packed: bytes | None = None,
        diff_id=None,
        cancelled=lambda: False,
        look=True,
        ids=None,
        **limits,
    ):
        blob = Blob(gzip.compress(plain, 1) if packed is None else packed)
        output = tmp_path / "layer.sqfs"
        written = write_layer(
            blob,
            media_type=GZIP,
            diff_id=diff_id or Digest("sha256:" + hashlib.sha256(plain).hexdigest()),
            output=output,
            limits=replace(Limits(), **limits),
            on_bytes=lambda _count: None,
            cancelled=cancelled,
            ids=ids,
        )
        entries, content = look_into(output) if look else ({}, {})
        return Looked(written, output, blob.opened, entries, content)

    return write


def look_into(path) -> tuple[dict[str, tarfile.TarInfo], dict[str, bytes]]:
    plain = subprocess.run(["sqfs2tar", "-s", "-r", ".", str(path)], check=True, capture_output=True).stdout
    entries, content = {}, {}
    with tarfile.open(fileobj=io.BytesIO(plain), encoding="utf-8", errors="surrogateescape") as archive:
        for entry in archive:
            name = entry.name.removeprefix("./")
            entries[name] = entry
            if entry.isreg():
                content[name] = archive.extractfile(entry).read()
            elif entry.islnk() and (target := entry.linkname.removeprefix("./")) in content:
                content[name] = content[target]
    return entries, content
