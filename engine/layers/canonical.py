"""The tar that we write for tar2sqfs: one spelling for everything. Pure.

ustar where it fits; a pax header before it for the rest. Owners and sizes beyond the octal fields are base-256.
"""

from __future__ import annotations

from engine.layers.entries import Entry, Kind
from engine.layers.headers import BLOCK_BYTES

_TYPES = {
    Kind.FILE: b"0",
    Kind.HARD_LINK: b"1",
    Kind.SYMLINK: b"2",
    Kind.CHAR_DEVICE: b"3",
    Kind.BLOCK_DEVICE: b"4",
    Kind.DIRECTORY: b"5",
    Kind.FIFO: b"6",
}
_TIME_MAXIMUM = 2**32 - 1
_FIELD_BYTES = 100
END = bytes(2 * BLOCK_BYTES)


def head(entry: Entry, path: bytes, link: bytes, *, extra: bytes = b"") -> bytes:
    """All header blocks of an entry under its final name; `link` is the final target of a hard or symbolic link.

    `extra`: further pax records (`record`), in front of ours.
    """
    if len(path) > _FIELD_BYTES:
        extra += record(b"path", path)
    if len(link) > _FIELD_BYTES:
        extra += record(b"linkpath", link)
    for key, value in sorted((entry.xattrs or {}).items()):
        extra += record(b"SCHILY.xattr." + key, value)
    size = entry.size if entry.kind is Kind.FILE else 0
    own = _block(entry, path[:_FIELD_BYTES] or b"./", _TYPES[entry.kind], size, link[:_FIELD_BYTES])
    if not extra:
        return own
    extended = Entry(Kind.FILE, b"", b"", len(extra), 0o644, 0, 0, 0)
    padding = bytes(-len(extra) % BLOCK_BYTES)
    return _block(extended, b"pax", b"x", len(extra), b"") + extra + padding + own


def record(key: bytes, value: bytes) -> bytes:
    """One pax record; its length counts its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %b=%b\n" % (length, key, value)


def _block(entry: Entry, name: bytes, kind: bytes, size: int, link: bytes) -> bytes:
    mtime = min(max(entry.mtime, 0), _TIME_MAXIMUM)  # squashfs keeps 32 bits of seconds
    block = b"%b%07o\0%b%b%b%011o\0        %b%bustar\00000%b%b%b%b" % (
        name.ljust(100, b"\0"),
        entry.mode,
        _number(entry.uid, 8),
        _number(entry.gid, 8),
        _number(size, 12),
        mtime,
        kind,
        link.ljust(100, b"\0"),
        bytes(64),
        _number(entry.major, 8),
        _number(entry.minor, 8),
        bytes(167),
    )
    return b"%b%06o\0 %b" % (block[:148], sum(block), block[156:])


def _number(value: int, width: int) -> bytes:
    if value < 8 ** (width - 1):
        return b"%0*o\0" % (width - 1, value)
    return b"\x80" + value.to_bytes(width - 1, "big")
