"""Events as rows. There is one exactly if the change that it tells of was committed."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class EventType(models.TextChoices):
    CONTAINER = "container"
    IMAGE = "image"
    NETWORK = "network"
    VOLUME = "volume"


class Event(models.Model):
    time_ns = models.BigIntegerField(db_index=True)  # since 1970
    type = models.CharField(max_length=12, choices=EventType.choices)
    action = models.CharField(max_length=400)  # Docker's word: create, start, "exec_start: ls"
    actor = models.CharField(max_length=600)  # id of a container or a network, name of an image or of a volume
    attributes = models.JSONField(default=dict)
    team_id = models.BigIntegerField(null=True, blank=True, db_index=True)  # None: everybody's, as images are

    class Meta:
        ordering: ClassVar = ["pk"]

    def __str__(self) -> str:
        return f"{self.type} {self.action} {self.actor}"
