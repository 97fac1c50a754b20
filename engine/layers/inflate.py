"""Compressed layers to plain bytes: gzip (isal), zstd, or none, within bounds (TAR-09).

What the bytes are decides, as with Docker, not what the media type says. Every gzip member and zstd frame counts; what
follows the last member may only be zeros.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import zstandard
from isal import isal_zlib

from engine.layers.headers import reject

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

CHUNK_BYTES = 1024 * 1024
RATIO = 200
RATIO_FREE_BYTES = 64 * 1024 * 1024
ZSTD_WINDOW_BYTES = 128 * 1024 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_PIECE_BYTES = 128 * 1024
_GZIP_FORMAT = 31


class Source:
    """The compressed bytes, counted, in pieces of at most 128 KiB (so that one call inflates a bounded amount)."""

    def __init__(self, chunks: Iterator[bytes], on_bytes: Callable[[int], None], cancelled: Callable[[], None]) -> None:
        self.count = 0
        self.compression = ""
        """"gzip", "zstd" or "none", once `inflate` has seen the first bytes."""
        self._chunks = chunks
        self._on_bytes = on_bytes
        self._check = cancelled
        self._pending = memoryview(b"")

    def read(self, size: int = _PIECE_BYTES) -> bytes:
        """Up to `size` bytes; none at the end."""
        while not self._pending:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._pending = memoryview(chunk)
            self._check()
        part = bytes(self._pending[:size])
        self._pending = self._pending[size:]
        self.count += len(part)
        if not self._pending:
            self._on_bytes(self.count)
        return part


def inflate(source: Source, *, limit_bytes: int) -> Iterator[bytes]:
    """The layer's plain bytes in chunks of at most about 1 MiB.

    Raises:
        LayerRejected: broken or cut off, more than `limit_bytes`, or blown up more than 200 times past 64 MiB.
    """
    first = source.read()
    while len(first) < len(_ZSTD_MAGIC) and (more := source.read()):
        first += more
    if first.startswith(_GZIP_MAGIC):
        source.compression, plain = "gzip", _gzip(first, source)
    elif first.startswith(_ZSTD_MAGIC) or _is_skippable(first):
        source.compression, plain = "zstd", _zstd(first, source)
    else:
        source.compression, plain = "none", _stored(first, source)
    total = 0
    for chunk in plain:
        total += len(chunk)
        if total > limit_bytes:
            msg = f"it is larger than {limit_bytes} bytes when unpacked"
            raise reject(msg)
        if total > RATIO_FREE_BYTES and total > RATIO * source.count:
            msg = f"it unpacks to more than {RATIO} times its size"
            raise reject(msg)
        yield chunk


def _is_skippable(data: bytes) -> bool:
    return len(data) >= 4 and 0x50 <= data[0] <= 0x5F and data[1:4] == b"\x2a\x4d\x18"


def _stored(first: bytes, source: Source) -> Iterator[bytes]:
    data = first
    while data:
        yield data
        data = source.read(CHUNK_BYTES)


def _gzip(first: bytes, source: Source) -> Iterator[bytes]:
    data = first
    while data:
        data = yield from _member(data, source)
        if len(data) < 2:
            data += source.read()
        if data and not data.startswith(_GZIP_MAGIC):
            _only_zeros(data, source)
            return


def _member(data: bytes, source: Source) -> Generator[bytes, None, bytes]:
    """One gzip member; returns the bytes after it that were read already."""
    decoder = isal_zlib.decompressobj(_GZIP_FORMAT)
    try:
        while True:
            chunk = decoder.decompress(data, CHUNK_BYTES)
            if chunk:
                yield chunk
            if decoder.eof:
                return bytes(decoder.unused_data)
            data = decoder.unconsumed_tail
            if not data and not chunk:
                data = source.read()
                if not data:
                    msg = "its gzip data is cut off"
                    raise reject(msg)
    except isal_zlib.IsalError as error:  # type: ignore[misc]  # its stub declares the class as an instance
        msg = f"its gzip data is broken ({error})"
        raise reject(msg) from error


def _only_zeros(data: bytes, source: Source) -> None:
    while data:
        if data.strip(b"\0"):
            msg = "something follows its compressed data"
            raise reject(msg)
        data = source.read()


class _Pieces:
    """The source as zstandard's reader wants it, starting with what was read already."""

    def __init__(self, first: bytes, source: Source) -> None:
        self._first = first
        self._source = source

    def read(self, size: int) -> bytes:
        if self._first:
            part, self._first = self._first[:size], self._first[size:]
            return part
        return self._source.read(size)


def _zstd(first: bytes, source: Source) -> Iterator[bytes]:
    decompressor = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES)
    reader = decompressor.stream_reader(_Pieces(first, source), read_size=_PIECE_BYTES, read_across_frames=True)  # type: ignore[arg-type]  # only read() is called
    try:
        while chunk := reader.read(CHUNK_BYTES):
            yield chunk
    except zstandard.ZstdError as error:
        msg = f"its zstd data is broken or needs more memory than allowed ({error})"
        raise reject(msg) from error
