"""Content digests, parsed once into a type that is safe in paths and URLs.

Source: OCI image-spec 1.1, descriptor.md, "Digests". Only the registered algorithms are accepted, so a digest can
never carry a slash, a dot or anything else that means something to a file system (REG-01).
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, NewType, Self

if TYPE_CHECKING:
    from hashlib import _Hash

from engine.errors import ReferenceInvalid

_PATTERN = re.compile(r"(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})\Z")
SHORT_HEX = 12


class Digest(str):
    """`sha256:<64 hex>` or `sha512:<128 hex>`, nothing else. Equal to and usable as its string.

    Raises:
        ReferenceInvalid: the text is no such digest.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        if not _PATTERN.match(text):
            msg = f"'{text[:160]}' is not a digest. A digest is 'sha256:' and 64 hexadecimal digits."
            raise ReferenceInvalid(msg)
        return super().__new__(cls, text)

    @property
    def algorithm(self) -> str:
        return self.partition(":")[0]

    @property
    def hex(self) -> str:
        return self.partition(":")[2]

    @property
    def short(self) -> str:
        """The first 12 hexadecimal digits, as Docker prints them."""
        return self.hex[:SHORT_HEX]

    def hasher(self) -> _Hash:
        return hashlib.new(self.algorithm)

    @classmethod
    def of(cls, data: bytes) -> Self:
        """The sha256 digest of `data`."""
        return cls(f"sha256:{hashlib.sha256(data).hexdigest()}")


DiffId = NewType("DiffId", Digest)
"""The digest of a layer's uncompressed tar."""
