r"""Extended headers: the records of pax, strictly parsed. Pure.

Source: POSIX.1-2017, pax, "pax Header Block" and "pax Extended Header". A record is `LENGTH KEY=VALUE\n`, where LENGTH
counts all of it. A repeated key is refused (readers differ on which one counts) but for the pairs of sparse 0.0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from engine.layers.headers import ID_MAXIMUM, SIZE_MAXIMUM, TIME_MAXIMUM, reject
from engine.layers.sparse import OFFSET_KEY, REGION_LIMIT, SIZE_KEY

PAX_LIMIT_BYTES = 1024 * 1024
XATTR_PREFIX = b"SCHILY.xattr."
_LENGTH = re.compile(rb"([1-9][0-9]{0,7}) ")
_TIME = re.compile(rb"(-?)([0-9]{1,20})(\.[0-9]{0,64})?\Z")
_GLOBAL_REFUSED = (b"path", b"linkpath", b"size", b"uid", b"gid", b"hdrcharset")


@dataclass(slots=True)
class Extended:
    """What the extended headers before an entry say of it; None: nothing."""

    path: bytes | None = None
    linkpath: bytes | None = None
    size: int | None = None
    uid: int | None = None
    gid: int | None = None
    mtime: int | None = None
    xattrs: dict[bytes, bytes] = field(default_factory=dict)
    sparse: dict[bytes, bytes] = field(default_factory=dict)
    sparse_pairs: list[tuple[bytes, bytes]] = field(default_factory=list)


def records(data: bytes) -> list[tuple[bytes, bytes]]:
    """(key, value) of each record, in order."""
    found: list[tuple[bytes, bytes]] = []
    at = 0
    while at < len(data):
        match = _LENGTH.match(data, at)
        if match is None:
            msg = "an extended header's record has no length"
            raise reject(msg)
        end = at + int(match[1])
        if end > len(data) or end <= match.end() or data[end - 1] != 0x0A:
            msg = "an extended header's record has a wrong length"
            raise reject(msg)
        key, equals, value = data[match.end() : end - 1].partition(b"=")
        if not key or not equals or b"\0" in key:
            msg = "an extended header's record has no key"
            raise reject(msg)
        found.append((key, value))
        at = end
    return found


def parse(data: bytes) -> Extended:
    """The records of one `x` header."""
    extended = Extended()
    seen: set[bytes] = set()
    for key, value in records(data):
        if key in {OFFSET_KEY, SIZE_KEY}:
            extended.sparse_pairs.append((key, value))
            if len(extended.sparse_pairs) > 2 * REGION_LIMIT:
                msg = f"a sparse file has more than {REGION_LIMIT} regions"
                raise reject(msg)
            continue
        if key in seen:
            msg = f"an extended header says '{key[:100].decode('utf-8', 'replace')}' twice"
            raise reject(msg)
        seen.add(key)
        _apply(extended, key, value)
    return extended


def _apply(extended: Extended, key: bytes, value: bytes) -> None:
    if key.startswith(XATTR_PREFIX):
        extended.xattrs[key[len(XATTR_PREFIX) :]] = value
    elif key.startswith(b"GNU.sparse."):
        _no_nul(key, value)
        extended.sparse[key[len(b"GNU.sparse.") :]] = value
    elif key == b"SCHILY.realsize":
        msg = "it holds a sparse file in star's own form, which is not supported"
        raise reject(msg)
    elif not value:
        return  # an empty value takes the record back: the header's own field counts
    elif key in {b"path", b"linkpath"}:
        _no_nul(key, value)
        setattr(extended, key.decode(), value)
    elif key in {b"size", b"uid", b"gid"}:
        setattr(extended, key.decode(), decimal(value, key.decode(), SIZE_MAXIMUM if key == b"size" else ID_MAXIMUM))
    elif key == b"mtime":
        extended.mtime = _time(value)


def _no_nul(key: bytes, value: bytes) -> None:
    if b"\0" in value:
        msg = f"an extended header's '{key[:100].decode('utf-8', 'replace')}' contains a NUL"
        raise reject(msg)


def decimal(value: bytes, what: str, maximum: int) -> int:
    if not value.isdigit() or len(value) > 20 or int(value) > maximum:
        msg = f"an extended header's {what} is no number in range"
        raise reject(msg)
    return int(value)


def _time(value: bytes) -> int:
    """Whole seconds, rounded down."""
    match = _TIME.match(value)
    if match is None or int(match[2]) > TIME_MAXIMUM:
        msg = "an extended header's mtime is no time"
        raise reject(msg)
    seconds = int(match[2])
    return -seconds - bool((match[3] or b"").strip(b".0")) if match[1] else seconds


def check_global(data: bytes) -> None:
    """A `g` header is ignored, as Docker does; one that would change what entries mean is refused."""
    for key, _ in records(data):
        if key in _GLOBAL_REFUSED or key.startswith((b"GNU.sparse.", XATTR_PREFIX, b"SCHILY.")):
            msg = f"a global header sets '{key[:100].decode('utf-8', 'replace')}' for all entries"
            raise reject(msg)
