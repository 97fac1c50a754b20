"""Limits of a team, of a person in a team, of a person everywhere, and of whoever has none of their own."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from dashboard.core.models import Timestamped
from dashboard.quotas.kinds import KINDS
from dashboard.teams.models import Team


class Quota(Timestamped):
    """`team` alone: of all that is the team's. With `person`: of what is that person's in the team. `person` alone: of what is
    theirs in all teams; neither: the same of everybody who has no such row. None: no limit.
    """

    team = models.ForeignKey(Team, null=True, on_delete=models.CASCADE, related_name="quotas")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="quotas")
    containers = models.PositiveIntegerField(null=True)
    nano_cpus = models.PositiveBigIntegerField(null=True)
    memory_bytes = models.PositiveBigIntegerField(null=True)
    pids = models.PositiveIntegerField(null=True)
    ports = models.PositiveIntegerField(null=True)
    layer_bytes = models.PositiveBigIntegerField(null=True)
    volume_bytes = models.PositiveBigIntegerField(null=True)
    image_bytes = models.PositiveBigIntegerField(null=True)
    pulls = models.PositiveIntegerField(null=True)
    running_seconds = models.PositiveBigIntegerField(null=True)
    first_port = models.PositiveIntegerField(null=True)
    last_port = models.PositiveIntegerField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["team", "person"], name="quota_of_member"),
            models.UniqueConstraint(fields=["team"], condition=Q(person=None), name="quota_of_team"),
            models.UniqueConstraint(fields=["person"], condition=Q(team=None), name="quota_of_person"),
        ]

    def __str__(self) -> str:
        return f"quota of {self.team_id} {self.person_id}"

    @property
    def limits(self) -> dict[str, int]:
        """Kind → limit, of those that it has."""
        return {name: value for name in KINDS if (value := getattr(self, name)) is not None}

    @property
    def port_range(self) -> tuple[int, int] | None:
        return None if self.first_port is None or self.last_port is None else (self.first_port, self.last_port)
