"""Commands of the group `policy`. Each may be said twice."""

from __future__ import annotations

from dashboard.commandline.console import Console
from dashboard.commandline.teaming import team_of
from dashboard.grammar.policies import render_policy
from dashboard.grammar.teamrequests import PolicySet, PolicyShow, PolicyUnset
from dashboard.runpolicy import services
from dashboard.runpolicy.rules import as_mapping


async def show(console: Console, request: PolicyShow) -> int:
    def render() -> str:
        return render_policy(as_mapping(services.shown(console.user, team_of(console, request.team))), request.format)

    await console.line(await console.call(render))
    return 0


async def change(console: Console, request: PolicySet) -> int:
    def act() -> str:
        team = team_of(console, request.team)
        services.change(console.user, team, dict(request.changes))
        return team.slug

    await console.line(await console.call(act))
    return 0


async def reset(console: Console, request: PolicyUnset) -> int:
    def act() -> str:
        team = team_of(console, request.team)
        services.reset(console.user, team)
        return team.slug

    await console.line(await console.call(act))
    return 0
