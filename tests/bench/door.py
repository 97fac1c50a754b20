"""The command door and the terminal that it names, as a browser uses them."""

from __future__ import annotations

import json
import time
from typing import Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from tests.bench.viewer import HEADER_BYTES
from tests.support.server import BerthServer

WAIT_S = 60


def _with_size(path: str) -> str:
    parts = urlsplit(path)
    query = dict(parse_qsl(parts.query, keep_blank_values=True)) | {"kind": "browser", "rows": "24", "cols": "80"}
    return f"{parts.path}?{urlencode(query)}"


class Door:
    """One `/ws/command`, open before any clock starts, as a page has it."""

    def __init__(self, berth: BerthServer) -> None:
        self._berth = berth
        self._socket = self._open("/ws/command")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _open(self, path: str) -> ClientConnection:
        return connect(
            f"ws://127.0.0.1:{self._berth.port}{path}", origin=Origin(self._berth.url), compression=None, proxy=None,
            additional_headers={"Authorization": f"Bearer {self._berth.admin_token}"}, max_size=None, ping_interval=None,
        )  # fmt: skip

    def seconds_to_prompt(self, *words: str, prompt: bytes) -> float:
        """From sending the words to the prompt. The shell is left by `exit`, the command's end waited for."""
        began = time.monotonic()
        self._socket.send(json.dumps({"t": "run", "argv": list(words), "tty": True, "rows": 24, "cols": 80}))
        stream = self._until("stream")
        terminal = self._open(_with_size(stream["path"]))
        seen = b""
        while prompt not in seen:
            message = terminal.recv(WAIT_S)
            if isinstance(message, bytes):
                seen += message[HEADER_BYTES:]
        took = time.monotonic() - began
        terminal.send(b"exit\n")
        while not (isinstance(message := terminal.recv(WAIT_S), str) and json.loads(message)["t"] == "exit"):
            pass
        terminal.close()
        self._socket.send(json.dumps({"t": "stream-ended", "how": "exited", "code": 0}))
        self._until("exit")
        return took

    def _until(self, kind: str) -> dict:
        while True:
            frame = json.loads(self._socket.recv(WAIT_S))
            if frame["t"] == kind:
                return frame
            if frame["t"] in {"err", "error", "exit"}:
                raise RuntimeError(f"the door said {frame}")
