"""Commands of the group `policy`: what containers may be, and which images a team may have. Each may be said twice."""

from __future__ import annotations

from dashboard.commandline.changing import each
from dashboard.commandline.console import Console
from dashboard.commandline.teaming import team_of
from dashboard.core.numbers import whole_number
from dashboard.grammar.policies import (
    ImageRequestLine,
    ImageRuleLine,
    render_image_requests,
    render_image_rules,
    render_policy,
)
from dashboard.grammar.policyrequests import (
    ImageAllow,
    ImageAsk,
    ImageDecide,
    ImageDisallow,
    ImageRequests,
    ImageRules,
    PolicySet,
    PolicyShow,
    PolicyUnset,
)
from dashboard.imagepolicy import services as imagepolicy
from dashboard.imagepolicy.models import ImageRule
from dashboard.runpolicy import services as runpolicy
from dashboard.runpolicy.rules import as_mapping


async def show(console: Console, request: PolicyShow) -> int:
    def render() -> str:
        return render_policy(as_mapping(runpolicy.shown(console.user, team_of(console, request.team))), request.format)

    await console.line(await console.call(render))
    return 0


async def change(console: Console, request: PolicySet) -> int:
    def act() -> str:
        team = team_of(console, request.team)
        runpolicy.change(console.user, team, dict(request.changes))
        return team.slug

    await console.line(await console.call(act))
    return 0


async def reset(console: Console, request: PolicyUnset) -> int:
    def act() -> str:
        team = team_of(console, request.team)
        runpolicy.reset(console.user, team)
        return team.slug

    await console.line(await console.call(act))
    return 0


def _pinned(row: ImageRule) -> str:
    return row.digest[:19] or "pinned at its first pull"


async def rules(console: Console, request: ImageRules) -> int:
    def act() -> str:
        team = team_of(console, request.team)
        if request.listed is not None:
            imagepolicy.set_listed(console.user, team, listed=request.listed)
            return f"{team.slug} {'listed' if request.listed else 'any'}"
        found = imagepolicy.rules(console.user, team)
        if not imagepolicy.is_listed(team.pk):
            return f"The team {team.slug} may have any image."
        lines = [
            ImageRuleLine(
                number=row.pk,
                pattern=row.pattern,
                kind="one pull" if row.once else _pinned(row) if row.pins else "all",
                ends=f"{row.expires_at:%Y-%m-%d %H:%M %Z}" if row.expires_at else "",
                giver=row.giver.username if row.giver else "",
            )
            for row in found
        ]
        return render_image_rules(lines, request.format)

    await console.line(await console.call(act))
    return 0


async def allow(console: Console, request: ImageAllow) -> int:
    team = await console.call(team_of, console, request.team)

    def one_in_thread(text: str) -> str:
        made = imagepolicy.add_rule(console.user, team, text, once=request.once, days=request.days, pins=request.pins)
        return f"{made.pattern}\n"

    async def one(text: str) -> str:
        return await console.call(one_in_thread, text)

    return await each(console, request.patterns, one)


async def disallow(console: Console, request: ImageDisallow) -> int:
    team = await console.call(team_of, console, request.team)

    async def one(number: str) -> str:
        await console.call(imagepolicy.remove_rule, console.user, team, whole_number(number))
        return f"{number}\n"

    return await each(console, request.numbers, one)


async def ask(console: Console, request: ImageAsk) -> int:
    def act() -> str:
        made = imagepolicy.ask(console.user, team_of(console, request.team), request.image, request.reason)
        return f"{made.pk}"

    await console.line(await console.call(act))
    return 0


async def requests(console: Console, request: ImageRequests) -> int:
    def render() -> str:
        lines = [
            ImageRequestLine(
                number=row.pk,
                image=row.reference,
                person=row.requester.username,
                reason=row.reason,
                answer=row.answer,
                said=row.said,
            )
            for row in imagepolicy.requests_of(console.user, team_of(console, request.team))[:200]
        ]
        return render_image_requests(lines, request.format)

    await console.line(await console.call(render))
    return 0


async def decide(console: Console, request: ImageDecide) -> int:
    def act() -> str:
        team = team_of(console, request.team)
        found = imagepolicy.decide(
            console.user,
            team,
            whole_number(request.number),
            approve=request.approve,
            once=request.once,
            days=request.days,
            pins=request.pins,
            said=request.said,
        )
        return f"{found.pk} {found.answer}"

    await console.line(await console.call(act))
    return 0
