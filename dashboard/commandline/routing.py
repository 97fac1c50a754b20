"""The command door's address."""

from __future__ import annotations

from django.urls import path

from dashboard.commandline.consumers import CommandConsumer

websocket_urlpatterns = [path("ws/command", CommandConsumer.as_asgi(), name="ws-command")]
