"""What Daphne serves: pages by Django, WebSockets by the consumers behind an exact list of origins."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
pages = get_asgi_application()  # before anything that imports models

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.sessions import SessionMiddlewareStack  # noqa: E402
from django.conf import settings  # noqa: E402

from dashboard.core.origins import ExactOrigins  # noqa: E402
from dashboard.core.paced import PacedAnswers  # noqa: E402
from dashboard.core.unknown import unknown_address  # noqa: E402
from dashboard.routing import websocket_urlpatterns  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": PacedAnswers(pages),
        "websocket": ExactOrigins(
            SessionMiddlewareStack(URLRouter([*websocket_urlpatterns, unknown_address])), settings.BERTH_ORIGINS
        ),
    }
)
