"""The gate's policy: an object's team decides; a role in one team gives nothing in another."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.utils.translation import gettext as _

from dashboard.accounts import factors
from dashboard.core.gate import Permission, within_token
from dashboard.teams import scope
from dashboard.teams.models import Membership, Team
from dashboard.teams.rights import ASSIGNABLE, PERSONAL

_TERMINALS = frozenset({Permission.TERMINAL_OPEN, Permission.TERMINAL_TYPE})
_NONE: frozenset[Permission] = frozenset()


def rights_in(user: Any, team_id: int | None) -> frozenset[Permission]:  # Any: a person's row
    """As they are now: nothing is remembered between two questions."""
    if scope.is_site_admin(user):
        return within_token(user, frozenset(Permission))
    if team_id is None:
        return _NONE
    found = Membership.objects.select_related("custom", "team").filter(team_id=team_id, person_id=user.pk).first()
    if found is None or lacks_factor(user, found.team):
        return _NONE
    return within_token(user, found.rights)


def lacks_factor(user: Any, team: Team) -> bool:  # Any: a person's row
    """Whether the team asks for a second factor of everybody in it, and this person has none."""
    return team.requires_factor and not factors.has_any(user)


def missing_factor(user: AbstractBaseUser) -> str:
    """In the current team."""
    here = None if scope.is_site_admin(user) else scope.current(user)
    if here is None or not lacks_factor(user, here):
        return ""
    msg = _("The team %(team)s asks for a second factor of everybody in it. Set one up: Preferences, Second factor.")
    return msg % {"team": here.name}


def by_team(user: AbstractBaseUser, permission: Permission, obj: Any) -> bool:  # any model's row
    if scope.is_site_admin(user) or permission in PERSONAL:
        return True
    if permission not in ASSIGNABLE:
        return False
    rights = rights_in(user, _team_of(user, obj))
    if permission not in rights:
        return False
    return permission not in _TERMINALS or Permission.TERMINAL_OTHERS in rights or not _is_anothers(user, obj)


def _team_of(user: AbstractBaseUser, obj: Any) -> int | None:  # any model's row
    """Of the right as such, and of what is everybody's (images, predefined networks), the current team decides."""
    if isinstance(obj, Team):
        return obj.pk
    if obj is None or not hasattr(obj, "team_id") or getattr(obj, "is_shared", False):
        here = scope.current(user)
        return None if here is None else here.pk
    found: int | None = obj.team_id
    return found


def _is_anothers(user: AbstractBaseUser, obj: Any) -> bool:  # any model's row
    return obj is not None and getattr(obj, "owner_id", user.pk) != user.pk
