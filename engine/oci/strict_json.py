"""JSON from strangers: bounded in size and depth, no duplicate keys, no NaN, only text that can be stored (REG-08, REG-12).

`Reader` takes the values out with their types checked, so that no dict of unknown shape travels further in.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NoReturn, TypeVar

from engine.errors import DocumentInvalid

DOCUMENT_LIMIT_BYTES = 4 * 1024 * 1024
DEPTH_LIMIT = 32
# Possessive, and the last quote may be missing: what was read once as text is never tried again from its middle.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKETS = b"[]{}"
_NO_BRACKETS = bytes(set(range(256)) - set(_BRACKETS))
_STEP = {byte: 1 if byte in b"[{" else -1 for byte in _BRACKETS}
_SUSPECT_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
T = TypeVar("T")


def _check_depth(data: bytes, what: str) -> None:
    brackets = _STRING.sub(b"", data).translate(None, _NO_BRACKETS)
    if max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > DEPTH_LIMIT:
        msg = f"{what} is nested deeper than {DEPTH_LIMIT} levels."
        raise DocumentInvalid(msg)


def _check_texts(value: Any, what: str) -> None:  # Any: freshly parsed JSON
    """Refuse NUL and lone surrogates: neither an environment, nor a file system, nor a database can hold them."""
    if isinstance(value, dict):
        for key, member in value.items():
            _check_texts(key, what)
            _check_texts(member, what)
    elif isinstance(value, list):
        for member in value:
            _check_texts(member, what)
    elif isinstance(value, str) and any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value):
        msg = f"{what} contains text that is not valid."
        raise DocumentInvalid(msg)


def load(data: bytes, what: str) -> dict[str, Any]:  # Any: JSON; Reader types it
    """The JSON object in `data`. `what` names the document in errors ("the manifest of ubuntu:14.04").

    Raises:
        DocumentInvalid: too large, too deep, not UTF-8, not JSON, not an object, or a key given twice.
    """
    if len(data) > DOCUMENT_LIMIT_BYTES:
        msg = f"{what} is larger than {DOCUMENT_LIMIT_BYTES // 1024 // 1024} MiB."
        raise DocumentInvalid(msg)
    _check_depth(data, what)

    def refuse(token: str) -> NoReturn:
        raise ValueError(token)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            msg = "a key is given twice"
            raise ValueError(msg)
        return found

    try:
        document = json.loads(data.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        msg = f"{what} is not valid JSON: {str(error)[:200]}."
        raise DocumentInvalid(msg) from error
    if not isinstance(document, dict):
        msg = f"{what} is not a JSON object."
        raise DocumentInvalid(msg)
    if _SUSPECT_ESCAPE.search(data) or b"\0" in data:
        _check_texts(document, what)
    return document


@dataclass(frozen=True, slots=True)
class Reader:
    """Typed access to one JSON object. A missing or null member is the default; a wrong type is DocumentInvalid."""

    members: dict[str, Any]  # Any: JSON
    what: str

    def reject(self, key: str, wanted: str) -> NoReturn:
        msg = f"{self.what} is not valid: '{key}' is not {wanted}."
        raise DocumentInvalid(msg)

    def _take(self, key: str, kind: type[T], wanted: str, default: T) -> T:
        value = self.members.get(key)
        if value is None:
            return default
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            self.reject(key, wanted)
        return value

    def text(self, key: str, default: str = "") -> str:
        return self._take(key, str, "text", default)

    def number(self, key: str, default: int = -1) -> int:
        return self._take(key, int, "a whole number", default)

    def child(self, key: str) -> Reader:
        """The object under `key`; an empty one where there is none."""
        return Reader(self._take(key, dict, "an object", {}), f"'{key}' in {self.what}")

    def texts(self, key: str) -> tuple[str, ...]:
        values = self._take(key, list, "a list", [])
        if not all(isinstance(value, str) for value in values):
            self.reject(key, "a list of texts")
        return tuple(values)

    def children(self, key: str, limit: int) -> tuple[Reader, ...]:
        values = self._take(key, list, "a list", [])
        if len(values) > limit:
            msg = f"{self.what} has more than {limit} {key}."
            raise DocumentInvalid(msg)
        if not all(isinstance(value, dict) for value in values):
            self.reject(key, "a list of objects")
        return tuple(Reader(value, f"'{key}' in {self.what}") for value in values)

    def keys(self, key: str) -> tuple[str, ...]:
        """The names in a set written as an object (`{"80/tcp": {}}`)."""
        return tuple(self._take(key, dict, "an object", {}))

    def text_map(self, key: str) -> dict[str, str]:
        values = self._take(key, dict, "an object", {})
        if not all(isinstance(value, str) for value in values.values()):
            self.reject(key, "an object of texts")
        return dict(values)
