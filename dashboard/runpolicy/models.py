"""One row for a team that has a run policy of its own."""

from __future__ import annotations

from django.db import models

from dashboard.core.models import Timestamped
from dashboard.runpolicy.rules import Rules
from dashboard.teams.models import Team

_LISTS = ("host_namespaces", "devices", "capabilities", "host_paths", "networks", "labels")


class RunPolicy(Timestamped):
    """The fields of `Rules`; lists as JSON, null as there."""

    team = models.OneToOneField(Team, on_delete=models.CASCADE, related_name="run_policy")
    privileged = models.BooleanField(default=False)
    userns_host = models.BooleanField(default=False)
    seccomp_unconfined = models.BooleanField(default=False)
    host_namespaces = models.JSONField(default=list)
    devices = models.JSONField(default=list)
    capabilities = models.JSONField(null=True, default=None)
    host_paths = models.JSONField(null=True, default=None)
    networks = models.JSONField(null=True, default=None)
    no_new_privileges = models.BooleanField(default=False)
    labels = models.JSONField(default=list)

    def __str__(self) -> str:
        return f"run policy of {self.team_id}"

    @property
    def rules(self) -> Rules:
        lists = {name: None if (said := getattr(self, name)) is None else frozenset(said) for name in _LISTS}
        return Rules(
            privileged=self.privileged,
            userns_host=self.userns_host,
            seccomp_unconfined=self.seccomp_unconfined,
            no_new_privileges=self.no_new_privileges,
            **lists,  # type: ignore[arg-type]  # which of them can be None, the columns say
        )
