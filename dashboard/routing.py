"""Every WebSocket address. The test matrix (tests/dashboard/matrix.py) has a row for each."""

from __future__ import annotations

from dashboard.commandline.routing import websocket_urlpatterns as commandline
from dashboard.live.routing import websocket_urlpatterns as live
from dashboard.terminals.routing import websocket_urlpatterns as terminals
from dashboard.transfers.routing import websocket_urlpatterns as transfers

websocket_urlpatterns = [*live, *commandline, *terminals, *transfers]
