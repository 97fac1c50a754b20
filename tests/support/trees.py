"""What a folder holds, as one value to compare: names, kinds, owners, modes, times, attributes, links, holes, content."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path


def tree(top: Path) -> dict[bytes, tuple]:
    """By path as bytes; the folder itself is `b""`. Times in whole seconds, as a tar keeps them."""
    found: dict[bytes, tuple] = {b"": _entry(bytes(top), {})}
    links: dict[tuple[int, int], bytes] = {}
    for folder, folders, files in os.walk(bytes(top)):
        folders.sort()
        for name in sorted(folders + files):
            path = os.path.join(folder, name)
            found[os.path.relpath(path, bytes(top))] = _entry(path, links)
    return found


def _entry(path: bytes, links: dict[tuple[int, int], bytes]) -> tuple:
    one = os.lstat(path)
    what: object = None
    if stat.S_ISREG(one.st_mode):
        with open(path, "rb") as file:
            what = (one.st_size, hashlib.file_digest(file, "sha256").hexdigest(), one.st_blocks * 512 < one.st_size)
    elif stat.S_ISLNK(one.st_mode):
        what = os.readlink(path)
    same = (
        links.setdefault((one.st_dev, one.st_ino), path) if one.st_nlink > 1 and not stat.S_ISDIR(one.st_mode) else ""
    )
    attributes = {name: os.getxattr(path, name, follow_symlinks=False) for name in _attributes(path)}
    return (one.st_mode, one.st_uid, one.st_gid, int(one.st_mtime), what, os.path.basename(same or b""), attributes)


def _attributes(path: bytes) -> list[str]:
    try:
        return sorted(os.listxattr(path, follow_symlinks=False))
    except OSError:
        return []
