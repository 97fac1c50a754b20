"""Whose rows a person sees: of all the person's teams by id, of the current one in lists and by name.

What somebody may not see is filtered out in the query itself, so it takes the same way and the same time as what does
not exist (WS-03).
"""

from __future__ import annotations

from typing import Any, TypeVar

from django.db.models import Model, Q, QuerySet
from django.utils.translation import gettext as _

from dashboard.core.errors import DashboardError
from dashboard.core.gate import Requester
from dashboard.teams.models import Choice, Membership, Team, main_team_id

Row = TypeVar("Row", bound=Model)
ALL = "--all"
_ACTING = "_berth_team"  # an attribute of the person's object: it lives as long as a request or a command


class NoSuchTeam(DashboardError):
    def __init__(self, slug: str) -> None:
        super().__init__(_("No such team: %(name)s") % {"name": slug}, status=404)


class NoTeam(DashboardError):
    def __init__(self) -> None:
        super().__init__(_("You are in no team yet. Ask an administrator to add you to one."), status=403)


def is_site_admin(user: Any) -> bool:  # Any: a person's row, or nobody
    return bool(getattr(user, "is_superuser", False)) and bool(getattr(user, "is_active", False))


def teams_of(user: Requester) -> QuerySet[Team]:
    """Those that the person is in; all for a site administrator."""
    if is_site_admin(user):
        return Team.objects.all()
    return Team.objects.filter(memberships__person_id=getattr(user, "pk", None))


def find_team(user: Requester, slug: str) -> Team:
    """One of the person's.

    Raises:
        NoSuchTeam: there is none, or it is not one of theirs.
    """
    found = teams_of(user).filter(slug=slug).first()
    if found is None:
        raise NoSuchTeam(slug)
    return found


def current(user: Requester) -> Team | None:
    """The team that the person works in. None: all of them (site administrators), or there is none."""
    if user is None or user.pk is None:
        return None
    if not hasattr(user, _ACTING):
        setattr(user, _ACTING, _chosen(user))
    found: Team | None = getattr(user, _ACTING)
    return found


def _chosen(user: Any) -> Team | None:  # Any: a person's row
    choice = Choice.objects.filter(person_id=user.pk).first()
    if choice is not None and choice.team_id is None and is_site_admin(user):
        return None
    mine = teams_of(user)
    chosen = mine.filter(pk=choice.team_id).first() if choice is not None and choice.team_id else None
    if chosen is not None:
        return chosen
    member = Team.objects.filter(memberships__person_id=user.pk).first()
    return member or (Team.objects.get(pk=main_team_id()) if is_site_admin(user) else None)


def act_in(user: Requester, slug: str) -> None:
    """For this request or command only: `--team`. `--all` is all of them.

    Raises:
        NoSuchTeam: it is not one of theirs, or `--all` of somebody who is no site administrator.
    """
    if slug == ALL and not is_site_admin(user):
        raise NoSuchTeam(slug.removeprefix("--"))
    setattr(user, _ACTING, None if slug == ALL else find_team(user, slug))


def use(user: Requester, slug: str) -> None:
    """From now on.

    Raises:
        NoSuchTeam: as `act_in`.
    """
    act_in(user, slug)
    Choice.objects.update_or_create(person_id=getattr(user, "pk", None), defaults={"team": current(user)})


def owning(user: Requester) -> int:
    """The team that what this person makes now belongs to.

    Raises:
        NoTeam: there is none.
    """
    here = current(user)
    if here is not None:
        return here.pk
    if user is None or is_site_admin(user):
        return main_team_id()
    raise NoTeam


def _of_teams(user: Requester) -> Q:
    if is_site_admin(user):
        return Q()
    mine = Membership.objects.filter(person_id=getattr(user, "pk", None)).values("team_id")
    return Q(team_id__in=mine)


def seen(user: Requester, rows: QuerySet[Row], *, shared: bool = False) -> QuerySet[Row]:
    """Those of all the person's teams; with `shared`, also what is nobody's own."""
    own = _of_teams(user)
    return rows.filter(own | Q(team_id=None)) if shared and own else rows.filter(own)


def here(user: Requester, rows: QuerySet[Row], *, shared: bool = False) -> QuerySet[Row]:
    """Those of the current team, as long as the person is in it."""
    team = current(user)
    rows = seen(user, rows, shared=shared)
    if team is None:
        return rows
    return rows.filter(Q(team_id=team.pk) | Q(team_id=None) if shared else Q(team_id=team.pk))


def team_ids(user: Requester) -> frozenset[int] | None:
    """For filters outside the database; None is all."""
    return None if is_site_admin(user) else frozenset(teams_of(user).values_list("pk", flat=True))
