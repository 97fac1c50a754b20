"""Changing teams, who is in them and as what. Nobody gives a right that they do not have themselves (WEB-02)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import ProtectedError, QuerySet
from django.utils.translation import gettext as _

from dashboard.accounts import access, factors
from dashboard.audit import services as audit
from dashboard.core.errors import DashboardError
from dashboard.core.events import rights_changed
from dashboard.core.gate import Permission, Requester, require
from dashboard.teams.models import Membership, Role, Team
from dashboard.teams.policy import rights_in
from dashboard.teams.rights import ASSIGNABLE, BUILTIN, Builtin
from dashboard.teams.scope import is_site_admin

_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}\Z")
MOST_ROLES = 50


class NoSuchPerson(DashboardError):
    def __init__(self, name: str) -> None:
        super().__init__(_("No such user: %(name)s") % {"name": name}, status=404)


def find_person(name: str) -> User:
    """Raises NoSuchPerson."""
    found = get_user_model().objects.filter(username=name).first()
    if found is None:
        raise NoSuchPerson(name)
    return found


def create(user: Requester, slug: str, name: str = "") -> Team:
    """A team without anybody in it, or the one of that name as it is.

    Raises:
        DashboardError: a name that cannot be (400).
    """
    require(user, Permission.SITE_ADMIN)
    if not _SLUG.match(slug) or slug == "all":
        msg = f"Invalid team name ({slug}): up to 40 of a-z, 0-9, - and _, a letter or digit first, and not 'all'."
        raise DashboardError(msg)
    with transaction.atomic():
        team, is_new = Team.objects.get_or_create(slug=slug, defaults={"name": name or slug})
        if is_new:
            audit.record("create-team", user, target=slug, team_id=team.pk)
    return team


def remove(user: Requester, team: Team) -> None:
    """With its memberships and roles.

    Raises:
        DashboardError: it is the main team, or something is still its own (409).
    """
    require(user, Permission.SITE_ADMIN)
    if team.is_main:
        msg = f"The team {team.slug} stays: it is where everything goes that is no other team's."
        raise DashboardError(msg, status=409)
    people = [one.person_id for one in team.memberships.all()]
    try:
        with transaction.atomic():
            Membership.objects.filter(team=team).delete()  # or its roles would be held by them
            audit.record("remove-team", user, target=team.slug, team_id=team.pk)
            team.delete()
    except ProtectedError as error:
        msg = f"The team {team.slug} still has containers, volumes or networks. Remove them first, from its trash too."
        raise DashboardError(msg, status=409) from error
    rights_changed(people)


def members(user: Requester, team: Team) -> QuerySet[Membership]:
    require(user, Permission.TEAM_VIEW, team)
    return team.memberships.select_related("person", "custom")


def roles_of(team: Team) -> list[str]:
    """As commands spell them, the built-in ones first."""
    return [*Builtin.values, *team.roles.values_list("name", flat=True)]


def find_role(team: Team, name: str) -> tuple[dict[str, Any], frozenset[Permission]]:  # Any: fields of a membership
    """What a membership is to be written with, and the rights that it gives.

    Raises:
        DashboardError: the team has no such role (404).
    """
    if name in BUILTIN:
        return {"builtin": name, "custom": None}, BUILTIN[name]
    found = team.roles.filter(name=name).first()
    if found is None:
        msg = f"No such role: {name}. There are: {', '.join(roles_of(team))}."
        raise DashboardError(msg, status=404)
    return {"builtin": "", "custom": found}, found.rights


def refuse_more(user: Requester, team: Team, wanted: frozenset[Permission]) -> None:
    """What somebody gives or takes away must be theirs."""
    if more := wanted - rights_in(user, team.pk):
        msg = _("You may not do this: it is about rights that you do not have yourself (%(rights)s).")
        msg %= {"rights": ", ".join(sorted(more))}
        raise DashboardError(msg, status=403)


def locked(team: Team) -> Team:
    """Two changes at once would each find the other's admin still there."""
    found = Team.objects.select_for_update().filter(pk=team.pk).first()
    if found is None:
        msg = f"No such team: {team.slug}"
        raise DashboardError(msg, status=404)
    return found


def _refuse_last(team: Team, member: Membership) -> None:
    others = team.memberships.filter(builtin=Builtin.ADMIN, person__is_active=True).exclude(pk=member.pk)
    if member.builtin == Builtin.ADMIN and not others.exists():
        msg = _("%(name)s is the last admin of the team %(team)s. Make somebody else one first.")
        msg %= {"name": member.person.username, "team": team.slug}
        raise DashboardError(msg, status=409)


def set_role(user: Requester, team: Team, person: User, role: str) -> Membership:
    """Add somebody to a team, or give a member another role. Idempotent.

    Raises:
        DashboardError: no such role (404); more rights than one's own, given or taken away (403); the last admin (409).
        Denied: `user` may not manage this team.
    """
    require(user, Permission.TEAM_MANAGE, team)
    with transaction.atomic():
        team = locked(team)
        fields, rights = find_role(team, role)
        refuse_more(user, team, rights)
        member = team.memberships.select_related("person", "custom").filter(person=person).first()
        if member is None:
            member = Membership.objects.create(team=team, person=person, **fields)
            audit.record("add-member", user, target=person.username, team_id=team.pk, parameters={"role": role})
        elif member.role != role:
            refuse_more(user, team, member.rights)
            _refuse_last(team, member)
            told = {"role": role, "before": member.role}
            audit.record("change-role", user, target=person.username, team_id=team.pk, parameters=told)
            member.builtin, member.custom = fields["builtin"], fields["custom"]
            member.save()
    rights_changed([person.pk])
    return member


def dismiss(user: Requester, team: Team, person: User) -> None:
    """Take somebody out of a team; everybody may leave one. What they made stays the team's. Idempotent.

    Raises:
        DashboardError: more rights than one's own are taken away (403); the last admin (409).
        Denied: `user` may not manage this team.
    """
    leaves = getattr(user, "pk", None) == person.pk
    if not leaves:
        require(user, Permission.TEAM_MANAGE, team)
    with transaction.atomic():
        team = locked(team)
        member = team.memberships.select_related("person", "custom").filter(person=person).first()
        if member is None:
            return
        if not leaves:
            refuse_more(user, team, member.rights)
        _refuse_last(team, member)
        audit.record("remove-member", user, target=person.username, team_id=team.pk, parameters={"role": member.role})
        member.delete()
    rights_changed([person.pk])


def save_role(user: Requester, team: Team, name: str, permissions: Iterable[str]) -> Role:
    """Make a custom role, or give it other permissions: then those who have it have those.

    Raises:
        DashboardError: a name or a permission that cannot be (400); more rights than one's own (403).
        Denied: `user` may not manage this team.
    """
    require(user, Permission.TEAM_MANAGE, team)
    if not _SLUG.match(name) or name in BUILTIN:
        msg = f"Invalid role name ({name}): up to 40 of a-z, 0-9, - and _, and not a built-in one."
        raise DashboardError(msg)
    wanted = set(permissions)
    if unknown := wanted - set(ASSIGNABLE):
        msg = f"Not a permission of a role: {', '.join(sorted(unknown))}. There are: {', '.join(sorted(ASSIGNABLE))}."
        raise DashboardError(msg)
    with transaction.atomic():
        team = locked(team)
        before = team.roles.filter(name=name).first()
        if before is None and team.roles.count() >= MOST_ROLES:
            msg = f"A team has at most {MOST_ROLES} roles of its own."
            raise DashboardError(msg, status=409)
        refuse_more(user, team, frozenset(map(Permission, wanted)) | (before.rights if before else frozenset()))
        saved, _is_new = Role.objects.update_or_create(team=team, name=name, defaults={"permissions": sorted(wanted)})
        told = {"permissions": sorted(wanted), "before": before.permissions if before else None}
        audit.record("save-role", user, target=name, team_id=team.pk, parameters=told)
    rights_changed(saved.memberships.values_list("person_id", flat=True))
    return saved


def remove_role(user: Requester, team: Team, name: str) -> None:
    """A custom role that nobody has any more. Links that would give it are worth nothing then.

    Raises:
        DashboardError: no such role of the team's own (404); somebody has it (409); more rights than one's own (403).
        Denied: `user` may not manage this team.
    """
    require(user, Permission.TEAM_MANAGE, team)
    with transaction.atomic():
        team = locked(team)
        found = team.roles.filter(name=name).first()
        if found is None:
            msg = _("The team %(team)s has no role of its own called %(name)s.") % {"team": team.slug, "name": name}
            raise DashboardError(msg, status=404)
        refuse_more(user, team, found.rights)
        if holders := [one.person.username for one in found.memberships.select_related("person")[:5]]:
            msg = _("The role %(name)s is still somebody's: %(people)s. Give them another one first.")
            raise DashboardError(msg % {"name": name, "people": ", ".join(holders)}, status=409)
        audit.record("remove-role", user, target=name, team_id=team.pk, parameters={"permissions": found.permissions})
        found.delete()


def people(user: Requester) -> QuerySet[User]:
    """Everybody who has an account; for site administrators."""
    require(user, Permission.SITE_ADMIN)
    return get_user_model().objects.prefetch_related("memberships__team", "memberships__custom").order_by("username")


def create_person(user: Requester, name: str) -> User:
    """An account that nobody can sign in to yet, or the one of that name as it is.

    Raises:
        DashboardError: a name that cannot be (400).
    """
    require(user, Permission.SITE_ADMIN)
    access.refuse_narrowed(user)
    found = get_user_model().objects.filter(username__iexact=name).first()
    if found is not None:
        return found
    if not re.match(r"[\w.@+-]{1,150}\Z", name):
        msg = f"Invalid user name ({name}): letters, digits and @ . + - _ only."
        raise DashboardError(msg)
    with transaction.atomic():
        made = get_user_model().objects.create_user(name, password=None)
        audit.record("create-account", user, target=name)
    return made


def require_factor(user: Requester, team: Team, *, required: bool) -> None:
    """Ask for a second factor of everybody in the team, or of nobody. Who has none may do nothing there. Idempotent.

    Raises:
        DashboardError: `user` has none, and would be the first outside (409).
        Denied: `user` may not manage this team.
    """
    require(user, Permission.TEAM_MANAGE, team)
    if required and not is_site_admin(user) and not factors.has_any(user):
        raise DashboardError(_("Set up a second factor of your own first: Preferences, Second factor."), status=409)
    with transaction.atomic():
        if Team.objects.filter(pk=team.pk).exclude(requires_factor=required).update(requires_factor=required):
            audit.record("require-factor" if required else "waive-factor", user, target=team.slug, team_id=team.pk)
    team.requires_factor = required
    rights_changed(team.memberships.values_list("person_id", flat=True))


def without_factor(team: Team) -> set[int]:
    """Who of the team signs in by a password alone; for its admins. Row numbers."""
    return set(team.memberships.values_list("person_id", flat=True)) - factors.holders()


def set_active(user: Requester, person: User, *, is_active: bool) -> None:
    """Close an account, with every connection of it, or open it again. Idempotent.

    Raises:
        DashboardError: the last administrator of the site (409).
    """
    require(user, Permission.SITE_ADMIN)
    access.refuse_narrowed(user)
    with transaction.atomic():
        admins = get_user_model().objects.select_for_update().filter(is_superuser=True, is_active=True)
        others = [one for one in admins if one.pk != person.pk and one.has_usable_password()]
        if not is_active and is_site_admin(person) and not others:
            msg = f"{person.username} is the last administrator of this Berth. Make somebody else one first."
            raise DashboardError(msg, status=409)
        if get_user_model().objects.filter(pk=person.pk).exclude(is_active=is_active).update(is_active=is_active):
            audit.record("open-account" if is_active else "close-account", user, target=person.username)
    rights_changed([person.pk])
