"""The command line's WebSocket without its program: many commands over one connection, terminals included.

with Door(berth) as door:
    door.run("ps")                     # (exit code, what it said)
    door.attach("shell", resizes=3)    # and leave it by the detach keys
"""

from __future__ import annotations

import contextlib
import struct
from typing import TYPE_CHECKING, Self
from urllib.parse import urlencode

from client.connection import Connection
from client.errors import ConnectionLost
from client.locate import locate

if TYPE_CHECKING:
    from tests.support.server import BerthServer

HEADER = struct.Struct(">BIQ")
PATIENCE_S = 120.0
IN_ORDER = 4000


class Door:
    def __init__(self, berth: BerthServer) -> None:
        self._place = locate(berth.environment)
        self._connection = Connection.open(self._place, "/ws/command")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def run(self, *words: str) -> tuple[int, str]:
        """A command that opens no stream, or one whose stream is read to its end."""
        return self._command(words, tty=False)

    def attach(self, name: str, *, resizes: int = 0) -> None:
        code, said = self._command(("attach", name), tty=True, resizes=resizes, leaves=True)
        assert code == 0, said

    def shell(self, name: str, text: str, *, resizes: int = 0) -> str:
        """A further terminal in it, in which this is typed; to its end."""
        code, said = self._command(("exec", "-it", name, "sh"), tty=True, resizes=resizes, text=text)
        assert code == 0, said
        return said

    def _command(self, words, *, tty, resizes=0, text="", leaves=False) -> tuple[int, str]:
        frame = {"t": "run", "argv": list(words), "tty": tty, "tty_out": tty, "rows": 24, "cols": 80}
        self._connection.send(frame)
        said = ""
        while (frame := self._connection.receive(PATIENCE_S)) is not None:
            kind = frame.get("t")
            if kind == "exit":
                return frame["code"], said
            if kind == "stream":
                how, code, more = self._stream(frame, resizes=resizes, text=text, leaves=leaves)
                said += more
                self._connection.send({"t": "stream-ended", "how": how, "code": code})
            elif kind in {"out", "err"}:
                said += frame["text"]
        raise AssertionError(f"the door closed: {self._connection.close_code} {said}")

    def _stream(self, named, *, resizes, text, leaves) -> tuple[str, int | None, str]:
        path = named["path"]
        query = urlencode({"kind": "cli", "rows": 24, "cols": 80})
        stream = Connection.open(self._place, f"{path}{'&' if '?' in path else '?'}{query}")
        said, consumed = b"", 0
        try:
            for number in range(resizes):
                stream.send({"t": "resize", "rows": 20 + number % 30, "cols": 60 + number % 40})
            if text:
                stream.send_bytes(text.encode())
            if leaves:
                stream.send({"t": "detach"})
            while (frame := stream.receive(PATIENCE_S)) is not None:
                if isinstance(frame, bytes):
                    said += frame[HEADER.size :]
                    consumed += len(frame) - HEADER.size
                    with contextlib.suppress(ConnectionLost):  # it has let us go already; what it said is still to read
                        stream.send({"t": "ack", "bytes": consumed})
                elif frame.get("t") in {"exit", "detached"}:
                    return (
                        {"exit": "exited"}.get(frame["t"], "detached"),
                        frame.get("code"),
                        said.decode(errors="replace"),
                    )
        finally:
            stream.close()
        if stream.close_code == IN_ORDER:  # what it said last is lost when we speak while it closes; the door knows
            return ("detached" if leaves else "exited"), None, said.decode(errors="replace")
        raise AssertionError(f"the stream closed: {stream.close_code} {stream.close_reason}")
