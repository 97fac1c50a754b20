"""Networks as rows. The bridge is made when a first container starts in it; the row is what says that it exists."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models

from dashboard.core.models import Timestamped
from dashboard.networks.predefined import NONE, PREDEFINED
from dashboard.teams.models import Team, main_team_id


class NetworkState(models.TextChoices):
    READY = "ready"
    REMOVING = "removing"


class Network(Timestamped):
    """Which containers are in it is `endpoints`, rows of the containers' app; as long as there is one, it cannot go."""

    network_id = models.CharField(max_length=64, unique=True)
    team = models.ForeignKey(  # None: predefined, everybody's
        Team, null=True, on_delete=models.PROTECT, related_name="networks", default=main_team_id
    )
    name = models.CharField(max_length=128)
    number = models.PositiveIntegerField(null=True, unique=True)  # the engine's; None of `none`, 0 of the default one
    subnet = models.CharField(max_length=18, blank=True, default="")  # "" of the predefined ones: the settings say
    gateway = models.GenericIPAddressField(protocol="IPv4", null=True, blank=True)
    ip_range = models.CharField(max_length=18, blank=True, default="")
    subnet6 = models.CharField(max_length=43, blank=True, default="")  # "": it has no IPv6
    is_internal = models.BooleanField(default=False)
    labels = models.JSONField(default=dict)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    state = models.CharField(max_length=12, choices=NetworkState.choices, default=NetworkState.READY)

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["team", "name"], name="network_name_once"),
            models.UniqueConstraint(fields=["name"], condition=models.Q(team=None), name="predefined_once"),
            models.UniqueConstraint(fields=["subnet"], condition=~models.Q(subnet=""), name="subnet_once"),
            models.UniqueConstraint(fields=["subnet6"], condition=~models.Q(subnet6=""), name="subnet6_once"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_predefined(self) -> bool:
        return self.name in PREDEFINED

    @property
    def is_shared(self) -> bool:
        return self.team_id is None

    @property
    def is_none(self) -> bool:
        return self.name == NONE

    @property
    def driver(self) -> str:
        return "null" if self.is_none else "bridge"

    @property
    def short_id(self) -> str:
        return self.network_id[:12]
