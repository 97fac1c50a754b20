"""Teams, who is in them and as what, and which one a person works in."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from dashboard.core.gate import Permission
from dashboard.core.models import Timestamped
from dashboard.teams.rights import BUILTIN, Builtin, known

MAIN: Final = "main"


class Team(Timestamped):
    """`slug` is what commands call it. Containers, volumes and networks keep it from going."""

    name = models.CharField(max_length=80)
    slug = models.CharField(max_length=40, unique=True)
    requires_factor = models.BooleanField(default=False)  # a second one, of everybody in it

    class Meta:
        ordering: ClassVar = ["slug"]

    def __str__(self) -> str:
        return self.slug

    @property
    def is_main(self) -> bool:
        """The one that is always there: of everything that was there before there were teams."""
        return self.slug == MAIN


def make_main(teams: Any) -> Any:  # a manager of the app's model, or of a migration's
    """Idempotent."""
    return teams.get_or_create(slug=MAIN, defaults={"name": "Main"})[0]


def main_team_id() -> int:
    """Whose a row is that nobody says a team of.

    Migrations of other apps ask, too, when the team's newest columns are not there yet: only the number is read.
    """
    found = Team.objects.filter(slug=MAIN).values_list("pk", flat=True).first()
    return int(make_main(Team.objects).pk) if found is None else found


class Role(Timestamped):
    """A custom role of one team: names of single permissions."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="roles")
    name = models.CharField(max_length=40)
    permissions = models.JSONField(default=list)

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["team", "name"], name="role_once")]

    def __str__(self) -> str:
        return self.name

    @property
    def rights(self) -> frozenset[Permission]:
        return known(self.permissions)


class Membership(Timestamped):
    """Either `builtin` or `custom` says what this person may do in this team, and nowhere else."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    builtin = models.CharField(max_length=12, choices=Builtin.choices, blank=True, default="")
    custom = models.ForeignKey(Role, null=True, blank=True, on_delete=models.PROTECT, related_name="memberships")
    by_directory = models.BooleanField(default=False)  # by a group, which may take it away again

    class Meta:
        ordering: ClassVar = ["person__username"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["team", "person"], name="member_once"),
            models.CheckConstraint(
                condition=(Q(builtin="") & Q(custom__isnull=False)) | (~Q(builtin="") & Q(custom=None)),
                name="one_role",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.person_id} in {self.team_id}: {self.role}"

    @property
    def role(self) -> str:
        """As commands spell it."""
        return self.custom.name if self.custom is not None else self.builtin

    @property
    def role_shown(self) -> str:
        return self.custom.name if self.custom is not None else str(self.get_builtin_display())

    @property
    def rights(self) -> frozenset[Permission]:
        return self.custom.rights if self.custom is not None else BUILTIN.get(self.builtin, frozenset())


class DirectoryGroup(Timestamped):
    """Whoever the directory says is in the group `name` has `role` in the team."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="directory_groups")
    name = models.CharField(max_length=200)
    role = models.CharField(max_length=40)  # a built-in one or one of the team's own, by its name
    giver = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["team", "name"], name="group_once")]

    def __str__(self) -> str:
        return f"{self.name} → {self.role} in {self.team_id}"


class Invitation(Timestamped):
    """A link with which people come into a team by themselves, as many as `most_uses`. Its secret is kept as its sha256.

    It gives what its giver could give: once they could not any more, it is worth nothing (WEB-02).
    """

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="invitations")
    giver = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    sha256 = models.CharField(max_length=64, unique=True)
    role = models.CharField(max_length=40)  # a built-in one or one of the team's own, by its name
    note = models.CharField(max_length=80, blank=True, default="")
    most_uses = models.PositiveIntegerField()
    uses = models.PositiveIntegerField(default=0)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-created_at"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(uses__lte=models.F("most_uses")), name="uses_within_most"),
        ]

    def __str__(self) -> str:
        return f"invitation {self.pk} to {self.team_id}"

    @property
    def is_open(self) -> bool:
        return self.revoked_at is None and self.uses < self.most_uses and self.expires_at > timezone.now()


class Choice(models.Model):
    """The team that a person works in, until another is chosen; None is all of them (site administrators)."""

    person = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="team_choice")
    team = models.ForeignKey(Team, null=True, on_delete=models.CASCADE)

    def __str__(self) -> str:
        return f"{self.person_id} works in {self.team_id}"
