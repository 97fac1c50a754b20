from __future__ import annotations

from django.apps import AppConfig


class TerminalsConfig(AppConfig):
    name = "dashboard.terminals"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from dashboard.terminals import ticks  # noqa: F401 - importing registers them
