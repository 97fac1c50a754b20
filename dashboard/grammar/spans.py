"""Lengths of time as people say them: `90m`, `8h`, `1d12h`."""

from __future__ import annotations

import re
from typing import Final

from dashboard.grammar.errors import ValueRefused

_UNITS_S: Final = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_SPAN = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,7})m)?(?:(\d{1,9})s)?", re.ASCII)


def read_span(text: str) -> int:
    """Seconds.

    Raises:
        ValueRefused: nothing of that kind.
    """
    match = _SPAN.fullmatch(text.strip())
    if text.strip() == "0":
        return 0
    if match is None or not text.strip():
        msg = f'"{text}" is no length of time: say it as 90m, 8h or 1d12h'
        raise ValueRefused(msg)
    return sum(int(count) * seconds for count, seconds in zip(match.groups(), _UNITS_S.values(), strict=True) if count)


def write_span(seconds: int) -> str:
    """As `read_span` reads it."""
    said = ""
    for unit, length in _UNITS_S.items():
        count, seconds = divmod(seconds, length)
        said += f"{count}{unit}" if count else ""
    return said or "0"
