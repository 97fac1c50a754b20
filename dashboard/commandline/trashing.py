"""Commands of the groups `trash` and `life`, and what they mean for one container. Each name has its own outcome."""

from __future__ import annotations

from django.utils import timezone

from dashboard.commandline.changing import each
from dashboard.commandline.console import Console
from dashboard.commandline.following import finished
from dashboard.commandline.teaming import team_of
from dashboard.containers import lifelimits, liferules, lifespans, trash
from dashboard.containers import services as containers
from dashboard.containers.models import Container
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Permission, require
from dashboard.grammar.life import RULES, render_life
from dashboard.grammar.liferequests import (
    Extend,
    Keep,
    LifeSet,
    LifeShow,
    TrashEmpty,
    TrashList,
    TrashRemove,
    TrashRestore,
)
from dashboard.grammar.trash import TrashLine, render_trash
from dashboard.grammar.units import rfc3339

EMPTY_WARNING = "WARNING! This will remove for ever everything in the trash of the team."
NO_PROMPT = "Nothing was removed. Say --force to go on."


def _line(row: Container) -> TrashLine:
    entry = row.trashed
    return TrashLine(
        container_id=row.container_id,
        name=row.name,
        image=row.image_reference,
        remover=entry.remover.username if entry.remover else "",
        removed_at=entry.removed_at,
        due_at=entry.due_at,
        size_bytes=entry.size_bytes,
    )


async def listing(console: Console, request: TrashList) -> int:
    def render() -> str:
        return render_trash(request, [_line(row) for row in trash.listed(console.user)], timezone.now())

    text = await console.call(render)
    if text:
        await console.line(text)
    return 0


async def restore(console: Console, request: TrashRestore) -> int:
    """Prints the names by which they are back; what could not come back with them is said beside that."""

    def act(name: str) -> tuple[str, list[str]]:
        found = trash.find(name, console.user)
        restored = trash.restore(found, console.user, request.new_name)
        told = restored.lost
        if not request.new_name and restored.container.name != found.name:
            told = [restored.sentence(found.name)]
        return restored.container.name, told

    async def one(name: str) -> str:
        back, told = await console.call(act, name)
        for sentence in told:
            await console.err(sentence)
        return f"{back}\n"

    await console.call(require, console.user, Permission.CONTAINER_VIEW)
    return await each(console, request.names, one)


async def remove(console: Console, request: TrashRemove) -> int:
    async def one(name: str) -> str:
        found = await console.call(trash.find, name, console.user)
        await finished(console, await console.call(trash.end, found, console.user))
        return f"{name}\n"

    await console.call(require, console.user, Permission.CONTAINER_VIEW)
    return await each(console, request.names, one)


async def empty(console: Console, request: TrashEmpty) -> int:
    def found() -> list[Container]:
        require(console.user, Permission.CONTAINER_REMOVE)
        return list(trash.listed(console.user))

    rows = await console.call(found)
    if not request.force:
        await console.err(EMPTY_WARNING)
        await console.err(NO_PROMPT)
        return 1

    async def one(row: Container) -> str:
        try:
            await finished(console, await console.call(trash.end, row, console.user))
        except trash.NotInTrash:
            return ""  # somebody has brought it back since
        return f"{row.container_id}\n"

    code = 0
    for row in rows:
        try:
            await console.out(await one(row))
        except DashboardError as error:
            await console.err(f"Error: {error}")
            code = 1
    return code


async def show_rules(console: Console, request: LifeShow) -> int:
    def render() -> str:
        rules = liferules.shown(console.user, team_of(console, request.team))
        return render_life({field: getattr(rules, field) for field, *_more in RULES.values()}, request.format)

    await console.line(await console.call(render))
    return 0


async def change_rules(console: Console, request: LifeSet) -> int:
    def act() -> str:
        team = team_of(console, request.team)
        liferules.change(console.user, team, dict(request.changes))
        return team.slug

    await console.line(await console.call(act))
    return 0


async def extend(console: Console, request: Extend) -> int:
    """Prints when it ends now."""

    def act() -> str:
        found = containers.find(request.name, console.user)
        lifespans.extend(found, console.user, request.seconds)
        shown = lifelimits.shown(containers.find(found.container_id, console.user))
        return rfc3339(shown.ends_at) if shown is not None and shown.ends_at is not None else ""

    await console.line(await console.call(act))
    return 0


async def keep(console: Console, request: Keep) -> int:
    def act(name: str) -> str:
        lifespans.keep(containers.find(name, console.user), console.user, keeps=request.keep)
        return f"{name}\n"

    async def one(name: str) -> str:
        return await console.call(act, name)

    return await each(console, request.names, one)
