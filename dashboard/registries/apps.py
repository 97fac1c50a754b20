from __future__ import annotations

from django.apps import AppConfig


class RegistriesConfig(AppConfig):
    name = "dashboard.registries"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from dashboard.registries import handlers  # noqa: F401 - importing registers them
