"""WebSocket addresses of terminals and logs."""

from __future__ import annotations

from django.urls import re_path

from dashboard.terminals.consumers import ExecConsumer, TerminalConsumer

websocket_urlpatterns = [
    re_path(r"^ws/terminals/(?P<container_id>[0-9a-f]{64})$", TerminalConsumer.as_asgi()),
    re_path(r"^ws/execs/(?P<exec_id>[0-9a-f]{64})$", ExecConsumer.as_asgi()),
]
