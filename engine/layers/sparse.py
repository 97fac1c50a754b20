"""Sparse files: GNU's old form and pax 0.0, 0.1 and 1.0, turned into regions of data between holes. Pure.

Source: GNU tar manual, "Storing Sparse Files". Holes become zeros in the stream; squashfs stores such blocks as holes
again. The apparent size counts against the layer's limit (TAR-08).
"""

from __future__ import annotations

from typing import NamedTuple

from engine.layers.headers import BLOCK_BYTES, SIZE_MAXIMUM, number, reject

REGION_LIMIT = 65_536
MAP_LIMIT_BYTES = 1024 * 1024
OFFSET_KEY = b"GNU.sparse.offset"
SIZE_KEY = b"GNU.sparse.numbytes"
_OLD_IN_HEADER = 4
_OLD_IN_EXTENSION = 21


class Region(NamedTuple):
    offset: int
    size: int


def checked(pairs: list[tuple[int, int]], *, real_size: int, stored_size: int, name: bytes) -> tuple[Region, ...]:
    """The regions, when they are in order, do not overlap, lie in the file and are exactly what is stored."""
    if len(pairs) > REGION_LIMIT:
        msg = f"a sparse file has more than {REGION_LIMIT} regions"
        raise reject(msg, name)
    end = stored = 0
    for offset, size in pairs:
        if offset < end or offset + size > real_size:
            msg = "a sparse file's map is out of order or too long"
            raise reject(msg, name)
        end, stored = offset + size, stored + size
    if stored != stored_size:
        msg = "a sparse file's map does not fit what is stored"
        raise reject(msg, name)
    return tuple(Region(offset, size) for offset, size in pairs if size)


def old_real_size(block: bytes) -> int:
    return number(block[483:495], "real size", SIZE_MAXIMUM)


def old_pairs(block: bytes, *, extension: bool) -> tuple[list[tuple[int, int]], bool]:
    """(offset, size) pairs in a header block of type S or in one of its extensions, and whether another follows."""
    start, count, more_at = (0, _OLD_IN_EXTENSION, 504) if extension else (386, _OLD_IN_HEADER, 482)
    pairs = []
    for at in range(start, start + 24 * count, 24):
        if not block[at : at + 24].strip(b"\0"):
            break
        offset = number(block[at : at + 12], "sparse offset", SIZE_MAXIMUM)
        pairs.append((offset, number(block[at + 12 : at + 24], "sparse size", SIZE_MAXIMUM)))
    return pairs, block[more_at] not in {0, 0x30}


def pairs_of_numbers(numbers: list[bytes], name: bytes) -> list[tuple[int, int]]:
    if len(numbers) % 2 or any(not n.isdigit() or len(n) > 19 for n in numbers):
        msg = "a sparse file's map is malformed"
        raise reject(msg, name)
    values = [int(n) for n in numbers]
    return list(zip(values[::2], values[1::2], strict=True))


class MapReader:
    """The map of form 1.0, which stands in whole blocks before the data: a count, then offset and size by turns."""

    def __init__(self, name: bytes) -> None:
        self._name = name
        self._data = b""
        self._lines: list[bytes] = []
        self.blocks = 0

    def feed(self, block: bytes) -> list[tuple[int, int]] | None:
        """The pairs, once this block ends the map."""
        self.blocks += 1
        *lines, self._data = (self._data + block).split(b"\n")
        self._lines += lines
        if self.blocks * BLOCK_BYTES > MAP_LIMIT_BYTES or len(self._data) > BLOCK_BYTES:
            msg = "a sparse file's map is too long"
            raise reject(msg, self._name)
        if not self._lines:
            return None
        count = self._lines[0]
        if not count.isdigit() or len(count) > 9 or int(count) > REGION_LIMIT:
            msg = f"a sparse file's map is malformed or has more than {REGION_LIMIT} regions"
            raise reject(msg, self._name)
        wanted = 2 * int(count)
        return pairs_of_numbers(self._lines[1 : 1 + wanted], self._name) if len(self._lines) > wanted else None
