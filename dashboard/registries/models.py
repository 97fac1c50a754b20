"""Credentials for registries, of the site, of a team or of a person."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from dashboard.core.models import Timestamped
from dashboard.teams.models import Team


class Credential(Timestamped):
    """`team` alone: the team's; `person` alone: that person's, in whatever team; neither: the site's.

    `origin` is where they were tried and the only place that they are sent to. `secret` is encrypted (`vault`). A row that
    is not checked yet belongs to a log-in that is under way; nothing uses it.
    """

    team = models.ForeignKey(Team, null=True, on_delete=models.CASCADE, related_name="credentials")
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="registry_credentials"
    )
    registry = models.CharField(max_length=255)
    origin = models.CharField(max_length=300, blank=True, default="")
    username = models.CharField(max_length=255)
    secret = models.TextField()
    giver = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    checked_at = models.DateTimeField(null=True, blank=True)
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["registry", "pk"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(team=None) | Q(person=None), name="credential_of_one"),
            models.UniqueConstraint(
                fields=["registry", "team"],
                condition=Q(checked_at__isnull=False, team__isnull=False),
                name="credential_of_team",
            ),
            models.UniqueConstraint(
                fields=["registry", "person"],
                condition=Q(checked_at__isnull=False, person__isnull=False),
                name="credential_of_person",
            ),
            models.UniqueConstraint(
                fields=["registry"],
                condition=Q(checked_at__isnull=False, team=None, person=None),
                name="credential_of_site",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.username} at {self.registry}"

    @property
    def is_sites(self) -> bool:
        return self.team_id is None and self.person_id is None

    @property
    def is_in_the_clear(self) -> bool:
        """Whether it goes over the wire for everybody on the way to read."""
        return self.origin.startswith("http:")
