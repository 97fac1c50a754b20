"""One viewer of a container's terminal through the WebSocket, as a browser or the command line is one."""

from __future__ import annotations

import json
import random
import time

from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from tests.support.server import BerthServer

HEADER_BYTES = 13
ACK_BYTES = 64 * 1024
GAP_S = 0.02


class Viewer:
    """`queue` 1 and no reads make one that is stuck."""

    def __init__(
        self, berth: BerthServer, container: str, *, kind: str = "browser", start: str = "end", queue: int | None = None
    ) -> None:
        path = f"/ws/terminals/{container}?mode=attach&kind={kind}&stdin=1&rows=24&cols=80&from={start}"
        self._socket: ClientConnection = connect(
            f"ws://127.0.0.1:{berth.port}{path}", origin=Origin(berth.url), compression=None, proxy=None,
            additional_headers={"Authorization": f"Bearer {berth.admin_token}"}, max_size=None, max_queue=queue,
            ping_interval=None,
        )  # fmt: skip
        self.received = 0
        self._acknowledged = 0
        self.skipped = 0

    def __enter__(self) -> Viewer:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def until_live(self) -> None:
        while True:
            message = self._socket.recv(30)
            if isinstance(message, str) and json.loads(message)["t"] == "live":
                return
            self._count(message)

    def type(self, data: bytes) -> None:
        self._socket.send(data)

    def read(self, timeout_s: float = 30) -> bytes:
        """The next output; messages in between are looked at only for skips."""
        while True:
            message = self._socket.recv(timeout_s)
            self._count(message)
            if isinstance(message, bytes):
                return message[HEADER_BYTES:]

    def read_quietly(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                self.read(left)
            except TimeoutError:
                return

    def _count(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self.skipped += json.loads(message)["t"] == "skipped"
            return
        self.received += len(message) - HEADER_BYTES
        if self.received - self._acknowledged >= ACK_BYTES:
            self.acknowledge()

    def acknowledge(self) -> None:
        self._acknowledged = self.received
        self._socket.send(json.dumps({"t": "ack", "bytes": self.received}))

    def echo_seconds(self, count: int) -> list[float]:
        """Time from sending a key to its echo, `count` times, a person's pause between; needs a terminal that echoes."""
        found = []
        for number in range(count):
            key = b"%c" % (97 + number % 26)
            began = time.monotonic()
            self.type(key)
            seen = self.read()
            while key not in seen:
                seen += self.read()
            found.append(time.monotonic() - began)
            if number % 60 == 59:
                self.type(b"\n")
                self.read_quietly(0.1)
                self.acknowledge()
            time.sleep(GAP_S * random.uniform(0.5, 1.5))
        return found
