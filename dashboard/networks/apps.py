from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


def _make_predefined(using: str, **_said: Any) -> None:  # what a signal says
    from dashboard.networks.models import Network
    from dashboard.networks.predefined import make_predefined

    make_predefined(Network.objects.using(using))


class NetworksConfig(AppConfig):
    name = "dashboard.networks"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from dashboard.networks import handlers, ticks  # noqa: F401 - importing registers them

        post_migrate.connect(_make_predefined, sender=self)
