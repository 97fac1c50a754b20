from __future__ import annotations

from django.apps import AppConfig


class HistoryConfig(AppConfig):
    name = "dashboard.history"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from dashboard.history import ticks  # noqa: F401 - importing registers it
