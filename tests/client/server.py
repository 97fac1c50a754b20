"""A small real WebSocket server that plays a script: what the door and the terminals say, what the client answered."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = "import sys, pathlib; import client.locate as l; l.RUN_PARENT = pathlib.Path(sys.argv[1]); from client.main import main; import os; os._exit(main(sys.argv[2:]))"


def output(payload: bytes, *, stream: int = 1, segment: int = 1, offset: int = 0) -> bytes:
    return struct.pack(">BIQ", stream, segment, offset) + payload


class Server:
    """`door(talk)` and `terminal(talk)` are called with each connection; `talk` sends and receives frames."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.data.mkdir()
        self.door = lambda talk: talk.say(t="exit", code=0)
        self.terminal = lambda talk: None
        self.transfer = lambda talk: None
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.errors: list[BaseException] = []
        tag = hashlib.sha256(str(self.data.resolve()).encode()).hexdigest()[:8]
        self.run = folder / f"berth-{tag}"
        self.run.mkdir()
        (self.run / "admin-token").write_text("the-secret\n")
        self._server = None
        self.port = free_port()
        self.start()

    def start(self) -> None:
        self._server = serve(self._handle, "127.0.0.1", self.port, compression=None, max_size=65536)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()

    def _handle(self, socket) -> None:
        self.paths.append(socket.request.path)
        self.headers.append(dict(socket.request.headers))
        talk = Talk(socket)
        try:
            path = socket.request.path
            (self.terminal if "/ws/terminals/" in path else self.transfer if "/ws/transfers/" in path else self.door)(
                talk
            )
        except ConnectionClosed:
            pass
        except BaseException as error:
            self.errors.append(error)

    def environment(self) -> dict[str, str]:
        return os.environ | {
            "BERTH_DATA": str(self.data),
            "BERTH_LISTEN": f"127.0.0.1:{self.port}",
            "BERTH_PUBLIC_URL": "http://berth.example:8000",
            "PYTHONPATH": str(ROOT),
        }

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-c", LAUNCH, str(self.folder), *words]

    def call(self, *words: str, stdin: bytes = b"", timeout: float = 60):
        done = subprocess.run(
            self.command(*words), check=False, input=stdin, capture_output=True, env=self.environment(), timeout=timeout
        )
        assert not self.errors, self.errors
        return done

    def popen(self, *words: str, **streams):
        return subprocess.Popen(self.command(*words), env=self.environment(), **streams)


class Talk:
    def __init__(self, socket) -> None:
        self.socket = socket

    def say(self, **frame) -> None:
        self.socket.send(json.dumps(frame))

    def bytes(self, data: bytes) -> None:
        self.socket.send(data)

    def hear(self, timeout: float = 60):
        message = self.socket.recv(timeout)
        return message if isinstance(message, bytes) else json.loads(message)

    def hear_until(self, kind: str, timeout: float = 60):
        while True:
            frame = self.hear(timeout)
            if isinstance(frame, dict) and frame["t"] == kind:
                return frame

    def close(self, code: int = 4000) -> None:
        self.socket.close(code)

    def break_off(self) -> None:
        """As a killed web process does: no closing handshake."""
        self.socket.socket.shutdown(2)


@contextmanager
def running(folder: Path):
    server = Server(folder)
    try:
        yield server
    finally:
        server.stop()
