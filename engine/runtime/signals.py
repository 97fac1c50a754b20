"""Signals by the names that people and images use."""

from __future__ import annotations

import signal

from engine.errors import RequestRefused

_ALIASES = {"IOT": signal.SIGABRT, "CLD": signal.SIGCHLD, "POLL": signal.SIGIO}


def parse_signal(text: str | int) -> int:
    """`KILL`, `SIGKILL`, `9`, `RTMIN+3`, `rtmax-1`.

    Raises:
        RequestRefused: no such signal.
    """
    if isinstance(text, int) or (text.isascii() and text.isdecimal()):
        number = int(text)
        if 0 < number <= int(signal.SIGRTMAX):
            return number
    else:
        name = text.upper().removeprefix("SIG")
        number = _named(name)
        if number:
            return number
    msg = f"Invalid signal: {str(text)[:40]}"
    raise RequestRefused(msg)


def _named(name: str) -> int:
    for start, sign in (("RTMIN+", 1), ("RTMAX-", -1)):
        offset = name.removeprefix(start)
        if name.startswith(start) and offset.isascii() and offset.isdecimal() and len(offset) < 3:
            number = (int(signal.SIGRTMIN) if sign > 0 else int(signal.SIGRTMAX)) + sign * int(offset)
            return number if int(signal.SIGRTMIN) <= number <= int(signal.SIGRTMAX) else 0
    if name in _ALIASES:
        return int(_ALIASES[name])
    found = signal.Signals.__members__.get(f"SIG{name}")
    return 0 if found is None else int(found)
