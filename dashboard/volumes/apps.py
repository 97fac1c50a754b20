from __future__ import annotations

from django.apps import AppConfig


class VolumesConfig(AppConfig):
    name = "dashboard.volumes"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from dashboard.volumes import handlers, ticks  # noqa: F401 - importing registers them
