"""Who may open a WebSocket at all, before any consumer's code runs (WS-01).

Browsers send cookies with a WebSocket from any page, so the Origin must be exactly one of ours: scheme, host and port,
as written. A page on another port of this host is another origin (a container's published port may show one). The
command line sends no Origin, or ours: without one the connection must carry a bearer secret, which no page can make a
browser send.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Any

log = logging.getLogger(__name__)
Application = Callable[[Any, Any, Any], Awaitable[None]]  # ASGI: dictionaries and callables


class ExactOrigins:
    def __init__(self, application: Application, origins: Collection[str]) -> None:
        self._application = application
        self._origins = frozenset(origins)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # ASGI's types are dictionaries
        headers = scope.get("headers", ())
        if is_admitted(headers, self._origins):
            await self._application(scope, receive, send)
            return
        log.warning("a WebSocket was refused for its origin: %r", _values(headers, b"origin"))
        await receive()
        await send({"type": "websocket.close", "code": 4403})  # before accept: HTTP 403


def is_admitted(headers: Collection[tuple[bytes, bytes]], origins: Collection[str]) -> bool:
    """Exactly one Origin that is ours; or none at all, with a bearer secret (which the consumer then checks)."""
    found = _values(headers, b"origin")
    if not found:
        authorizations = _values(headers, b"authorization")
        return len(authorizations) == 1 and authorizations[0].lower().startswith("bearer ")
    return len(found) == 1 and found[0] in origins


def _values(headers: Collection[tuple[bytes, bytes]], name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in headers if key.lower() == name]
