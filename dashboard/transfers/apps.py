from __future__ import annotations

from django.apps import AppConfig


class TransfersConfig(AppConfig):
    name = "dashboard.transfers"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from dashboard.transfers import ticks  # noqa: F401 - importing registers them
