from __future__ import annotations

from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "dashboard.jobs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from dashboard import gateway
        from dashboard.core.middleware import register_errors
        from dashboard.jobs import host, reconcile  # noqa: F401 - importing registers their ticks

        register_errors(gateway.EngineError, gateway.status_of)
