"""Volumes as rows. The folder on disk is made when a container first uses it; the row is what says that it exists."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models

from dashboard.core.models import Timestamped


class VolumeState(models.TextChoices):
    READY = "ready"
    REMOVING = "removing"
    RESTORING = "restoring"  # READY again whatever comes of it: its files are exchanged in one step or not at all


class Volume(Timestamped):
    """Who uses it is `uses`, rows of the containers' app; as long as there is one, the row cannot go."""

    name = models.CharField(max_length=255, unique=True)
    is_anonymous = models.BooleanField(default=False)
    labels = models.JSONField(default=dict)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    state = models.CharField(max_length=12, choices=VolumeState.choices, default=VolumeState.READY)
    size_bytes = models.BigIntegerField(null=True, blank=True)  # None: not measured yet
    measured_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name
