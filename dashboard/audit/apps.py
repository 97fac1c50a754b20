from __future__ import annotations

from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "dashboard.audit"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from dashboard.audit import happenings

        happenings.listen()
