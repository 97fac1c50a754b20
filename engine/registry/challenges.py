"""`WWW-Authenticate` headers, as values. Pure; never raises: what cannot be read is no challenge.

Source: RFC 9110 11.2 and 11.6.1 (several challenges may share one header); distribution, token.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HEADER_LIMIT = 8192
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - a pattern
_PARAMETER = re.compile(rf'({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))')
_SCHEME = re.compile(rf"({_TOKEN})(?:[ \t]+|\Z|(?=,))")
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*[ \t]*(?=,|\Z)")
_GAP = re.compile(r"[ \t,]*")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way in. `scheme` and the names of `parameters` are in lower case."""

    scheme: str
    parameters: dict[str, str] = field(default_factory=dict)


def parse_challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """All challenges in all `WWW-Authenticate` headers, in order."""
    return tuple(found for header in headers for found in _header(header[:HEADER_LIMIT]))


def _header(text: str) -> Iterator[Challenge]:
    position = 0
    while position < len(text):
        position = _skip(text, position)
        scheme = _SCHEME.match(text, position)
        if scheme is None:
            return
        parameters, position = _parameters(text, scheme.end())
        yield Challenge(scheme[1].lower(), parameters)


def _skip(text: str, position: int) -> int:
    gap = _GAP.match(text, position)
    return gap.end() if gap else position


def _parameters(text: str, position: int) -> tuple[dict[str, str], int]:
    """The parameters from `position` on, the first of a repeated name, and where the next challenge starts."""
    found: dict[str, str] = {}
    if token := _TOKEN68.match(text, position):
        return found, token.end()
    while match := _PARAMETER.match(text, _skip(text, position)):
        value = _ESCAPED.sub(r"\1", match[2]) if match[2] is not None else match[3]
        found.setdefault(match[1].lower(), value)
        position = match.end()
    return found, position
