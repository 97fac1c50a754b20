"""The 512-byte header block of a tar entry: ustar, old GNU, star and version 7. Pure.

Strict: a field is digits, a base-256 number, or empty. Whatever two readers could understand differently is refused
(TAR-06, TAR-07). Sources: POSIX.1-2017 pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format".
"""

from __future__ import annotations

import struct
from typing import NamedTuple
from zlib import adler32

from engine.errors import LayerRejected

BLOCK_BYTES = 512
POSIX_MAGIC = b"ustar\x0000"
GNU_MAGIC = b"ustar  \x00"
ID_MAXIMUM = 2**32 - 2  # 2**32 - 1 means "nobody, leave it" to chown (TAR-17)
SIZE_MAXIMUM = 2**63 - 1
TIME_MAXIMUM = 2**63 - 1
_FIELDS = struct.Struct("100s24s12s12s8s1s100s8s64s16s155s12s")
_MAGICS = (POSIX_MAGIC, GNU_MAGIC)
_NO_PREFIX = bytes(155)
_NO_TAIL = bytes(12)
_STAR_TAIL = b"tar\x00"
_MEMORY = 4096


class Ids(NamedTuple):
    mode: int
    uid: int
    gid: int
    plain: bool


class Header(NamedTuple):
    """`plain`: every reader understands this block alike, so it may be passed on as it is."""

    name: bytes
    type: bytes
    link: bytes
    size: int
    mtime: int
    ids: Ids
    devices: bytes
    plain: bool
    block: bytes


def reject(what: str, name: bytes = b"") -> LayerRejected:
    where = f" (at '{name[:300].decode('utf-8', 'backslashreplace')}')" if name else ""
    return LayerRejected(f"The layer's archive is refused: {what}{where}.")


def number(field: bytes, what: str, maximum: int, *, minimum: int = 0) -> int:
    """A numeric field: octal digits with padding, or base-256 with the top bit set; empty is 0."""
    if field[0] & 0x80:
        value = _base256(field)
    else:
        digits = field.strip(b" \0")
        if not digits:
            return 0
        if not digits.isdigit():
            msg = f"a header's {what} is not a number"
            raise reject(msg)
        try:
            value = int(digits, 8)
        except ValueError:
            msg = f"a header's {what} is not an octal number"
            raise reject(msg) from None
    if not minimum <= value <= maximum:
        msg = f"a header's {what} is out of range"
        raise reject(msg)
    return value


def _base256(field: bytes) -> int:
    if field[0] == 0xFF:
        return int.from_bytes(field, "big", signed=True)
    return int.from_bytes(bytes((field[0] & 0x7F,)) + field[1:], "big")


def _is_plain(field: bytes) -> bool:
    """Digits from the first byte on, then only padding (at least one byte of it)."""
    digits = field.rstrip(b" \0")
    return digits.isdigit() and len(digits) < len(field)


def _check_sum(block: bytes, field: bytes) -> bool:
    """Whether it is the usual unsigned sum; a signed one (old Sun tar) is legal but not passed on.

    Adler-32 holds one more than the sum modulo 65521, for 512 bytes of ASCII the sum itself, at a tenth of the cost.
    """
    not_a_tar = "this is not a tar archive, or a header's checksum is wrong"
    try:
        declared = number(field, "checksum", 2**24) - 8 * 0x20
    except LayerRejected:
        raise reject(not_a_tar) from None
    ascii_only = block.isascii()
    total = (adler32(block) & 0xFFFF) - 1 if ascii_only else sum(block)
    if total - sum(field) == declared:
        return field[:1].isdigit()
    if not ascii_only and sum(b - 256 if b > 127 else b for b in block[:148] + block[156:]) == declared:
        return False
    raise reject(not_a_tar)


class HeaderParser:
    """Parses blocks; remembers the combinations of mode, owner and times it has seen, which are few in a layer."""

    def __init__(self) -> None:
        self._ids: dict[bytes, Ids] = {}
        self._times: dict[bytes, tuple[int, bool]] = {}

    def parse(self, block: bytes) -> Header:
        """Raises LayerRejected for anything but a well-formed header; the caller has set blocks of zeros aside."""
        raw_name, raw_ids, raw_size, raw_time, raw_sum, kind, raw_link, magic, _, devices, prefix, tail = (
            _FIELDS.unpack(block)
        )
        plain = _check_sum(block, raw_sum)
        name, link = raw_name.rstrip(b"\0"), raw_link.rstrip(b"\0")
        if b"\0" in name or b"\0" in link:
            name, link, plain = name.partition(b"\0")[0], link.partition(b"\0")[0], False
        if prefix != _NO_PREFIX or tail != _NO_TAIL or (magic not in _MAGICS):
            name, plain = _with_prefix(name, magic, prefix, tail), False
        ids = self._ids.get(raw_ids) or self._parse_ids(raw_ids)
        mtime, plain_time = self._times.get(raw_time) or self._parse_time(raw_time)
        size = number(raw_size, "size", SIZE_MAXIMUM)
        plain = plain and ids.plain and plain_time and _is_plain(raw_size)
        return Header(name, kind, link, size, mtime, ids, devices, plain, block)

    def _parse_ids(self, field: bytes) -> Ids:
        mode, uid, gid = field[:8], field[8:16], field[16:]
        ids = Ids(
            number(mode, "mode", 2**31) & 0o7777,
            number(uid, "owner", ID_MAXIMUM),
            number(gid, "group", ID_MAXIMUM),
            _is_plain(mode) and _is_plain(uid) and _is_plain(gid),
        )
        if len(self._ids) >= _MEMORY:
            self._ids.clear()
        self._ids[field] = ids
        return ids

    def _parse_time(self, field: bytes) -> tuple[int, bool]:
        parsed = number(field, "time", TIME_MAXIMUM, minimum=-TIME_MAXIMUM), _is_plain(field)
        if len(self._times) >= _MEMORY:
            self._times.clear()
        self._times[field] = parsed
        return parsed


def _with_prefix(name: bytes, magic: bytes, prefix: bytes, tail: bytes) -> bytes:
    """The name with the part before it, where this flavour of tar has one."""
    if magic == GNU_MAGIC or not magic.startswith(b"ustar\0"):
        return name  # GNU keeps times there, version 7 nothing that counts
    part = (prefix[:131] if tail.endswith(_STAR_TAIL) else prefix).partition(b"\0")[0]
    if not part:
        return name
    if magic != POSIX_MAGIC:
        msg = "a header has a prefix but no known version"
        raise reject(msg, name)
    return part + b"/" + name


def device_numbers(field: bytes) -> tuple[int, int]:
    """(major, minor). Linux and squashfs keep 12 and 20 bits of them (TAR-11)."""
    return number(field[:8], "major device number", 2**12 - 1), number(field[8:], "minor device number", 2**20 - 1)
