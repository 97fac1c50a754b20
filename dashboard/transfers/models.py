"""One row for each archive on its way. Its file is `transfers/<key>` in the data folder.

    OUT: a job writes the file ──▶ it is sent ──▶ ended          IN: it arrives ──▶ a job reads it ──▶ ended

Whoever waits for it, sends it or receives it says so (`heartbeat_at`); one that nobody asks for any more is ended. The file
goes when the row is ended; the row stays an hour longer, to say how it ended.
"""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models

from dashboard.core.models import Timestamped
from dashboard.jobs.models import Job, JobState


class Direction(models.TextChoices):
    OUT = "out"
    IN = "in"


class Transfer(Timestamped):
    """`permission`: asked again for as long as it lasts. `subject`: what it is about, for people and for `about`."""

    key = models.CharField(max_length=32, unique=True)
    direction = models.CharField(max_length=3, choices=Direction.choices)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    permission = models.CharField(max_length=40)
    team_id = models.BigIntegerField(null=True, blank=True)  # of what it is about
    subject = models.CharField(max_length=255)
    filename = models.CharField(max_length=300, blank=True, default="")  # what a browser saves it as
    job = models.ForeignKey(Job, null=True, on_delete=models.SET_NULL, related_name="transfers")
    size_bytes = models.BigIntegerField(null=True, blank=True)  # of what has arrived; None: not all of it
    heartbeat_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["ended_at", "heartbeat_at"], name="transfer_open")]

    def __str__(self) -> str:
        return f"{self.direction} {self.subject} {self.key}"

    @property
    def is_ready(self) -> bool:
        """Its file is whole: it may be sent, or a job may read it."""
        if self.direction == Direction.IN:
            return self.size_bytes is not None
        return self.job is not None and self.job.state == JobState.SUCCEEDED

    @property
    def is_worked_on(self) -> bool:
        return self.job is not None and self.job.is_live
