"""One repository of one registry: its documents and blobs, verified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from engine.digest import Digest
from engine.errors import DigestMismatch, DocumentInvalid, ReferenceInvalid, RegistryDenied
from engine.oci import media_types
from engine.oci.strict_json import DOCUMENT_LIMIT_BYTES
from engine.registry.download import BlobDownload
from engine.registry.endpoints import Credentials, endpoint_for
from engine.registry.patience import PATIENCE, Patience
from engine.registry.replies import complaint_of, manifest_error
from engine.registry.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.config import EngineConfig
    from engine.oci.documents import Descriptor
    from engine.reference import Reference

_ACCEPT = ", ".join(media_types.ACCEPTED)


@dataclass(frozen=True, slots=True)
class FetchedDocument:
    """A manifest or index: the bytes that `digest` names, and the type the registry gave (no parameters, lower case)."""

    data: bytes
    media_type: str
    digest: Digest


class RegistryClient:
    """Reads `reference.repository`. Use from one thread at a time, in a `with` block.

    Args:
        check: raises to stop; called often, in the thread that uses the client.
    """

    def __init__(
        self,
        config: EngineConfig,
        reference: Reference,
        *,
        check: Callable[[], None],
        credentials: Credentials | None = None,
        patience: Patience = PATIENCE,
    ) -> None:
        endpoint = endpoint_for(config, reference.registry, credentials)
        self._reference = reference
        self._session = Session(endpoint, reference.repository, patience=patience, check=check)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.__exit__()

    def named_document(self) -> FetchedDocument:
        """What the reference names: by its digest where it has one, else by its tag.

        Raises:
            ImageUnknown: no such repository, tag or digest.
            RegistryDenied, RegistryUnreachable, RegistryBusy, RegistryError: as their names say.
            DigestMismatch: the bytes are not the digest's, or not the one that the registry itself announced.
        """
        return self._document(self._reference.digest or self._reference.tag or "latest", self._reference.digest)

    def has_document(self, digest: Digest) -> bool:
        """Whether the registry has this manifest or index for us. Raises as `named_document`, but for what is denied."""
        try:
            return self._session.head_status(f"manifests/{digest}", {"Accept": _ACCEPT}) == 200
        except RegistryDenied:
            return False

    def document(self, descriptor: Descriptor) -> FetchedDocument:
        """The document that an index describes; digest, size and type must be as it says. Raises as `named_document`."""
        found = self._document(descriptor.digest, descriptor.digest)
        if len(found.data) != descriptor.size_bytes:
            msg = f"{self._what} has {len(found.data)} bytes where {descriptor.size_bytes} were announced."
            raise DigestMismatch(msg, subject=descriptor.digest)
        if found.media_type != descriptor.media_type:
            msg = (
                f"{self._what} was announced as '{descriptor.media_type[:120]}' but sent as '{found.media_type[:120]}'."
            )
            raise DocumentInvalid(msg, subject=descriptor.digest)
        return found

    def blob(self, descriptor: Descriptor) -> bytes:
        """A small blob whole and verified: a config."""
        if descriptor.size_bytes > DOCUMENT_LIMIT_BYTES:
            msg = f"The image's configuration is larger than {DOCUMENT_LIMIT_BYTES // 1024 // 1024} MiB."
            raise DocumentInvalid(msg, subject=descriptor.digest)
        data = b"".join(self.stream(descriptor.digest, descriptor.size_bytes))
        _check_digest(data, descriptor.digest, "The image's configuration")
        return data

    def stream(self, digest: Digest, size_bytes: int, *, offset: int = 0) -> Iterator[bytes]:
        """A blob's bytes from `offset`; the size is enforced, the digest is the caller's. See `BlobDownload.chunks`."""
        return BlobDownload(self._session, digest, size_bytes, offset=offset).chunks()

    @property
    def _what(self) -> str:
        return f"The manifest of {self._reference.familiar}"

    def _document(self, name: str, expected: Digest | None) -> FetchedDocument:
        endpoint = self._session.endpoint
        accept = {"Accept": _ACCEPT}
        response, data = self._session.get_whole(
            f"manifests/{name}", accept, limit=DOCUMENT_LIMIT_BYTES, what=self._what
        )
        try:
            if response.status_code != 200:
                raise manifest_error(endpoint, self._reference, response.status_code, complaint_of(response))
        finally:
            response.close()
        if expected is not None:
            _check_digest(data, expected, self._what)
        _check_announced(data, response.headers.get("Docker-Content-Digest"), self._what)
        media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return FetchedDocument(data, media_type, expected or Digest.of(data))


def _check_digest(data: bytes, expected: Digest, what: str) -> None:
    hasher = expected.hasher()
    hasher.update(data)
    if hasher.hexdigest() != expected.hex:
        msg = f"{what} does not have the digest {expected}. The registry, or something on the way, changed it."
        raise DigestMismatch(msg, subject=expected)


def _check_announced(data: bytes, header: str | None, what: str) -> None:
    """The registry's own statement is only a hint; but if it is wrong, nothing else it says can be right (REG-02)."""
    if header is None:
        return
    try:
        announced = Digest(header.strip())
    except ReferenceInvalid as error:
        msg = f"{what} came with a digest that is none."
        raise DocumentInvalid(msg) from error
    _check_digest(data, announced, what)
