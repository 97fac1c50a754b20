from __future__ import annotations

from django.apps import AppConfig


class ContainersConfig(AppConfig):
    name = "dashboard.containers"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from dashboard.containers import (  # noqa: F401 - importing registers
            copyhandlers,
            exechandlers,
            execreconcile,
            figures,
            handlers,
            healthprobes,
            lifeticks,
            networkhandlers,
            operationhandlers,
            reconcile,
            restartticks,
            runticks,
            trashhandlers,
            usage,
        )

        usage.register()
