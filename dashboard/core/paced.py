"""Answers that wait for their reader. Daphne takes whatever an application sends and keeps in memory what the network has
not taken yet: a slow reader of a large file would cost all of it. Here an answer in several pieces waits between two of
them while Twisted says that its buffer is full (twisted.internet.interfaces.IPushProducer).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]  # ASGI's types are dictionaries
Send = Callable[[Message], Awaitable[None]]


class _Pace:
    """Registered with Twisted's request as what produces its content."""

    def __init__(self) -> None:
        self._may_go_on = asyncio.Event()
        self._may_go_on.set()

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's interface
        self._may_go_on.clear()

    def resumeProducing(self) -> None:  # noqa: N802 - Twisted's interface
        self._may_go_on.set()

    def stopProducing(self) -> None:  # noqa: N802 - Twisted's interface
        self._may_go_on.set()

    async def wait(self) -> None:
        await self._may_go_on.wait()


class PacedAnswers:
    """Around the application that answers HTTP. Under another server than Daphne, which has a pace of its own, it does nothing."""

    def __init__(self, application: Callable[..., Awaitable[None]]) -> None:
        self._application = application

    async def __call__(self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        request = next(iter(getattr(send, "args", ())), None)  # Daphne's `send` is a partial of the request
        if hasattr(request, "registerProducer"):
            send = _paced(send, request)
        await self._application(scope, receive, send)


def _paced(send: Send, request: Any) -> Send:  # Twisted has no types
    pace: list[_Pace] = []

    async def send_paced(message: Message) -> None:
        has_more = message["type"] == "http.response.body" and message.get("more_body", False)
        if has_more and not pace and request.channel is not None:
            pace.append(_Pace())
            request.registerProducer(pace[0], streaming=True)
        if pace and not has_more and request.channel is not None:
            request.unregisterProducer()
        await send(message)
        if pace and has_more:
            await pace[0].wait()

    return send_paced
