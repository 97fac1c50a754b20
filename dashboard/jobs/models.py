"""Job rows. A Celery message carries a job's id and nothing else; everything it needs stands here (CEL-01 to 05).

Claiming is one conditional UPDATE that also raises `fence`. Every later write by that worker is conditional on the
same `fence`, so a worker that hung and woke up writes nothing (F21). `key` joins: while a job with that key is live,
asking for the same work returns it instead of a second one. A job that is parked (`is_parked`) waits for other jobs and has
no worker: whoever parked it ends it. `is_system`: nobody asked for it but Berth itself.
"""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from dashboard.core.models import Timestamped


class JobState(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


LIVE_STATES = (JobState.QUEUED, JobState.RUNNING)


class Job(Timestamped):
    kind = models.CharField(max_length=40, db_index=True)
    state = models.CharField(max_length=12, choices=JobState.choices, default=JobState.QUEUED, db_index=True)
    queue = models.CharField(max_length=12, default="images")
    key = models.CharField(max_length=500, blank=True, default="")
    requester = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.CASCADE, related_name="children")
    team_id = models.BigIntegerField(null=True, blank=True, db_index=True)  # whose it is: teams stand above
    params = models.JSONField(default=dict)
    result = models.JSONField(default=dict)
    progress = models.JSONField(default=dict)
    error_code = models.CharField(max_length=60, blank=True, default="")
    error = models.TextField(blank=True, default="")
    is_system = models.BooleanField(default=False)
    is_parked = models.BooleanField(default=False)
    cancel_requested = models.BooleanField(default=False)
    fence = models.PositiveIntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)
    enqueued_at = models.DateTimeField(null=True, blank=True)  # when a message about it was last sent
    not_before = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["key"], condition=Q(state__in=["queued", "running"]) & ~Q(key=""), name="job_one_live_per_key"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk} {self.state}"

    @property
    def is_live(self) -> bool:
        return self.state in LIVE_STATES
