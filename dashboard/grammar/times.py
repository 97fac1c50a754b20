"""Moments as Docker reads them: RFC 3339 with parts missing, seconds since 1970, or a duration back from now.

Source: github.com/moby/moby, api/types/time (behaviour, not code); Go's time.ParseDuration.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

from dashboard.grammar.errors import ValueRefused

_SECOND_NS = 1_000_000_000
_UNITS_NS = {
    "ns": 1,
    "us": 1000,
    "µs": 1000,
    "μs": 1000,
    "ms": 1_000_000,
    "s": _SECOND_NS,
    "m": 60 * _SECOND_NS,
    "h": 3600 * _SECOND_NS,
}
_PART = re.compile(r"(\d{1,18}(?:\.\d{0,18})?|\.\d{1,18})(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_DURATION = re.compile(rf"([+-]?)((?:{_PART.pattern})+)\Z", re.ASCII)
_SECONDS = re.compile(r"(\d{1,12})(?:\.(\d{1,9}))?\Z", re.ASCII)
_MOMENT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?)?(?:([Zz])|([+-])(\d\d):(\d\d))?\Z",
    re.ASCII,
)


def read_moment(text: str, *, now_ns: int) -> int:
    """Nanoseconds since 1970. A date without a zone is in the server's own.

    Raises:
        ValueRefused: it is none of the three.
    """
    for read in (_ago, _seconds, _calendar):
        try:
            found = read(text, now_ns)
        except (ValueError, OverflowError):
            found = None
        if found is not None:
            return found
    msg = f'failed to parse value as time or duration: "{text}"'
    raise ValueRefused(msg)


def _ago(text: str, now_ns: int) -> int | None:
    match = _DURATION.match(text)
    if match is None:
        return None
    total = sum(int(Decimal(count) * _UNITS_NS[unit]) for count, unit in _PART.findall(match[2]))
    return now_ns + total if match[1] == "-" else now_ns - total


def _seconds(text: str, _now_ns: int) -> int | None:
    match = _SECONDS.match(text)
    return None if match is None else int(match[1]) * _SECOND_NS + int((match[2] or "").ljust(9, "0"))


def _calendar(text: str, _now_ns: int) -> int | None:
    match = _MOMENT.match(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    moment = datetime(year, month, day, hour, minute, second, tzinfo=_zone(match)) if _has_zone(match) else None
    if moment is None:
        moment = datetime(year, month, day, hour, minute, second).astimezone()
    whole = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    return whole * _SECOND_NS + int((match[7] or "").ljust(9, "0"))


def _has_zone(match: re.Match[str]) -> bool:
    return bool(match[8] or match[9])


def _zone(match: re.Match[str]) -> timezone:
    if match[8]:
        return UTC
    away = timedelta(hours=int(match[10]), minutes=int(match[11]))
    return timezone(-away if match[9] == "-" else away)
