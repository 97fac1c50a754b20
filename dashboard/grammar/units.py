"""Sizes and times in Docker's words.

Source: github.com/docker/go-units, size.go and duration.go (behaviour, not code).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_BASE = 1000.0
_BINARY_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_BINARY_BASE = 1024.0
_MINUTE = 60
_HOUR = 3600
_DAY_HOURS = 24


def human_size(size_bytes: float, *, digits: int = 3) -> str:
    """`188MB`: base 1000, `digits` significant digits. (Docker prints `1e+03kB` just below a unit; this, `1MB`.)"""
    size = float(size_bytes)
    unit = 0
    while unit < len(_UNITS) - 1 and (size >= _BASE or "e" in f"{size:.{digits}g}"):
        size /= _BASE
        unit += 1
    return f"{size:.{digits}g}{_UNITS[unit]}"


def binary_size(size_bytes: float) -> str:
    """`23.54GiB`: memory, base 1024, as Docker prints it."""
    size = float(size_bytes)
    unit = 0
    while unit < len(_BINARY_UNITS) - 1 and size >= _BINARY_BASE:
        size /= _BINARY_BASE
        unit += 1
    return f"{size:.4g}{_BINARY_UNITS[unit]}"


def _sub_hour(seconds: int) -> str:
    if seconds < 1:
        return "Less than a second"
    if seconds < _MINUTE:
        return "1 second" if seconds == 1 else f"{seconds} seconds"
    minutes = seconds // _MINUTE
    return "About a minute" if minutes == 1 else f"{minutes} minutes"


def human_duration(duration: timedelta) -> str:
    """`3 weeks`, `About an hour`, `Less than a second`."""
    total_s = duration.total_seconds()
    if total_s < _HOUR:
        return _sub_hour(int(total_s))
    hours = int(total_s / _HOUR + 0.5)
    if hours == 1:
        return "About an hour"
    steps = ((48, 1, "hours"), (24 * 14, 24, "days"), (24 * 60, 24 * 7, "weeks"), (24 * 365 * 2, 24 * 30, "months"))
    for limit, unit, word in steps:
        if hours < limit:
            return f"{hours // unit} {word}"
    return f"{int(total_s / _HOUR) // (_DAY_HOURS * 365)} years"


def ago(moment: datetime | None, now: datetime) -> str:
    """`3 weeks ago`; `N/A` for an image that says no time, as Docker prints it."""
    if moment is None or moment.year <= 1:
        return "N/A"
    return f"{human_duration(now - moment)} ago"


def rfc3339(moment: datetime | None) -> str:
    """A time as `inspect` prints it: UTC, nanosecond places; Go's zero time for none."""
    if moment is None:
        return "0001-01-01T00:00:00Z"
    text = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".")
    return text + "Z"


def listed_time(moment: datetime | None) -> str:
    """`2014-04-16 22:30:17 +0000 UTC`: what `{{.CreatedAt}}` prints."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S +0000 UTC") if moment else "N/A"
