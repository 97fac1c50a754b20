"""The bytes of one blob, in order, whatever happens to the connection on the way (REG-09, F27, F29).

A broken connection is resumed by Range. The answer to a Range is believed only if it is 206 with exactly the range that
was asked for; a server that ignores or garbles it is read from the start, and the bytes that we have are skipped. The
digest of the whole, checked by the caller, decides in the end; here the size is enforced.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NoReturn

import httpx

from engine.errors import DigestMismatch, ImageUnknown, RegistryError, RegistryUnreachable
from engine.registry.replies import ABSENT, complaint_of, unexpected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.digest import Digest
    from engine.registry.session import Session

CHUNK_BYTES = 1024 * 1024
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19}|\*)\Z")
WHOLE, PART, UNSATISFIABLE = 200, 206, 416


class _Interrupted(Exception):
    """The body ended too early, or the answer to a Range cannot be used: ask again."""


class BlobDownload:
    """One blob from `offset` on. `size_bytes` is the descriptor's, and more or less than that is an error."""

    def __init__(self, session: Session, digest: Digest, size_bytes: int, *, offset: int = 0) -> None:
        self._session = session
        self._digest = digest
        self._size = size_bytes
        self._position = offset
        self._can_range = True
        self._etag: str | None = None

    def chunks(self) -> Iterator[bytes]:
        """The missing bytes, in chunks of about 1 MiB.

        Raises:
            DigestMismatch: the registry holds a blob of another size.
            ImageUnknown: the registry does not have it.
            RegistryUnreachable: the connection broke too often; what was yielded is good to resume from.
            RegistryError: as `Session.get`.
        """
        interruptions = in_a_row = 0
        while self._position < self._size:
            before = self._position
            try:
                yield from _coalesced(self._pieces())
            except (_Interrupted, httpx.TransportError) as error:
                interruptions += 1
                in_a_row = 1 if self._position - before >= CHUNK_BYTES else in_a_row + 1
                if in_a_row >= self._session.patience.attempts or interruptions >= self._session.patience.interruptions:
                    raise self._broken(error) from error
                self._session.wait(self._session.patience.delay_s(in_a_row))

    def _broken(self, error: Exception) -> RegistryUnreachable:
        why = str(error) or type(error).__name__
        msg = (
            f"The download of {self._digest.short} from {self._session.endpoint.label} broke off after {self._position} of "
            f"{self._size} bytes ({why}). Pull again: it goes on from there."
        )
        return RegistryUnreachable(msg, subject=self._digest)

    def _pieces(self) -> Iterator[bytes]:
        """One request's worth of the missing bytes, as they come from the socket."""
        start = self._position if self._can_range else 0
        headers = {"Range": f"bytes={start}-"} if start else {}
        if start and self._etag:
            headers["If-Range"] = self._etag
        response = self._session.get(f"blobs/{self._digest}", headers)
        try:
            skip = self._accept(response, start)
            for piece in response.iter_raw():
                if skip >= len(piece):
                    skip -= len(piece)
                    continue
                fresh = piece[skip:] if skip else piece
                skip = 0
                self._advance(len(fresh))
                yield fresh
        finally:
            response.close()
        if self._position < self._size:
            msg = "the connection ended early"
            raise _Interrupted(msg)

    def _advance(self, count: int) -> None:
        self._position += count
        if self._position > self._size:
            self._position -= count
            self._refuse_size("more")

    def _refuse_size(self, what: str) -> NoReturn:
        msg = (
            f"The registry {self._session.endpoint.label} sent {what} bytes for {self._digest.short} than the {self._size} "
            "that the image's manifest promises. The image is damaged there."
        )
        raise DigestMismatch(msg, subject=self._digest)

    def _accept(self, response: httpx.Response, start: int) -> int:
        """How many bytes of this answer we have already; raises if it is not the blob."""
        status = response.status_code
        if status == PART and start:
            self._check_range(response, start)
            return 0
        if status == UNSATISFIABLE and start:
            self._can_range = False
            msg = "the registry refuses to resume"
            raise _Interrupted(msg)
        if status == ABSENT:
            msg = f"{self._digest.short} is missing in the registry {self._session.endpoint.label}: {complaint_of(response)}"
            raise ImageUnknown(msg, subject=self._digest)
        if status != WHOLE:
            raise unexpected(self._session.endpoint, status, complaint_of(response))
        self._check_whole(response)
        return self._position

    def _check_whole(self, response: httpx.Response) -> None:
        length = response.headers.get("Content-Length", "")
        if length.isdigit() and int(length) == self._size:
            self._etag = _strong(response.headers.get("ETag"))
            return
        if response.headers.get("Content-Type", "").lower().startswith("text/html"):
            msg = f"A web page came instead of {self._digest.short} from {self._session.endpoint.label}. Is there a log-in page between?"
            raise RegistryError(msg, subject=self._digest)
        if length.isdigit() and "Content-Encoding" not in response.headers:
            self._refuse_size("more" if int(length) > self._size else "fewer")

    def _check_range(self, response: httpx.Response, start: int) -> None:
        found = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
        if found and int(found[1]) == start and int(found[2]) == self._size - 1 and found[3] in ("*", str(self._size)):
            return
        self._can_range = False
        msg = "the registry sent another range than asked for"
        raise _Interrupted(msg)


def _strong(etag: str | None) -> str | None:
    """An ETag that can stand in If-Range (RFC 9110 13.1.5): quoted and not weak."""
    return etag if etag and etag.startswith('"') and len(etag) < 256 else None


def _coalesced(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Pieces joined to about 1 MiB; what is at hand when the pieces fail is passed on first."""
    held: list[bytes] = []
    size = 0
    failure: Exception | None = None
    while failure is None:
        try:
            piece = next(pieces, None)
        except (_Interrupted, httpx.TransportError, DigestMismatch) as error:
            failure, piece = error, None
        if piece is not None:
            held.append(piece)
            size += len(piece)
        if size >= CHUNK_BYTES or (piece is None and held):
            yield b"".join(held)
            held, size = [], 0
        if piece is None and failure is None:
            return
    raise failure
