"""One WebSocket to the running Berth. The library is imported when it is first needed."""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from client.errors import ConnectionLost, Failed
from client.locate import Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from websockets.sync.client import ClientConnection

OPEN_TIMEOUT_S = 10
MAX_MESSAGE_BYTES = 8 * 1024 * 1024
UNAUTHORIZED = (401, 403)
# Half of the time that websockets takes to import goes into these: the one only its unreleased versions use, the other
# finds proxies, which are not used here.
UNUSED = ("importlib.metadata", "urllib.request")
BROKEN = frozenset({1001, 1006, 1011, 1012})

# Frames are JSON of the contract's shapes.
Frame = dict[str, Any]


@contextmanager
def _without(*names: str) -> Iterator[None]:
    """Imports of these modules get an empty one, for as long as this lasts."""
    empty = {name: ModuleType(name) for name in names if name not in sys.modules}
    sys.modules.update(empty)
    try:
        yield
    finally:
        for name in empty:
            del sys.modules[name]


def _certificate_trouble(error: BaseException) -> str:
    import ssl

    return error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else ""


class Connection:
    """Text frames as JSON objects, binary frames as bytes. `send` may be called from several threads."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.close_code: int | None = None
        self.close_reason = ""

    @classmethod
    def open(cls, place: Place, path: str) -> Connection:
        """Connect and authenticate.

        The queue of received frames has no limit of its own (the server sends at most 256 KiB beyond our last
        acknowledgement), so pings are answered even while a slow pipe holds up the output.

        Raises:
            Failed: nobody listens, whoever listened broke off, or the secret is refused.
        """
        with _without(*UNUSED):
            from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
            from websockets.sync.client import connect
            from websockets.typing import Origin

        token = place.token()
        try:
            socket = connect(
                place.address + path,
                origin=Origin(place.origin) if place.origin else None,
                additional_headers={"Authorization": f"Bearer {token}"},
                user_agent_header="berth",
                compression=None,
                proxy=None,
                open_timeout=OPEN_TIMEOUT_S,
                close_timeout=1,
                ping_timeout=60,
                max_size=MAX_MESSAGE_BYTES,
                max_queue=None,
            )
        except InvalidStatus as error:
            if error.response.status_code in UNAUTHORIZED:
                msg = "Berth refused this command line. Was it restarted just now? Try again."
                if place.access:
                    msg = f"{place.name} refused the access token."
                raise Failed(msg) from error
            msg = f"Berth answered with HTTP status {error.response.status_code}."
            raise Failed(msg) from error
        except (OSError, TimeoutError, InvalidHandshake, ConnectionClosed) as error:
            if place.access and (reason := _certificate_trouble(error)):
                msg = f"The certificate of {place.name} is not to be trusted: {reason}. SSL_CERT_FILE names authorities of your own."
                raise Failed(msg) from error
            raise Failed(place.not_there) from error
        return cls(socket)

    @classmethod
    def reopen(cls, place: Place, path: str, *, patience_s: float) -> Connection:
        """As `open`, again and again while the server starts.

        Raises:
            Failed: it did not come back within `patience_s`.
        """
        deadline = time.monotonic() + patience_s
        pause_s = 0.1
        while True:
            try:
                return cls.open(place, path)
            except Failed:
                if time.monotonic() + pause_s > deadline:
                    raise
                time.sleep(pause_s)
                pause_s = min(pause_s * 1.6, 2.0)

    def send(self, frame: Frame) -> None:
        self._send(json.dumps(frame))

    def send_bytes(self, data: bytes) -> None:
        self._send(data)

    def _send(self, message: str | bytes) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            self._socket.send(message)
        except (ConnectionClosed, OSError) as error:
            raise ConnectionLost from error

    def receive(self, timeout_s: float | None = None) -> Frame | bytes | None:
        """The next frame; None when the server closed the connection in order, as `close_code` says.

        Raises:
            TimeoutError: nothing came within `timeout_s`.
            ConnectionLost: the connection broke off.
        """
        from websockets.exceptions import ConnectionClosed

        try:
            message = self._socket.recv(timeout_s)
        except ConnectionClosed as error:
            if error.rcvd is None or error.rcvd.code in BROKEN:
                raise ConnectionLost from error
            self.close_code, self.close_reason = error.rcvd.code, error.rcvd.reason
            return None
        if isinstance(message, bytes):
            return message
        frame = json.loads(message)
        return frame if isinstance(frame, dict) else {}

    def close(self) -> None:
        self._socket.close()
