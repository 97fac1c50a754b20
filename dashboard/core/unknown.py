"""A WebSocket address that nothing serves: refused, without the traceback that Channels would log for each."""

from __future__ import annotations

from typing import Any

from django.urls import re_path


async def _refuse(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.close", "code": 4404})


unknown_address = re_path(r"", _refuse)  # type: ignore[arg-type]  # an ASGI application where Django knows views
