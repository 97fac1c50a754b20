"""Commands of the group `quota`. Each may be said twice."""

from __future__ import annotations

from django.contrib.auth.models import User

from dashboard.commandline.console import Console
from dashboard.commandline.teaming import team_of
from dashboard.core.errors import DashboardError
from dashboard.grammar.policyrequests import QuotaSet, QuotaShow, QuotaUnset
from dashboard.grammar.quotas import QuotaLine, render_quotas
from dashboard.quotas import pages, services
from dashboard.teams import scope
from dashboard.teams import services as teams
from dashboard.teams.models import Team


def _whose(console: Console, request: QuotaSet | QuotaUnset) -> tuple[Team | None, User | None]:
    """Raises DashboardError: nothing is named, or everybody and somebody."""
    named = bool(request.team or request.user)
    if named == request.everybody:
        msg = "Say whose: --team TEAM, --user USER, both for a member, or --everybody."
        raise DashboardError(msg)
    team = scope.find_team(console.user, request.team) if request.team else None
    return team, teams.find_person(request.user) if request.user else None


async def show(console: Console, request: QuotaShow) -> int:
    def render() -> str:
        lines = [
            QuotaLine(whose=one.name, kind=bar.flag, used=bar.used_shown, limit=bar.limit_shown)
            for one in pages.seen(console.user, team_of(console, request.team))
            for bar in one.bars
            if bar.limit is not None or one.is_whole_team
        ]
        return render_quotas(lines, request.format)

    await console.line(await console.call(render))
    return 0


async def change(console: Console, request: QuotaSet) -> int:
    def act() -> str:
        team, person = _whose(console, request)
        services.change(console.user, team, person, dict(request.changes))
        return services.name_of(team, person)

    await console.line(await console.call(act))
    return 0


async def remove(console: Console, request: QuotaUnset) -> int:
    def act() -> str:
        team, person = _whose(console, request)
        services.remove(console.user, team, person)
        return services.name_of(team, person)

    await console.line(await console.call(act))
    return 0
