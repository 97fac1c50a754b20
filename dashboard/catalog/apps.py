from __future__ import annotations

from django.apps import AppConfig


class CatalogConfig(AppConfig):
    name = "dashboard.catalog"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from dashboard.catalog import disk, handlers, ticks  # noqa: F401 - importing registers them

        disk.register()
