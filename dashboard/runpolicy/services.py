"""A team's run policy: reading it, changing it, and holding a wish against it. It holds for everybody in the team (ADR 17)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from django.db import transaction
from django.utils.translation import gettext as _

from dashboard import gateway
from dashboard.audit import services as audit
from dashboard.core.errors import DashboardError, Refused
from dashboard.core.gate import Permission, Requester, allows, require
from dashboard.runpolicy.models import RunPolicy
from dashboard.runpolicy.rules import Rules, Wish, complaints, names
from dashboard.teams.models import Team

MOST: Final = 100
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,200}\Z")
_NETWORK = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}\Z")


def rules_of(team_id: int | None) -> Rules:
    """As they are now; the defaults where nobody said anything."""
    found = None if team_id is None else RunPolicy.objects.filter(team_id=team_id).first()
    return Rules() if found is None else found.rules


def shown(user: Requester, team: Team) -> Rules:
    """Everybody in the team may see what it may."""
    require(user, Permission.TEAM_VIEW, team)
    return rules_of(team.pk)


def refuse(team_id: int | None, wish: Wish) -> None:
    """Go on only if the team's rules allow all of it.

    Raises:
        Refused: with every rule that is against it, and who can change it.
    """
    found = list(complaints(rules_of(team_id), wish))
    if found:
        team = None if team_id is None else Team.objects.filter(pk=team_id).first()
        msg = _("The run policy of the team %(team)s does not allow %(what)s. A site administrator can change it.")
        raise Refused(msg % {"team": team.slug if team else "–", "what": ", ".join(found)})


def change(user: Requester, team: Team, changes: Mapping[str, Any]) -> Rules:  # Any: a field's own type
    """Change some rules; the others stay. A team's admin may narrow them, a site administrator set them. Idempotent.

    Raises:
        DashboardError: a value that cannot be (400); wider than before, by somebody who may only narrow (403).
        Denied: `user` may not manage this team.
    """
    require(user, Permission.TEAM_MANAGE, team)
    if unknown := set(changes) - set(names()):
        msg = f"There is no such rule: {', '.join(sorted(unknown))}."
        raise DashboardError(msg)
    with transaction.atomic():
        Team.objects.select_for_update().get(pk=team.pk)
        before = rules_of(team.pk)
        after = replace(before, **{name: _checked(name, value) for name, value in changes.items()})
        _refuse_wider(user, before, after)
        if after == before:
            return after
        fields = {name: _stored(getattr(after, name)) for name in names()}
        RunPolicy.objects.update_or_create(team=team, defaults=fields)
        told = {
            name: _stored(getattr(after, name)) for name in names() if getattr(after, name) != getattr(before, name)
        }
        audit.record("set-run-policy", user, target=team.slug, team_id=team.pk, parameters=told)
    return after


def reset(user: Requester, team: Team) -> None:
    """Back to the defaults. Idempotent.

    Raises:
        DashboardError: they would be wider, and `user` may only narrow (403).
        Denied: `user` may not manage this team.
    """
    require(user, Permission.TEAM_MANAGE, team)
    with transaction.atomic():
        Team.objects.select_for_update().get(pk=team.pk)
        _refuse_wider(user, rules_of(team.pk), Rules())
        if RunPolicy.objects.filter(team=team).delete()[0]:
            audit.record("unset-run-policy", user, target=team.slug, team_id=team.pk)


def _refuse_wider(user: Requester, before: Rules, after: Rules) -> None:
    if not after.is_within(before) and not allows(user, Permission.SITE_ADMIN):
        msg = _("A team's admin can make the run policy narrower; only a site administrator can make it wider.")
        raise Refused(msg)


def _stored(value: object) -> object:
    return sorted(value) if isinstance(value, frozenset) else value


def _checked(name: str, value: Any) -> Any:  # Any: a field's own type
    """Raises DashboardError: 400."""
    if isinstance(getattr(Rules(), name), bool):
        return bool(value)
    if value is None and name in {"capabilities", "host_paths", "networks"}:
        return None
    items = frozenset(map(str, value))
    if len(items) > MOST:
        raise DashboardError(_("A rule names at most %(most)d things.") % {"most": MOST})
    for item in sorted(items):
        if not _IS_ITEM[name](item):
            raise DashboardError(_("%(item)s cannot stand in the rule %(name)s.") % {"item": item[:80], "name": name})
    return items


def _is_path(item: str) -> bool:
    return item.startswith("/") and posixpath.normpath(item) == item != "/"


_IS_ITEM: dict[str, Callable[[str], bool]] = {
    "host_namespaces": lambda item: item in gateway.HOST_NAMESPACES,
    "devices": lambda item: _is_path(item) and item.startswith("/dev/"),
    "capabilities": lambda item: item in gateway.GRANTABLE_CAPABILITIES,
    "host_paths": _is_path,
    "networks": lambda item: _NETWORK.match(item) is not None,
    "labels": lambda item: _LABEL.match(item) is not None,
}
