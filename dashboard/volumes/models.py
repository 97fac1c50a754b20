"""Volumes as rows. The folder on disk is made when a container first uses it; the row is what says that it exists."""

from __future__ import annotations

import re
from typing import ClassVar

from django.conf import settings
from django.db import models

from dashboard.core.models import Timestamped

_MADE_UP = re.compile(r"[0-9a-f]{64}\Z")


def shown_name(name: str) -> str:
    """For sentences and lists: the 64 digits of a volume that nobody named are cut to 12, as those of a container."""
    return name[:12] if _MADE_UP.match(name) else name


class VolumeState(models.TextChoices):
    READY = "ready"
    REMOVING = "removing"


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
