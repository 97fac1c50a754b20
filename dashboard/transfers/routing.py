"""The WebSocket address of transfers."""

from __future__ import annotations

from django.urls import re_path

from dashboard.transfers.consumers import TransferConsumer

websocket_urlpatterns = [re_path(r"^ws/transfers/(?P<key>[0-9a-f]{32})$", TransferConsumer.as_asgi())]
