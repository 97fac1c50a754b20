"""What a person may do in a team, and why: each right with the reason that the gate's policy has for it."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import User
from django.utils.translation import gettext as _

from dashboard.core.gate import Permission, Requester, allows, require
from dashboard.teams import scope
from dashboard.teams.models import Membership, Team
from dashboard.teams.policy import lacks_factor
from dashboard.teams.rights import ASSIGNABLE, BUILTIN, PERSONAL, Builtin
from dashboard.teams.services import NoSuchPerson, find_person


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    permission: Permission
    is_given: bool
    why: str


def seen(user: Requester, team: Team, name: str) -> tuple[User, list[Right]]:
    """Of oneself, or of somebody in the team; site administrators ask about anybody.

    Raises:
        NoSuchPerson: nobody, or somebody who is not in the team.
        Denied: `user` may not see who is in it.
    """
    require(user, Permission.TEAM_VIEW, team)
    is_own = user is not None and name == user.get_username()
    if not (is_own or allows(user, Permission.SITE_ADMIN) or team.memberships.filter(person__username=name).exists()):
        raise NoSuchPerson(name)
    person = find_person(name)
    return person, explain(person, team)


def explain(person: User, team: Team) -> list[Right]:
    """Every right there is; what it says is what `policy.by_team` answers (a test holds the two together)."""
    member = Membership.objects.select_related("custom", "person").filter(team=team, person=person).first()
    return [_of(permission, person, team, member) for permission in Permission]


def _of(permission: Permission, person: User, team: Team, member: Membership | None) -> Right:
    is_given, why = _reason(permission, person, team, member)
    return Right(permission=permission, is_given=is_given, why=why)


def _reason(permission: Permission, person: User, team: Team, member: Membership | None) -> tuple[bool, str]:
    """In the policy's own order."""
    name = person.username
    if not person.is_active:
        return False, _("The account of %(name)s is closed.") % {"name": name}
    if scope.is_site_admin(person):
        return True, _("%(name)s is a site administrator.") % {"name": name}
    if permission in PERSONAL:
        return True, _("Everybody who is signed in may.")
    if permission not in ASSIGNABLE:
        return False, _("Only site administrators may; no role gives it.")
    return _by_role(permission, name, team, member)


def _by_role(permission: Permission, name: str, team: Team, member: Membership | None) -> tuple[bool, str]:
    if member is None:
        return False, _("%(name)s is not in the team %(team)s.") % {"name": name, "team": team.name}
    if lacks_factor(member.person, team):
        told = {"name": name, "team": team.name}
        return False, _("The team %(team)s asks for a second factor, and %(name)s has none.") % told
    if permission in member.rights:
        return True, _("The role %(role)s gives it.") % {"role": member.role_shown}
    told = {"role": member.role_shown, "others": ", ".join(givers(permission, team)) or "–"}
    return False, _("The role %(role)s does not give it. These do: %(others)s.") % told


def givers(permission: Permission, team: Team) -> list[str]:
    """The roles of a team that give this right, as people read them."""
    found = [str(role.label) for role in Builtin if permission in BUILTIN[role]]
    return found + [role.name for role in team.roles.all() if permission in role.rights]
