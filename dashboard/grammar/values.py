"""Values of flags: sizes, processors, signals, seconds. Each function reads one spelling or raises `ValueRefused`."""

from __future__ import annotations

import re
import signal
from decimal import Decimal, InvalidOperation

from dashboard.grammar.errors import ValueRefused

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(?:([kmgtp]?)(?:i?b)?)\Z", re.IGNORECASE | re.ASCII)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_NANO = 1_000_000_000
_REALTIME = re.compile(r"RTM(IN|AX)(?:([+-])(\d{1,2}))?\Z")
_MAX_SIGNAL = 64
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+\Z", re.ASCII)
_HOST = re.compile(
    r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*\Z"
)
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_MAX_SIZE = 2**62
_MAX_NAME = 128
_HOSTNAME_LIMIT = 64


def read_bool(text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    msg = f'strconv.ParseBool: parsing "{text}": invalid syntax'
    raise ValueRefused(msg)


def read_size(text: str) -> int:
    """`512m`, `1.5g`, `100 MiB`: bytes, base 1024 as Docker reads memory."""
    match = _SIZE.match(text)
    if not match:
        msg = f"invalid size: '{text}'"
        raise ValueRefused(msg)
    size = int(Decimal(match[1]) * 1024 ** _POWERS[match[2].lower()])
    if size > _MAX_SIZE:
        msg = f"invalid size: '{text}'"
        raise ValueRefused(msg)
    return size


def write_size(size_bytes: int) -> str:
    """The shortest spelling that `read_size` reads back exactly."""
    for letter, power in (("g", 3), ("m", 2), ("k", 1)):
        if size_bytes and size_bytes % 1024**power == 0:
            return f"{size_bytes // 1024**power}{letter}"
    return f"{size_bytes}b"


def read_cpus(text: str) -> int:
    """`1.5` → billionths of a processor."""
    try:
        value = Decimal(text) * _NANO
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or value < 0 or value > 10_000 * _NANO:
        msg = f"failed to parse {text} as a rational number"
        raise ValueRefused(msg)
    if value != int(value):
        msg = "value is too precise"
        raise ValueRefused(msg)
    return int(value)


def write_cpus(nano_cpus: int) -> str:
    return format((Decimal(nano_cpus) / _NANO).normalize(), "f")


def read_hours(text: str) -> int:
    """`100`, `0.5`: seconds of so many hours."""
    if not re.fullmatch(r"\d{1,7}(\.\d{1,3})?", text, re.ASCII):
        msg = f"{text} is not a number of hours, as 100 or 0.5"
        raise ValueRefused(msg)
    return int(Decimal(text) * 3600)


def write_hours(seconds: int) -> str:
    """Rounded to tenths; the least that reads back as no less."""
    return format((Decimal(seconds) / 3600).quantize(Decimal("0.1")).normalize(), "f")


def read_int(text: str) -> int:
    if not re.fullmatch(r"[+-]?\d{1,18}", text, re.ASCII):
        msg = f'strconv.ParseInt: parsing "{text}": invalid syntax'
        raise ValueRefused(msg)
    return int(text)


def read_environment(text: str) -> str:
    """`NAME=value`, or `NAME` for the caller's own value."""
    if not text or text.startswith("=") or "\0" in text:
        msg = f"invalid environment variable: {text}"
        raise ValueRefused(msg)
    return text


def read_label(text: str) -> tuple[str, str]:
    """`key=value`, or `key` for an empty value."""
    key, _, value = text.partition("=")
    if not key or "\0" in text:
        msg = f"invalid label: '{text}'"
        raise ValueRefused(msg)
    return key, value


def read_tail(text: str) -> int | None:
    """`all` → None; a negative number means all too, as in Docker."""
    if text == "all":
        return None
    count = read_int(text)
    return count if count >= 0 else None


def signal_number(text: str) -> int | None:
    """`KILL`, `SIGKILL`, `9`, `SIGRTMIN+3` → the number; None for no such signal."""
    if text.isascii() and text.isdigit():
        number = int(text)
        return number if 0 < number <= _MAX_SIGNAL else None
    name = text.upper().removeprefix("SIG")
    if match := _REALTIME.match(name):
        base = int(signal.SIGRTMIN if match[1] == "IN" else signal.SIGRTMAX)
        number = base + int(f"{match[2] or '+'}{match[3] or 0}")
        return number if int(signal.SIGRTMIN) <= number <= int(signal.SIGRTMAX) else None
    found = getattr(signal, f"SIG{name}", None)
    return int(found) if isinstance(found, signal.Signals) else None


def is_container_name(text: str) -> bool:
    return len(text) <= _MAX_NAME and _NAME.match(text) is not None


def is_hostname(text: str) -> bool:
    return len(text) <= _HOSTNAME_LIMIT and _HOST.match(text) is not None
