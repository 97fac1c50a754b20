"""Makes logs in conmon's format, byte for byte, for tests that need no conmon."""

from __future__ import annotations

from datetime import UTC, datetime

START_NS = 1_790_000_000_123_456_789


def stamp(time_ns: int) -> bytes:
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return datetime.fromtimestamp(seconds, UTC).strftime(f"%Y-%m-%dT%H:%M:%S.{rest:09d}+00:00").encode()


def records(data: bytes, *, stream: bytes = b"stdout", time_ns: int = START_NS) -> bytes:
    """One write of a program, as conmon logs it: a full record for each newline, a partial one for the rest."""
    out = []
    *full, rest = data.split(b"\n")
    prefix = stamp(time_ns) + b" " + stream
    out += [prefix + b" F " + line + b"\n" for line in full]
    if rest:
        out.append(prefix + b" P " + rest + b"\n")
    return b"".join(out)
