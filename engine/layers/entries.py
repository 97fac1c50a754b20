"""One entry of a layer archive, after all its headers were merged."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.layers.sparse import Region


class Kind(Enum):
    FILE = "file"
    HARD_LINK = "hard link"
    SYMLINK = "symbolic link"
    CHAR_DEVICE = "character device"
    BLOCK_DEVICE = "block device"
    DIRECTORY = "directory"
    FIFO = "fifo"


@dataclass(slots=True)
class Entry:
    """Names are bytes as the archive has them, not yet normalised. Not frozen: 100,000 of them must cost little.

    `size` is that of the file's content (holes included). `block` is the entry's own header, where that alone says
    everything in the one plain form that every reader of tar agrees about; else None.
    """

    kind: Kind
    name: bytes
    link: bytes
    size: int
    mode: int
    uid: int
    gid: int
    mtime: int
    major: int = 0
    minor: int = 0
    xattrs: dict[bytes, bytes] | None = None
    block: bytes | None = None
    regions: tuple[Region, ...] | None = None
