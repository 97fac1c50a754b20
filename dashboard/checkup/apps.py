from __future__ import annotations

from django.apps import AppConfig


class CheckupConfig(AppConfig):
    name = "dashboard.checkup"

    def ready(self) -> None:
        from dashboard.checkup import handlers  # noqa: F401 - importing registers
