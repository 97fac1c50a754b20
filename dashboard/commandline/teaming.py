"""Commands of the groups `team` and `user`. Each may be said twice: scripts set classes up with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from django.contrib.auth.models import User
from django.db.models import Count

from dashboard.accounts import factors
from dashboard.commandline.changing import each
from dashboard.commandline.console import Console
from dashboard.containers import moving, owning
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Permission, require
from dashboard.core.numbers import whole_number
from dashboard.grammar import teamrequests
from dashboard.grammar.teams import (
    InvitationLine,
    PersonLine,
    RightLine,
    RoleLine,
    TeamLine,
    render_groups,
    render_invitations,
    render_people,
    render_rights,
    render_roles,
    render_teams,
)
from dashboard.teams import explaining, joining, mapping, scope, services
from dashboard.teams import people as accounts
from dashboard.teams.models import Team
from dashboard.teams.rights import BUILTIN


def team_of(console: Console, slug: str) -> Team:
    """The one that is named, or the current one.

    Raises:
        NoSuchTeam, NoTeam: 404, 403.
    """
    if slug:
        return scope.find_team(console.user, slug)
    return Team.objects.get(pk=scope.owning(console.user))


async def _text(console: Console, render: Callable[[], str]) -> int:
    text = await console.call(render)
    if text:
        await console.line(text)
    return 0


async def listing(console: Console, request: teamrequests.TeamList) -> int:
    def render() -> str:
        here = scope.current(console.user)
        held = {one.team_id: one.role for one in console.user.memberships.select_related("custom")}  # type: ignore[attr-defined]  # a related name
        rows = Team.objects.filter(pk__in=scope.teams_of(console.user).values("pk")).annotate(
            count=Count("memberships")
        )
        lines = [
            TeamLine(slug=row.slug, name=row.name, members=row.count, role=held.get(row.pk, ""), is_current=row == here)
            for row in rows
        ]
        return render_teams(request, lines)

    return await _text(console, render)


async def create(console: Console, request: teamrequests.TeamCreate) -> int:
    made = await console.call(services.create, console.user, request.slug, request.name)
    await console.line(made.slug)
    return 0


async def remove(console: Console, request: teamrequests.TeamRemove) -> int:
    async def one(slug: str) -> str:
        team = await console.call(scope.find_team, console.user, slug)
        await console.call(services.remove, console.user, team)
        return f"{slug}\n"

    return await each(console, request.slugs, one)


async def use(console: Console, request: teamrequests.TeamUse) -> int:
    await console.call(scope.use, console.user, request.slug)
    await console.line(request.slug.removeprefix("--"))
    return 0


async def members(console: Console, request: teamrequests.TeamMembers) -> int:
    def render() -> str:
        rows = services.members(console.user, team_of(console, request.team))
        lines = [PersonLine(name=row.person.username, role=row.role, state=_state(row.person)) for row in rows]
        return render_people(lines, ("User", "Role", "State"), request.format)

    return await _text(console, render)


def _state(person: User) -> str:
    return "active" if person.is_active else "deactivated"


async def _each_person(console: Console, names: Sequence[str], act: Callable[[User], object]) -> int:
    """`act` for each, in a database thread; a text that it gives back is printed instead of the name."""

    def one_in_thread(name: str) -> str:
        said = act(services.find_person(name))
        return f"{said if isinstance(said, str) else name}\n"

    async def one(name: str) -> str:
        return await console.call(one_in_thread, name)

    return await each(console, names, one)


async def add(console: Console, request: teamrequests.TeamAdd) -> int:
    team = await console.call(team_of, console, request.team)
    await console.call(require, console.user, Permission.TEAM_MANAGE, team)
    return await _each_person(
        console, request.names, lambda person: services.set_role(console.user, team, person, request.role)
    )


async def dismiss(console: Console, request: teamrequests.TeamDismiss) -> int:
    team = await console.call(team_of, console, request.team)
    if request.names != (console.user.get_username(),):  # everybody may leave
        await console.call(require, console.user, Permission.TEAM_MANAGE, team)
    return await _each_person(console, request.names, lambda person: services.dismiss(console.user, team, person))


async def role(console: Console, request: teamrequests.TeamRole) -> int:
    team = await console.call(team_of, console, request.team)
    saved = await console.call(services.save_role, console.user, team, request.name, request.permissions)
    await console.line(saved.name)
    return 0


async def roles(console: Console, request: teamrequests.TeamRoles) -> int:
    def render() -> str:
        team = team_of(console, request.team)
        require(console.user, Permission.TEAM_VIEW, team)
        held = [(name, BUILTIN[name], team.memberships.filter(builtin=name).count()) for name in BUILTIN]
        held += [(role.name, role.rights, role.memberships.count()) for role in team.roles.all()]
        lines = [RoleLine(name=name, members=count, permissions=tuple(sorted(rights))) for name, rights, count in held]
        return render_roles(lines, request.format)

    return await _text(console, render)


async def remove_role(console: Console, request: teamrequests.TeamRemoveRole) -> int:
    team = await console.call(team_of, console, request.team)

    async def one(name: str) -> str:
        await console.call(services.remove_role, console.user, team, name)
        return f"{name}\n"

    return await each(console, request.names, one)


async def invite(console: Console, request: teamrequests.TeamInvite) -> int:
    """One line: the link."""

    def make() -> str:
        team = team_of(console, request.team)
        _made, secret = joining.invite(
            console.user, team, request.role, uses=request.uses, days=request.days, note=request.note
        )
        return joining.link_of("join", secret)

    return await _text(console, make)


async def invitations(console: Console, request: teamrequests.TeamInvitations) -> int:
    def render() -> str:
        lines = [
            InvitationLine(
                number=row.pk,
                note=row.note,
                role=row.role,
                used=f"{row.uses}/{row.most_uses}",
                ends=f"{row.expires_at:%Y-%m-%d %H:%M %Z}",
                giver=row.giver.username,
            )
            for row in joining.invitations(console.user, team_of(console, request.team))
        ]
        return render_invitations(lines, request.format)

    return await _text(console, render)


async def revoke(console: Console, request: teamrequests.TeamRevoke) -> int:
    team = await console.call(team_of, console, request.team)

    async def one(number: str) -> str:
        await console.call(joining.revoke, console.user, team, whole_number(number))
        return f"{number}\n"

    return await each(console, request.numbers, one)


async def take_in(console: Console, request: teamrequests.TeamImport) -> int:
    """One line for each: the name; of a new account also its link."""

    def make() -> str:
        done = joining.take_in(console.user, team_of(console, request.team), request.names, request.role)
        return "\n".join(
            f"{one.name} {joining.link_of('set-password', one.secret)}" if one.secret else one.name for one in done
        )

    return await _text(console, make)


async def can(console: Console, request: teamrequests.TeamCan) -> int:
    """1 if one permission is asked for and is not given, so that scripts can ask."""

    def look() -> tuple[list[RightLine], str]:
        _person, told = explaining.seen(console.user, team_of(console, request.team), request.name)
        rights = [one for one in told if request.permission in ("", one.permission)]
        if not rights:
            msg = f"Not a permission: {request.permission}. There are: {', '.join(one.permission for one in told)}."
            raise DashboardError(msg)
        lines = [RightLine(permission=one.permission, is_given=one.is_given, why=one.why) for one in rights]
        return lines, render_rights(lines, request.format)

    lines, text = await console.call(look)
    await console.line(text)
    return 0 if request.permission == "" or all(line.is_given for line in lines) else 1


async def transfer(console: Console, request: teamrequests.TeamTransfer) -> int:
    """One line: how many of each kind."""

    def act() -> str:
        team = team_of(console, request.team)
        require(console.user, Permission.TEAM_MANAGE, team)
        giver, taker = services.find_person(request.giver), services.find_person(request.taker)
        moved = owning.transfer(console.user, team, giver, taker)
        return ", ".join(f"{count} {name}" for name, count in moved.items())

    return await _text(console, act)


async def groups(console: Console, request: teamrequests.TeamGroups) -> int:
    def render() -> str:
        rows = mapping.groups_of(console.user, team_of(console, request.team))
        return render_groups([(row.name, row.role) for row in rows], request.format)

    return await _text(console, render)


async def map_group(console: Console, request: teamrequests.TeamMapGroup) -> int:
    def act() -> str:
        team = team_of(console, request.team)
        if request.role:
            mapping.add(console.user, team, request.group, request.role)
        else:
            mapping.remove(console.user, team, request.group)
        return request.group

    return await _text(console, act)


async def move(console: Console, request: teamrequests.TeamMove) -> int:
    act = moving.move_volume if request.kind == "volume" else moving.move_container

    async def one(name: str) -> str:
        await console.call(act, console.user, name, request.to)
        return f"{name}\n"

    return await each(console, request.names, one)


async def second_factor(console: Console, request: teamrequests.TeamFactor) -> int:
    def act() -> str:
        team = team_of(console, request.team)
        services.require_factor(console.user, team, required=request.required)
        return team.slug

    return await _text(console, act)


async def people(console: Console, request: teamrequests.UserList) -> int:
    def render() -> str:
        lines = [
            PersonLine(
                name=row.username,
                role="site admin" if row.is_superuser else "",
                teams=", ".join(f"{one.team.slug} ({one.role})" for one in row.memberships.all()),
                state=_state(row),
            )
            for row in services.people(console.user)
        ]
        return render_people(lines, ("User", "Role", "Teams", "State"), request.format)

    return await _text(console, render)


async def create_people(console: Console, request: teamrequests.UserCreate) -> int:
    async def one(name: str) -> str:
        made = await console.call(services.create_person, console.user, name)
        return f"{made.username}\n"

    return await each(console, request.names, one)


async def set_active(console: Console, request: teamrequests.UserActive) -> int:
    await console.call(require, console.user, Permission.SITE_ADMIN)
    return await _each_person(
        console,
        request.names,
        lambda person: services.set_active(console.user, person, is_active=request.is_active),
    )


async def reset(console: Console, request: teamrequests.UserReset) -> int:
    """One line for each: the name, and the link."""
    await console.call(require, console.user, Permission.SITE_ADMIN)

    def link(person: User) -> str:
        return (
            f"{person.username} {joining.link_of('set-password', accounts.new_password_secret(console.user, person))}"
        )

    return await _each_person(console, request.names, link)


async def remove_factors(console: Console, request: teamrequests.UserRemoveFactors) -> int:
    await console.call(require, console.user, Permission.SITE_ADMIN)
    return await _each_person(console, request.names, lambda person: factors.remove_all(console.user, person))
