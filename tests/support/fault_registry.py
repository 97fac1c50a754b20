"""A registry of our own that misbehaves as told: slow, cut off, lying, redirecting, too large, or a log-in page.

    with FaultRegistry() as registry:
        registry.add("library/x:1", image)
        registry.fail(r"/blobs/", truncate(1000), times=1)

Faults are functions of an `Exchange`; the first matching one that has `times` left handles the request. `registry.seen`
records every request with its headers.
"""

from __future__ import annotations

import http.server
import re
import socket
import ssl
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from tests.support.images import TestImage, TestIndex

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Fault = Callable[["Exchange"], None]

PIECE = 16 * 1024


@dataclass(frozen=True)
class Seen:
    path: str
    headers: dict[str, str]


@dataclass
class Exchange:
    """One request and the answer that it would get. A fault changes the answer and sends it, or does worse."""

    handler: http.server.BaseHTTPRequestHandler
    path: str
    headers: dict[str, str]
    status: int
    reply: dict[str, str]
    body: bytes
    closing: threading.Event

    def head(self) -> None:
        """Send status and headers; `Content-Length` as the body is unless a fault set it."""
        self.handler.send_response(self.status)
        for name, value in {"Content-Length": str(len(self.body)), **self.reply}.items():
            if value:
                self.handler.send_header(name, value)
        self.handler.end_headers()

    def write(self, data: bytes) -> None:
        self.handler.wfile.write(data)
        self.handler.wfile.flush()

    def send(self) -> None:
        self.head()
        self.write(self.body)

    def hang_up(self) -> None:
        """End the connection in good order (FIN), whatever was promised."""
        self.handler.close_connection = True

    def reset(self) -> None:
        """End it with RST."""
        self.handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.handler.connection.close()
        self.handler.close_connection = True

    def sleep(self, seconds: float) -> None:
        self.closing.wait(seconds)


def truncate(after: int) -> Fault:
    """The right head, then only so many bytes and FIN."""

    def fault(exchange: Exchange) -> None:
        exchange.head()
        exchange.write(exchange.body[:after])
        exchange.hang_up()

    return fault


def reset(after: int) -> Fault:
    def fault(exchange: Exchange) -> None:
        exchange.head()
        exchange.write(exchange.body[:after])
        time.sleep(0.05)
        exchange.reset()

    return fault


def stall(after: int, seconds: float = 60) -> Fault:
    """So many bytes, then silence."""

    def fault(exchange: Exchange) -> None:
        exchange.head()
        exchange.write(exchange.body[:after])
        exchange.sleep(seconds)
        exchange.hang_up()

    return fault


def throttle(bytes_s: int, piece: int = PIECE) -> Fault:
    def fault(exchange: Exchange) -> None:
        exchange.head()
        for start in range(0, len(exchange.body), piece):
            if exchange.closing.is_set():
                break
            exchange.write(exchange.body[start : start + piece])
            exchange.sleep(piece / bytes_s)

    return fault


def answer(status: int, body: bytes = b"", **headers: str) -> Fault:
    """Another answer altogether; `retry_after="1"` becomes `Retry-After: 1`."""

    def fault(exchange: Exchange) -> None:
        exchange.status, exchange.body = status, body
        exchange.reply = {name.replace("_", "-").title(): value for name, value in headers.items()}
        exchange.send()

    return fault


def change(*, body: bytes | None = None, status: int | None = None, **headers: str) -> Fault:
    """The right answer with something replaced; an empty header value removes the header."""

    def fault(exchange: Exchange) -> None:
        exchange.body = exchange.body if body is None else body
        exchange.status = status or exchange.status
        exchange.reply |= {name.replace("_", "-").title(): value for name, value in headers.items()}
        exchange.send()

    return fault


def endless(first: bytes = b"x", **headers: str) -> Fault:
    """A chunked body without end."""

    def fault(exchange: Exchange) -> None:
        exchange.reply |= {"Content-Length": "", "Transfer-Encoding": "chunked"}
        exchange.reply |= {name.replace("_", "-").title(): value for name, value in headers.items()}
        exchange.head()
        piece = first * (PIECE // len(first))
        while not exchange.closing.is_set():
            exchange.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    return fault


def redirect(location: str, status: int = 307) -> Fault:
    return answer(status, location=location)


def ignore_range(exchange: Exchange) -> None:
    """200 and the whole body, whatever was asked for."""
    owner: FaultRegistry = exchange.handler.server.owner  # type: ignore[attr-defined]
    exchange.status, exchange.body = 200, owner.contents[exchange.path][0]
    exchange.reply.pop("Content-Range", None)
    exchange.send()


@dataclass
class Rule:
    pattern: str
    fault: Fault
    times: int

    def claims(self, path: str, headers: dict[str, str]) -> bool:
        text = f"{path} Range:{headers.get('range', '')}"
        return self.times > 0 and re.search(self.pattern, text) is not None


@dataclass
class FaultRegistry:
    """Serves what was added, except where a fault says otherwise. `token` makes every request need that bearer token."""

    host: str = "127.0.0.1"
    certificate: Path | None = None
    realm: str = ""
    token: str = ""
    basic: str = ""
    contents: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    _server: Any = None
    _closing: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._server = _Server((self.host, 0), _Handler)
        self._server.owner = self
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"{'https' if self.certificate else 'http'}://{self.host}:{self.port}"

    def add(self, name: str, content: TestImage | TestIndex) -> None:
        """Make an image readable as `library/x:1`, by its digest too."""
        repository, _, tag = name.rpartition(":")
        for key in (tag, content.digest):
            self.contents[f"/v2/{repository}/manifests/{key}"] = (content.manifest, content.media_type)
        if isinstance(content, TestIndex):
            for image in content.images:
                self.add(f"{repository}:{image.digest.partition(':')[2]}", image)
            return
        for blob, digest in ((content.config, content.image_id), *((x.blob, x.digest) for x in content.layers)):
            self.contents[f"/v2/{repository}/blobs/{digest}"] = (blob, "application/octet-stream")

    def fail(self, pattern: str, fault: Fault, times: int = 1_000_000) -> None:
        """Handle requests whose path (followed by ` Range:<value>`) matches with `fault`, the next `times` times."""
        self.rules.append(Rule(pattern, fault, times))

    def paths(self, pattern: str) -> list[str]:
        return [seen.path for seen in self.seen if re.search(pattern, seen.path)]


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are part of the tests."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        owner: FaultRegistry = self.server.owner  # type: ignore[attr-defined]
        headers = {name.lower(): value for name, value in self.headers.items()}
        owner.seen.append(Seen(self.path, headers))
        exchange = self._exchange(owner, headers)
        rule = next((r for r in owner.rules if r.claims(self.path, headers)), None)
        if rule is not None:
            rule.times -= 1
            rule.fault(exchange)
        else:
            exchange.send()

    def _exchange(self, owner: FaultRegistry, headers: dict[str, str]) -> Exchange:
        status, reply, body = self._answer(owner, headers)
        return Exchange(self, self.path, headers, status, reply, body, owner._closing)

    def _answer(self, owner: FaultRegistry, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        path = self.path.partition("?")[0]
        if path == "/token":
            return (
                200,
                {"Content-Type": "application/json"},
                b'{"token": "%b", "expires_in": 60}' % owner.token.encode(),
            )
        if owner.token and headers.get("authorization") != f"Bearer {owner.token}":
            challenge = f'Bearer realm="{owner.realm or owner.url + "/token"}",service="test",scope="repository:x:pull"'
            return 401, {"WWW-Authenticate": challenge}, b'{"errors":[{"code":"UNAUTHORIZED","message":"no"}]}'
        if owner.basic and headers.get("authorization") != owner.basic:
            return (
                401,
                {"WWW-Authenticate": 'Basic realm="test"'},
                b'{"errors":[{"code":"UNAUTHORIZED","message":"no"}]}',
            )
        if path not in owner.contents:
            code = b"BLOB_UNKNOWN" if "/blobs/" in path else b"MANIFEST_UNKNOWN"
            return 404, {}, b'{"errors":[{"code":"%b","message":"unknown"}]}' % code
        body, media_type = owner.contents[path]
        start = re.match(r"bytes=(\d+)-\Z", headers.get("range", ""))
        if start is None:
            return 200, {"Content-Type": media_type, "ETag": '"fixed"'}, body
        first = int(start[1])
        content_range = f"bytes {first}-{len(body) - 1}/{len(body)}"
        return 206, {"Content-Type": media_type, "Content-Range": content_range}, body[first:]
