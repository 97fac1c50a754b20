"""Holding what is about to be against the quotas, exactly, however many ask at once; and setting quotas (ADR 24)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from dashboard.audit import services as audit
from dashboard.core.errors import DashboardError, Refused
from dashboard.core.gate import Permission, Requester, require
from dashboard.quotas import usage
from dashboard.quotas.kinds import KINDS
from dashboard.quotas.models import Quota
from dashboard.teams.models import Team, main_team_id

MOST: Final = 2**62
PORTS: Final = (1, 65_535)


class QuotaRefused(Refused):
    """`kind`: of `KINDS`, or "port-range"."""

    code = "quota"

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """One quota that holds for somebody's thing in a team, and of what it counts."""

    quota: Quota
    team_id: int | None
    person_id: int | None
    whose: str
    raised_by: str


def scopes_of(team_id: int | None, person_id: int | None) -> list[Scope]:
    """Every quota that holds for what this person has in this team."""
    wanted = Q(team_id=team_id, person=None) if team_id is not None else Q(pk=None)
    if person_id is not None:
        wanted |= Q(team_id=team_id, person_id=person_id) | Q(team=None, person_id=person_id)
        wanted |= Q(team=None, person=None)
    rows = list(Quota.objects.filter(wanted).select_related("team", "person"))
    has_own = any(row.team_id is None and row.person_id is not None for row in rows)
    everybodys = [row for row in rows if row.team_id is None and row.person_id is None]
    return [_scope(row, person_id) for row in rows if row not in everybodys or not has_own]


def _scope(row: Quota, person_id: int | None) -> Scope:
    site, admins = _("a site administrator"), _("an admin of the team")
    if row.team is not None and row.person is None:
        whose = _("the team %(team)s") % {"team": row.team.slug}
        return Scope(quota=row, team_id=row.team_id, person_id=None, whose=whose, raised_by=site)
    person = row.person or (None if person_id is None else get_user_model().objects.filter(pk=person_id).first())
    name = person.username if person is not None else "–"
    if row.team is not None:
        whose = _("%(name)s in the team %(team)s") % {"name": name, "team": row.team.slug}
        return Scope(quota=row, team_id=row.team_id, person_id=person_id, whose=whose, raised_by=admins)
    return Scope(quota=row, team_id=None, person_id=person_id, whose=name, raised_by=site)


def hold(team_id: int | None, person_id: int | None, needs: Mapping[str, int]) -> None:
    """Refuse what has just been written, and counts already, if it is too much. In the transaction that wrote it.

    `needs`: kind → how much of it that was, for the sentence. The team's and the person's rows are held until the
    transaction ends, so of many at once each sees what the one before has taken. Where nothing is limited, nothing is held.

    Raises:
        QuotaRefused: 403, with what is used, what there is, and who can raise it; the caller's transaction is to end.
    """
    scopes = [one for one in scopes_of(team_id, person_id) if one.quota.limits.keys() & needs.keys()]
    if not scopes:
        return
    _lock(scopes)
    for scope in scopes:
        for kind, limit in scope.quota.limits.items():
            if kind in needs:
                _refuse_beyond(scope, kind, limit, needs[kind])


def _lock(scopes: Iterable[Scope]) -> None:
    """Teams first, then people, each in order: no two wait for each other."""
    teams = sorted({one.team_id for one in scopes if one.team_id is not None})
    people = sorted({one.person_id for one in scopes if one.person_id is not None})
    list(Team.objects.select_for_update().filter(pk__in=teams).order_by("pk").values_list("pk"))
    list(get_user_model().objects.select_for_update().filter(pk__in=people).order_by("pk").values_list("pk"))


def _refuse_beyond(scope: Scope, kind: str, limit: int, needed: int) -> None:
    now = usage.used(kind, scope.team_id, scope.person_id)
    if now <= limit:
        return
    write = KINDS[kind].write
    told = {
        "whose": scope.whose,
        "kind": KINDS[kind].words,
        "used": write(max(0, now - needed)),
        "limit": write(limit),
        "needed": write(needed),
        "who": scope.raised_by,
    }
    msg = _(
        "The quota of %(whose)s is used up (%(kind)s): %(used)s of %(limit)s are in use, and this needs %(needed)s."
        " Stop or remove something, or ask %(who)s for more."
    )
    raise QuotaRefused(msg % told, kind)


def port_range(team_id: int | None, person_id: int | None) -> tuple[int, int] | None:
    """Where the ports lie that this person may publish in this team: where all the ranges that hold for them meet.

    None: anywhere.
    """
    ranges = [one.quota.port_range for one in scopes_of(team_id, person_id) if one.quota.port_range is not None]
    if not ranges:
        return None
    return max(first for first, _last in ranges), min(last for _first, last in ranges)


def refuse_ports(team_id: int | None, person_id: int | None, ports: Iterable[int]) -> None:
    """Raises QuotaRefused: one lies outside of the range."""
    allowed = port_range(team_id, person_id)
    outside = [port for port in ports if allowed is not None and not allowed[0] <= port <= allowed[1]]
    if allowed is not None and outside:
        msg = _("Port %(port)d of the host is not among those that may be published here: %(first)d to %(last)d.")
        raise QuotaRefused(msg % {"port": outside[0], "first": allowed[0], "last": allowed[1]}, "port-range")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One kind of one quota, for people. `percent`: at most 100."""

    kind: str
    flag: str
    words: object
    used: int
    limit: int | None
    used_shown: str
    limit_shown: str
    percent: int


def bars(quota: Quota | None, team_id: int | None, person_id: int | None) -> list[Bar]:
    """All kinds, with or without a limit."""
    limits = {} if quota is None else quota.limits
    return [_bar(name, limits.get(name), usage.used(name, team_id, person_id)) for name in KINDS]


def _bar(name: str, limit: int | None, now: int) -> Bar:
    kind = KINDS[name]
    percent = 0 if limit is None else 100 if limit == 0 else min(100, now * 100 // limit)
    return Bar(
        kind=name,
        flag=kind.flag,
        words=kind.words,
        used=now,
        limit=limit,
        used_shown=kind.write(now),
        limit_shown="" if limit is None else kind.write(limit),
        percent=percent,
    )


def left(team_id: int | None, person_id: int | None, needs: Mapping[str, int]) -> Iterator[tuple[str, int, int]]:
    """(kind, needed, what is left of it) where something is limited: the tightest of the quotas that hold."""
    scopes = scopes_of(team_id, person_id)
    for kind, needed in needs.items():
        rooms = [
            one.quota.limits[kind] - usage.used(kind, one.team_id, one.person_id)
            for one in scopes
            if kind in one.quota.limits
        ]
        if rooms:
            yield kind, needed, max(0, min(rooms))


def quota_of(team: Team | None, person: User | None) -> Quota | None:
    return Quota.objects.filter(team=team, person=person).first()


def require_may_set(user: Requester, team: Team | None, person: User | None) -> None:
    """A team's admins say what each member has in it; everything else is a site administrator's.

    Raises:
        Denied: 403.
    """
    if team is not None and person is not None:
        require(user, Permission.TEAM_MANAGE, team)
    else:
        require(user, Permission.SITE_ADMIN)


def change(user: Requester, team: Team | None, person: User | None, changes: Mapping[str, int | None]) -> Quota | None:
    """Set limits; None takes one away; those that are not named stay. What is in use already stays in use. Idempotent.

    Raises:
        DashboardError: a number that cannot be, or a person who is not in the team (400).
        Denied: `user` may not.
    """
    require_may_set(user, team, person)
    if team is not None and person is not None and not team.memberships.filter(person=person).exists():
        raise DashboardError(_("%(name)s is not in the team %(team)s.") % {"name": person.username, "team": team.slug})
    for name, value in changes.items():
        _refuse_number(name, value)
    with transaction.atomic():
        Team.objects.select_for_update().get(pk=team.pk if team is not None else main_team_id())  # one row each
        row = Quota.objects.select_for_update().filter(team=team, person=person).first() or Quota(
            team=team, person=person
        )
        before = {name: getattr(row, name) for name in changes}
        for name, value in changes.items():
            setattr(row, name, value)
        if row.port_range is None and (row.first_port is not None or row.last_port is not None):
            raise DashboardError(_("A range of ports has a first and a last one."))
        if row.port_range is not None and row.port_range[0] > row.port_range[1]:
            raise DashboardError(_("A range of ports begins with its lowest one."))
        told = {name: value for name, value in changes.items() if before[name] != value}
        if told:
            row.save()
            audit.record(
                "set-quota", user, target=name_of(team, person), team_id=team.pk if team else None, parameters=told
            )
    return row


def _refuse_number(name: str, value: int | None) -> None:
    if name not in KINDS and name not in {"first_port", "last_port"}:
        msg = f"There is no such quota: {name}."
        raise DashboardError(msg)
    low, high = PORTS if name in {"first_port", "last_port"} else (0, MOST)
    if value is not None and not low <= value <= high:
        raise DashboardError(_("%(value)d cannot be a quota.") % {"value": value})


def remove(user: Requester, team: Team | None, person: User | None) -> None:
    """All limits of that team, member or person. Idempotent.

    Raises:
        Denied: `user` may not.
    """
    require_may_set(user, team, person)
    with transaction.atomic():
        if Quota.objects.filter(team=team, person=person).delete()[0]:
            audit.record("unset-quota", user, target=name_of(team, person), team_id=team.pk if team else None)


def name_of(team: Team | None, person: User | None) -> str:
    """For the audit log and for scripts: `class-1`, `class-1/haeun`, `haeun`, `everybody`."""
    if team is None:
        return person.username if person is not None else "everybody"
    return team.slug if person is None else f"{team.slug}/{person.username}"
