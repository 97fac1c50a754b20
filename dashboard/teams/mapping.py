"""Groups of a directory and what they give here: a role in a team (ADR 32). Site administrators alone say which."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from dashboard.audit import services as audit
from dashboard.core.errors import DashboardError, NotFound
from dashboard.core.events import rights_changed
from dashboard.core.gate import Permission, Requester, require
from dashboard.teams.models import DirectoryGroup, Membership, Team
from dashboard.teams.services import find_role

MOST_GROUPS: Final = 200
NAME_LENGTH: Final = 200


def groups_of(user: Requester, team: Team) -> QuerySet[DirectoryGroup]:
    require(user, Permission.TEAM_VIEW, team)
    return team.directory_groups.select_related("giver")


def add(user: Requester, team: Team, group: str, role: str) -> DirectoryGroup:
    """From their next sign-in on, whoever is in that group has that role in the team. Idempotent; a new role replaces the old.

    Raises:
        DashboardError: no name of a group (400), no such role (404), or too many (409).
        Denied: `user` is no site administrator: groups give what their giver need not have.
    """
    require(user, Permission.SITE_ADMIN)
    group = group.strip()
    if not group or len(group) > NAME_LENGTH or not group.isprintable():
        raise DashboardError(_("Give the name of a group as the directory writes it."))
    find_role(team, role)
    with transaction.atomic():
        Team.objects.select_for_update().get(pk=team.pk)
        if team.directory_groups.count() >= MOST_GROUPS:
            raise DashboardError(_("The team has too many groups already."), status=409)
        made, is_new = DirectoryGroup.objects.get_or_create(
            team=team, name=group, defaults={"role": role, "giver_id": getattr(user, "pk", None)}
        )
        if is_new or made.role != role:
            made.role = role
            made.save()
            audit.record("map-group", user, target=group, team_id=team.pk, parameters={"role": role})
    return made


def remove(user: Requester, team: Team, group: str) -> None:
    """Who is in the team by it is taken out at their next sign-in, unless another group keeps them.

    Raises:
        NotFound: the team has no such group.
        Denied: `user` is no site administrator.
    """
    require(user, Permission.SITE_ADMIN)
    with transaction.atomic():
        if not DirectoryGroup.objects.filter(team=team, name=group).delete()[0]:
            raise NotFound(_("The team %(team)s has no group %(name)s.") % {"team": team.slug, "name": group})
        audit.record("unmap-group", user, target=group, team_id=team.pk)


def bring_up_to_date(person: User, groups: Collection[str]) -> None:
    """Memberships that come from groups, as they are now. Those that somebody gave by hand stay as they are, and nothing here
    makes anybody a site administrator.
    """
    with transaction.atomic():
        wanted = _wanted(groups)
        had = {one.team_id: one for one in Membership.objects.filter(person=person).select_related("team")}
        told: dict[str, str] = {}
        for team, (fields, role) in wanted.items():
            before = had.get(team.pk)
            if before is None:
                Membership.objects.create(team=team, person=person, by_directory=True, **fields)
                told[team.slug] = role
            elif before.by_directory and before.role != role:
                Membership.objects.filter(pk=before.pk).update(**({"builtin": "", "custom": None} | fields))
                told[team.slug] = role
        kept = {team.pk for team in wanted}
        for one in had.values():
            if one.by_directory and one.team_id not in kept:
                one.delete()
                told[one.team.slug] = ""
        if told:
            audit.record("directory-memberships", person, target=person.username, parameters=told)
    if told:
        rights_changed([person.pk])


def _wanted(groups: Collection[str]) -> dict[Team, tuple[dict[str, Any], str]]:
    """Team → what a membership is written with, and the role's name. Of several groups, the one that gives most."""
    found: dict[Team, tuple[int, dict[str, Any], str]] = {}
    for row in DirectoryGroup.objects.filter(name__in=list(groups)).select_related("team").order_by("pk"):
        try:
            fields, rights = find_role(row.team, row.role)
        except DashboardError:
            continue  # a role of the team's own that is there no more gives nothing
        if row.team not in found or len(rights) > found[row.team][0]:
            found[row.team] = (len(rights), fields, row.role)
    return {team: (fields, role) for team, (_count, fields, role) in found.items()}
