"""Commands of the groups `team` and `user`. Each may be said twice: scripts set classes up with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Count
from django.urls import reverse

from dashboard.commandline.changing import each
from dashboard.commandline.console import Console
from dashboard.core.gate import Permission, require
from dashboard.grammar import requests
from dashboard.grammar.teams import PersonLine, TeamLine, render_people, render_teams
from dashboard.teams import people as accounts
from dashboard.teams import scope, services
from dashboard.teams.models import Team


def _team(console: Console, slug: str) -> Team:
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


async def listing(console: Console, request: requests.TeamList) -> int:
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


async def create(console: Console, request: requests.TeamCreate) -> int:
    made = await console.call(services.create, console.user, request.slug, request.name)
    await console.line(made.slug)
    return 0


async def remove(console: Console, request: requests.TeamRemove) -> int:
    async def one(slug: str) -> str:
        team = await console.call(scope.find_team, console.user, slug)
        await console.call(services.remove, console.user, team)
        return f"{slug}\n"

    return await each(console, request.slugs, one)


async def use(console: Console, request: requests.TeamUse) -> int:
    await console.call(scope.use, console.user, request.slug)
    await console.line(request.slug.removeprefix("--"))
    return 0


async def members(console: Console, request: requests.TeamMembers) -> int:
    def render() -> str:
        rows = services.members(console.user, _team(console, request.team))
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


async def add(console: Console, request: requests.TeamAdd) -> int:
    team = await console.call(_team, console, request.team)
    await console.call(require, console.user, Permission.TEAM_MANAGE, team)
    return await _each_person(
        console, request.names, lambda person: services.set_role(console.user, team, person, request.role)
    )


async def dismiss(console: Console, request: requests.TeamDismiss) -> int:
    team = await console.call(_team, console, request.team)
    if request.names != (console.user.get_username(),):  # everybody may leave
        await console.call(require, console.user, Permission.TEAM_MANAGE, team)
    return await _each_person(console, request.names, lambda person: services.dismiss(console.user, team, person))


async def role(console: Console, request: requests.TeamRole) -> int:
    team = await console.call(_team, console, request.team)
    saved = await console.call(services.save_role, console.user, team, request.name, request.permissions)
    await console.line(saved.name)
    return 0


async def people(console: Console, request: requests.UserList) -> int:
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


async def create_people(console: Console, request: requests.UserCreate) -> int:
    async def one(name: str) -> str:
        made = await console.call(services.create_person, console.user, name)
        return f"{made.username}\n"

    return await each(console, request.names, one)


async def set_active(console: Console, request: requests.UserActive) -> int:
    await console.call(require, console.user, Permission.SITE_ADMIN)
    return await _each_person(
        console,
        request.names,
        lambda person: services.set_active(console.user, person, is_active=request.is_active),
    )


async def reset(console: Console, request: requests.UserReset) -> int:
    """One line for each: the name, and the link."""
    await console.call(require, console.user, Permission.SITE_ADMIN)

    def link(person: User) -> str:
        secret = accounts.new_password_secret(console.user, person)
        return f"{person.username} {settings.BERTH_PUBLIC_URL}{reverse('set-password', args=[secret])}"

    return await _each_person(console, request.names, link)
