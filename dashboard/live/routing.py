"""WebSocket address of events."""

from __future__ import annotations

from django.urls import re_path

from dashboard.live.consumers import LiveConsumer

websocket_urlpatterns = [re_path(r"^ws/live$", LiveConsumer.as_asgi())]
