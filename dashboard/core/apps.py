from django.apps import AppConfig
from django.core.signals import request_finished
from django.db import connections


class CoreConfig(AppConfig):
    name = "dashboard.core"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        request_finished.connect(_close_connections, dispatch_uid="berth-close-connections")


def _close_connections(**_: object) -> None:
    """Of a request's own thread, which ends with it: what it left open would stay so until the garbage is collected.

    Not in a test's thread, whose transaction goes on.
    """
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()
