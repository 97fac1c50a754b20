"""Commands of the group `token`."""

from __future__ import annotations

from django.contrib.auth.models import User

from dashboard.accounts import access
from dashboard.commandline.changing import each
from dashboard.commandline.console import Console
from dashboard.core.numbers import whole_number
from dashboard.grammar.teamrequests import TokenCreate, TokenList, TokenRemove
from dashboard.grammar.tokens import TokenLine, render_tokens
from dashboard.teams import services as teams


def _owner(console: Console, name: str) -> User:
    return teams.find_person(name or console.user.get_username())


async def create(console: Console, request: TokenCreate) -> int:
    """One line: the secret."""

    def make() -> str:
        owner = _owner(console, request.user)
        _made, secret = access.make(console.user, owner, request.name, days=request.days, rights=request.rights)
        return secret

    await console.line(await console.call(make))
    return 0


async def listing(console: Console, request: TokenList) -> int:
    def render() -> str:
        lines = [
            TokenLine(
                number=row.pk,
                name=row.name,
                start=row.start,
                rights="all" if row.rights is None else ",".join(row.rights) or "none",
                ends="over" if row.is_over else f"{row.expires_at:%Y-%m-%d}",
                used=f"{row.last_used_at:%Y-%m-%d %H:%M} {row.last_used_from}".strip() if row.last_used_at else "never",
            )
            for row in access.tokens_of(console.user, _owner(console, request.user))
        ]
        return render_tokens(lines, request.format)

    await console.line(await console.call(render))
    return 0


async def remove(console: Console, request: TokenRemove) -> int:
    async def one(number: str) -> str:
        await console.call(access.revoke, console.user, whole_number(number))
        return f"{number}\n"

    return await each(console, request.numbers, one)
