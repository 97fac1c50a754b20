"""Frames of `/ws/terminals/<container id>`, pure: both ends can be tested without a socket.

Server, binary: `u8 stream | u32 BE segment | u64 BE offset | payload`. `stream` 1 is stdout or the TTY, 2 stderr; the
position is the one after this frame, fit for `from=<segment>.<offset>` on the next connection; payload ≤ 32 KiB.
Server, JSON text: hello, resize, live, skipped, taken, watching, life, exit, detached, notice, error (`Message`); watching and
life (Berth stops it at `ends_at`; "": no longer) to pages only.
Client, binary: input, ≤ 64 KiB a message. Client, JSON text: ack, resize, eof, detach.

Flow, output: the server keeps at most 256 KiB of payload beyond the client's last `{"t":"ack","bytes":total}`.
Flow, input: the server says `{"t":"taken","bytes":total}` for what the program's side has taken. A client should keep
at most 256 KiB of input beyond that (a keyboard never needs to think about it; a paste or a pipe does). Input
beyond 1 MiB in the queue ends the connection with 4413, so that no memory grows.
"""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

HEADER = struct.Struct(">BIQ")
PAYLOAD_LIMIT_BYTES = 32 * 1024
INPUT_LIMIT_BYTES = 64 * 1024
TEXT_LIMIT_BYTES = 4 * 1024
WINDOW_BYTES = 256 * 1024
INPUT_WINDOW_BYTES = 256 * 1024
INPUT_QUEUE_LIMIT_BYTES = 1024 * 1024
SIZE_LIMIT = 1000


class Close(int, Enum):
    """Why a connection ended. 4401, 4403 and 4404 come from the guard."""

    NORMAL = 4000
    BAD_REQUEST = 4400
    UNAUTHENTICATED = 4401
    DENIED = 4403
    UNKNOWN = 4404
    NO_ACK = 4408
    INPUT_TAKEN = 4409
    LOG_GONE = 4410
    TOO_BIG = 4413
    TOO_MANY = 4429
    BROKEN = 4500  # Daphne refuses to send 1011


class FrameInvalid(ValueError):
    """The other side sent something that this protocol does not know. The message is a sentence."""


@dataclass(frozen=True, slots=True)
class Output:
    stream: int
    segment: int
    offset: int
    payload: bytes


def encode_output(stream: int, segment: int, offset: int, payload: bytes) -> bytes:
    return HEADER.pack(stream, segment, offset) + payload


def decode_output(frame: bytes) -> Output:
    """Raises FrameInvalid."""
    if len(frame) < HEADER.size or len(frame) > HEADER.size + PAYLOAD_LIMIT_BYTES or frame[0] not in {1, 2}:
        msg = "This is not a frame of output."
        raise FrameInvalid(msg)
    stream, segment, offset = HEADER.unpack_from(frame)
    return Output(stream, segment, offset, frame[HEADER.size :])


@dataclass(frozen=True, slots=True)
class Ack:
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Resize:
    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class Eof:
    pass


@dataclass(frozen=True, slots=True)
class Detach:
    pass


ClientMessage = Ack | Resize | Eof | Detach


def decode_client(text: str) -> ClientMessage:
    """Raises FrameInvalid. Sizes are clamped to 1..1000."""
    if len(text) > TEXT_LIMIT_BYTES:
        msg = "The message is too long."
        raise FrameInvalid(msg)
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        msg = "The message is not a JSON object."
        raise FrameInvalid(msg)
    match fields.get("t"):
        case "ack":
            return Ack(_integer(fields, "bytes"))
        case "resize":
            return Resize(clamp(_integer(fields, "rows")), clamp(_integer(fields, "cols")))
        case "eof":
            return Eof()
        case "detach":
            return Detach()
    msg = "The message has no known type."
    raise FrameInvalid(msg)


def _integer(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 62:
        msg = f"'{name}' is not a number."
        raise FrameInvalid(msg)
    return value


def clamp(size: int) -> int:
    return max(1, min(SIZE_LIMIT, size))


def encode_message(kind: str, /, **fields: object) -> str:
    return json.dumps({"t": kind, **fields}, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """The query of the address, checked."""

    mode: str = "attach"
    kind: str = "browser"
    wants_input: bool = False
    rows: int | None = None
    columns: int | None = None
    start: str = "replay"  # "replay", "start", "end" or "<segment>.<offset>"
    tail: int | None = None
    follow: bool = True
    timestamps: bool = False
    since_ns: int | None = None  # output of a log that was written from then on
    until_ns: int | None = None  # and up to then
    detach_keys: str = ""


def parse_query(query: Mapping[str, str]) -> StreamRequest:
    """Raises FrameInvalid: a value outside its set. Unknown names are ignored."""
    mode = _one_of(query, "mode", "attach", {"attach", "logs"})
    tail = query.get("tail", "")
    return StreamRequest(
        mode=mode,
        kind=_one_of(query, "kind", "browser", {"browser", "cli"}),
        wants_input=mode == "attach" and _flag(query, "stdin", default=False),
        rows=_size(query, "rows"),
        columns=_size(query, "cols"),
        start=_start(query.get("from", "replay" if mode == "attach" else "start")),
        tail=None if tail in {"", "all"} else _number(tail, "tail"),
        follow=_flag(query, "follow", default=True),
        timestamps=_flag(query, "timestamps", default=False),
        since_ns=_moment(query, "since"),
        until_ns=_moment(query, "until"),
        detach_keys=query.get("detach_keys", "")[:200],
    )


def _one_of(query: Mapping[str, str], name: str, default: str, known: set[str]) -> str:
    value = query.get(name, default)
    if value not in known:
        msg = f"'{name}' is one of {', '.join(sorted(known))}."
        raise FrameInvalid(msg)
    return value


def _flag(query: Mapping[str, str], name: str, *, default: bool) -> bool:
    return _one_of(query, name, "1" if default else "0", {"0", "1"}) == "1"


def _number(text: str, name: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        msg = f"'{name}' is not a number."
        raise FrameInvalid(msg)
    return int(text)


def _moment(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name, "")
    if not re.fullmatch(r"(-?[0-9]{1,19})?", text):
        msg = f"'{name}' is not a number."
        raise FrameInvalid(msg)
    return int(text) if text else None


def _size(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name, "")
    number = _number(text, name) if text else 0
    return clamp(number) if number else None


def _start(text: str) -> str:
    segment, dot, offset = text.partition(".")
    if text in {"replay", "start", "end"}:
        return text
    if dot and all(part.isascii() and part.isdigit() and len(part) <= 18 for part in (segment, offset)):
        return text
    msg = "'from' is start, end, replay or <segment>.<offset>."
    raise FrameInvalid(msg)
