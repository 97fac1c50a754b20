"""Open streams of containers: who watches or types, and whether `--rm` must wait for them."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models

from dashboard.containers.models import Container, Exec
from dashboard.core.models import Timestamped


class StreamSession(Timestamped):
    container = models.ForeignKey(Container, on_delete=models.CASCADE, related_name="streams")
    exec = models.ForeignKey(Exec, null=True, on_delete=models.CASCADE, related_name="streams")  # of it, not of PID 1
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    kind = models.CharField(max_length=8)  # "browser" or "cli"
    mode = models.CharField(max_length=8)  # "attach" or "logs"
    is_announced = models.BooleanField(default=False)  # expected by the command door, not yet connected
    holds_input = models.BooleanField(default=False)  # exclusive input lease (no TTY)
    drained = models.BooleanField(default=False)
    segment = models.PositiveIntegerField(default=0)  # of the log, where it reads; written with the heartbeat
    heartbeat_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["container", "ended_at"], name="stream_open")]

    def __str__(self) -> str:
        return f"{self.kind} {self.mode} {self.pk}"
