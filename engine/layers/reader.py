"""A strict, streaming reader of tar archives: one pass, bounded memory, no seeking.

Every kind of extended header is merged into the entry that follows it; one that could apply to something else, or twice,
is refused (TAR-07). Work is proportional to the bytes read: nothing is searched for, nothing is skipped by seeking.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.layers import pax, sparse
from engine.layers.entries import Entry, Kind
from engine.layers.headers import BLOCK_BYTES, SIZE_MAXIMUM, Header, HeaderParser, device_numbers, reject
from engine.layers.names import NAME_LIMIT_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ZEROS = bytes(BLOCK_BYTES)
_KINDS = {
    b"0": Kind.FILE,
    b"\0": Kind.FILE,
    b"7": Kind.FILE,
    b"S": Kind.FILE,
    b"1": Kind.HARD_LINK,
    b"2": Kind.SYMLINK,
    b"3": Kind.CHAR_DEVICE,
    b"4": Kind.BLOCK_DEVICE,
    b"5": Kind.DIRECTORY,
    b"6": Kind.FIFO,
}
_DEVICES = (Kind.CHAR_DEVICE, Kind.BLOCK_DEVICE)
_LONG_LIMIT_BYTES = NAME_LIMIT_BYTES + 1
_HOLE = memoryview(bytes(1024 * 1024))


class Stream:
    """Chunks of any length as header blocks and pieces of bodies, without copying the latter."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._chunk = b""
        self._view = memoryview(b"")
        self._at = 0
        self._end = 0

    def block(self) -> bytes | None:
        """The next 512 bytes; None at the end."""
        at = self._at
        end = at + BLOCK_BYTES
        if end <= self._end:
            self._at = end
            return self._chunk[at:end]
        return self._split_block()

    def _split_block(self) -> bytes | None:
        block = self._chunk[self._at : self._end]
        while len(block) < BLOCK_BYTES:
            if not self._next():
                if block:
                    msg = "it ends in the middle of a block"
                    raise reject(msg)
                return None
            self._at = min(BLOCK_BYTES - len(block), self._end)
            block += self._chunk[: self._at]
        return block

    def piece(self, limit: int) -> memoryview:
        """At least one of the next `limit` bytes."""
        if self._at == self._end and not self._next():
            msg = "it ends in the middle of a file"
            raise reject(msg)
        start = self._at
        self._at = min(self._end, start + limit)
        return self._view[start : self._at]

    def rest(self) -> Iterator[bytes]:
        if self._at < self._end:
            yield self._chunk[self._at : self._end]
        self._at = self._end
        yield from self._chunks

    def _next(self) -> bool:
        for chunk in self._chunks:
            if chunk:
                self._chunk, self._view, self._at, self._end = chunk, memoryview(chunk), 0, len(chunk)
                return True
        return False


class TarReader:
    """`next()` gives the entries; between two of them `copy_body` may be called once for a file's content."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._stream = Stream(chunks)
        self._parser = HeaderParser()
        self._left = 0
        """Bytes of the current body, padding included, that are still in the stream."""
        self.has_end = False
        """Whether the archive said that it ends, once `next` gave None; without that it may have been cut off."""

    def next(self) -> Entry | None:
        """The next entry, or None at the end of the archive.

        Raises:
            LayerRejected: malformed, ambiguous or truncated; the reader is of no more use.
        """
        self._skip()
        header = self._header()
        if header is None:
            return None
        kind = _KINDS.get(header.type)
        if kind is None or header.type == b"S":
            return self._extended_entry(header)
        return self._entry(header, kind)

    def copy_body(self, entry: Entry, write: Callable[[memoryview], object]) -> None:
        """The content of a file, holes filled, then zeros up to a multiple of 512; in pieces that stay valid."""
        if entry.regions is not None:
            self._copy_regions(entry, entry.regions, write)
            return
        left = self._left
        piece = self._stream.piece
        while left > 0:
            view = piece(left)
            left -= len(view)
            write(view)
        self._left = 0

    def finish(self) -> None:
        """Read to the end of the stream. Only zeros may follow the two blocks that end an archive (TAR-09)."""
        for chunk in self._stream.rest():
            if chunk.strip(b"\0"):
                msg = "something follows its end"
                raise reject(msg)

    def _skip(self) -> None:
        while self._left > 0:
            self._left -= len(self._stream.piece(self._left))

    def _header(self) -> Header | None:
        """None at the end: two blocks of zeros, or nothing more at all (Docker takes that too; the diff ID decides)."""
        block = self._stream.block()
        if block is None:
            return None
        if block == _ZEROS:
            if self._stream.block() not in {_ZEROS, None}:
                msg = "a block of zeros stands between its entries"
                raise reject(msg)
            self.has_end = True
            return None
        return self._parser.parse(block)

    def _entry(self, header: Header, kind: Kind) -> Entry:
        """An entry without extended headers."""
        name, size = header.name, header.size
        entry = Entry(kind, name, header.link, size, *header.ids[:3], header.mtime)
        if header.plain and header.type not in b"\x007":
            entry.block = header.block
        if size or kind is not Kind.FILE or name[-1:] == b"/":
            self._settle(entry, header)
        return entry

    def _settle(self, entry: Entry, header: Header) -> None:
        """What depends on the merged name and size: the kind of old directories, the length of the body, devices."""
        if entry.kind is Kind.FILE and entry.name[-1:] == b"/":
            if header.type != b"\0":
                msg = "a file's name ends in a slash"
                raise reject(msg, entry.name)
            entry.kind = Kind.DIRECTORY  # version 7 had no other way to say it
            entry.block = None
        if entry.kind is Kind.FILE:
            self._left = (entry.size + BLOCK_BYTES - 1) // BLOCK_BYTES * BLOCK_BYTES
            return
        if entry.size:
            msg = f"a {entry.kind.value} has a size"
            raise reject(msg, entry.name)
        if entry.name[-1:] == b"/" and entry.kind is not Kind.DIRECTORY:
            msg = f"the name of a {entry.kind.value} ends in a slash"
            raise reject(msg, entry.name)
        if entry.kind in _DEVICES:
            entry.major, entry.minor = device_numbers(header.devices)
            entry.block = None

    def _extended_entry(self, header: Header) -> Entry | None:
        """The entry that follows one or more extended headers (or a sparse one, which brings its own)."""
        extended: pax.Extended | None = None
        long: dict[bytes, bytes] = {}
        following: Header | None = header
        while following is not None and (following.type not in _KINDS):
            if following.type == b"g":
                pax.check_global(self._small_body(following, pax.PAX_LIMIT_BYTES))
            elif following.type == b"x" and extended is None:
                extended = pax.parse(self._small_body(following, pax.PAX_LIMIT_BYTES))
            elif following.type in {b"L", b"K"} and following.type not in long:
                long[following.type] = self._small_body(following, _LONG_LIMIT_BYTES).partition(b"\0")[0]
            else:
                shown = following.type.decode("ascii", "backslashreplace")
                msg = f"an entry of type '{shown}' is unknown, or an extended header comes twice"
                raise reject(msg, following.name)
            following = self._header()
        if following is None:
            if extended is None and not long:
                return None
            msg = "an extended header has no entry after it"
            raise reject(msg)
        return self._merge(following, extended or pax.Extended(), long)

    def _small_body(self, header: Header, limit: int) -> bytes:
        if header.size > limit:
            msg = f"an extended header is longer than {limit} bytes"
            raise reject(msg, header.name)
        data = bytearray()
        left = (header.size + BLOCK_BYTES - 1) // BLOCK_BYTES * BLOCK_BYTES
        while left > 0:
            view = self._stream.piece(left)
            left -= len(view)
            data += view
        return bytes(data[: header.size])

    def _merge(self, header: Header, extended: pax.Extended, long: dict[bytes, bytes]) -> Entry:
        """The entry with its extended headers applied; pax `size` rules the body (CVE-2025-62518)."""
        if (extended.path and b"L" in long) or (extended.linkpath and b"K" in long):
            msg = "an entry is named by two kinds of extended header"
            raise reject(msg, header.name)
        ids = header.ids
        entry = Entry(
            _KINDS[header.type],
            extended.path or long.get(b"L") or header.name,
            extended.linkpath or long.get(b"K") or header.link,
            header.size if extended.size is None else extended.size,
            ids.mode,
            ids.uid if extended.uid is None else extended.uid,
            ids.gid if extended.gid is None else extended.gid,
            header.mtime if extended.mtime is None else extended.mtime,
            xattrs=extended.xattrs or None,
        )
        is_sparse = header.type == b"S" or extended.sparse or extended.sparse_pairs
        if is_sparse:
            entry.name = extended.sparse.get(b"name") or entry.name
        self._settle(entry, header)
        if is_sparse:
            self._settle_sparse(entry, header, extended)
        return entry

    def _settle_sparse(self, entry: Entry, header: Header, extended: pax.Extended) -> None:
        if entry.kind is not Kind.FILE or (header.type == b"S" and (extended.sparse or extended.sparse_pairs)):
            msg = "a sparse map stands where none can"
            raise reject(msg, entry.name)
        stored = entry.size
        if header.type == b"S":
            pairs, real = self._old_map(header), sparse.old_real_size(header.block)
        else:
            size = extended.sparse.get(b"realsize", extended.sparse.get(b"size", b""))
            real = pax.decimal(size, "sparse size", SIZE_MAXIMUM)
            if extended.sparse.get(b"major") == b"1" and extended.sparse.get(b"minor") == b"0":
                reader = sparse.MapReader(entry.name)
                pairs = self._stored_map(reader)
                stored -= reader.blocks * BLOCK_BYTES
            else:
                pairs = self._listed_map(entry, extended)
        entry.size = real
        entry.regions = sparse.checked(pairs, real_size=real, stored_size=stored, name=entry.name)

    def _old_map(self, header: Header) -> list[tuple[int, int]]:
        pairs, more = sparse.old_pairs(header.block, extension=False)
        while more:
            block = self._stream.block()
            if block is None or len(pairs) > sparse.REGION_LIMIT:
                msg = "a sparse file's map does not end"
                raise reject(msg, header.name)
            found, more = sparse.old_pairs(block, extension=True)
            pairs += found
        return pairs

    def _stored_map(self, reader: sparse.MapReader) -> list[tuple[int, int]]:
        pairs = None
        while pairs is None:
            block = self._stream.block() if self._left > 0 else None
            if block is None:
                msg = "a sparse file's map does not end"
                raise reject(msg)
            self._left -= BLOCK_BYTES
            pairs = reader.feed(block)
        return pairs

    def _listed_map(self, entry: Entry, extended: pax.Extended) -> list[tuple[int, int]]:
        """Forms 0.1 (one record) and 0.0 (a pair of records for each region)."""
        listed = extended.sparse.get(b"map")
        if listed is not None:
            return sparse.pairs_of_numbers(listed.split(b",") if listed else [], entry.name)
        keys = [key for key, _ in extended.sparse_pairs]
        if keys != [sparse.OFFSET_KEY, sparse.SIZE_KEY] * (len(keys) // 2):
            msg = "a sparse file's map is malformed"
            raise reject(msg, entry.name)
        return sparse.pairs_of_numbers([value for _, value in extended.sparse_pairs], entry.name)

    def _copy_regions(
        self, entry: Entry, regions: tuple[sparse.Region, ...], write: Callable[[memoryview], object]
    ) -> None:
        at = 0
        for offset, size in regions:
            _copy_hole(offset - at, write)
            left = size
            while left > 0:
                view = self._stream.piece(left)
                left -= len(view)
                self._left -= len(view)
                write(view)
            at = offset + size
        end = (entry.size + BLOCK_BYTES - 1) // BLOCK_BYTES * BLOCK_BYTES
        _copy_hole(end - at, write)


def _copy_hole(size: int, write: Callable[[memoryview], object]) -> None:
    while size > 0:
        part = _HOLE[: min(size, len(_HOLE))]
        size -= len(part)
        write(part)
