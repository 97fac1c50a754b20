"""Volumes as rows. The folder on disk is made when a container first uses it; the row is what says that it exists."""

from __future__ import annotations

import re
import secrets
from typing import Any, ClassVar

from django.conf import settings
from django.db import models

from dashboard.core.models import Timestamped
from dashboard.teams.models import Team, main_team_id

_MADE_UP = re.compile(r"[0-9a-f]{64}\Z")


def shown_name(name: str) -> str:
    """For sentences and lists: the 64 digits of a volume that nobody named are cut to 12, as those of a container."""
    return name[:12] if _MADE_UP.match(name) else name


class VolumeState(models.TextChoices):
    READY = "ready"
    REMOVING = "removing"
    RESTORING = "restoring"  # READY again whatever comes of it: its files are exchanged in one step or not at all


class Volume(Timestamped):
    """Who uses it is `uses`, rows of the containers' app; as long as there is one, the row cannot go."""

    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="volumes", default=main_team_id)
    name = models.CharField(max_length=255)
    key = models.CharField(max_length=255, unique=True, default="")  # what the engine calls it: its folder
    is_anonymous = models.BooleanField(default=False)
    labels = models.JSONField(default=dict)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    state = models.CharField(max_length=12, choices=VolumeState.choices, default=VolumeState.READY)
    size_bytes = models.BigIntegerField(null=True, blank=True)  # None: not measured yet
    measured_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["team", "name"], name="volume_name_once")]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:  # Django's own
        """Names are one team's, folders the host's. The main team's volumes are called as they were before there were
        teams; no other team's folder says that two have chosen the same name.
        """
        if not self.key:
            self.key = self.name if self.team.is_main or self.is_anonymous else secrets.token_hex(32)
        super().save(*args, **kwargs)
