"""The commands of the group `token` (Berth's own), and what `ls` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.grammar import teamrequests
from dashboard.grammar.commands import FORMAT, Command
from dashboard.grammar.flags import Flag, number, string
from dashboard.grammar.tables import Row, render_table


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLine:
    number: int
    name: str
    start: str
    rights: str
    ends: str
    used: str


def render_tokens(lines: Sequence[TokenLine], format_text: str) -> str:
    headers = {
        "ID": "ID",
        "Name": "NAME",
        "Token": "TOKEN",
        "Rights": "RIGHTS",
        "Ends": "ENDS",
        "LastUsed": "LAST USED",
    }
    rows: list[Row] = [
        {
            "ID": str(line.number),
            "Name": line.name,
            "Token": f"{line.start}…",
            "Rights": line.rights,
            "Ends": line.ends,
            "LastUsed": line.used,
        }
        for line in lines
    ]
    return render_table(rows, headers=headers, columns=list(headers), format_text=format_text)


_USER = string("user", text="Of somebody else, as of a service account (site administrators)")
TOKEN_COMMANDS: tuple[Command, ...] = (
    Command(
        name="create",
        usage="[OPTIONS] NAME",
        about="Print an access token, once: with it, berth --host works from another machine",
        build=lambda v, w: teamrequests.TokenCreate(
            name=w[0], user=v.get("user", ""), days=v.get("days", 30), rights=v.get("right")
        ),
        flags=(
            _USER,
            number("days", text="For how many days it holds (default 30)"),
            Flag(
                name="right",
                read=str,
                kind="permission",
                repeats=True,
                help="What it may do, as container.view; without one all that its owner may",
            ),
        ),
        least=1,
        most=1,
    ),
    Command(
        name="ls",
        usage="[OPTIONS]",
        about="List access tokens, without their secrets",
        build=lambda v, _w: teamrequests.TokenList(user=v.get("user", ""), format=v.get("format", "")),
        flags=(_USER, FORMAT),
        most=0,
    ),
    Command(
        name="rm",
        usage="TOKEN [TOKEN...]",
        about="Revoke access tokens by their ids, with all connections of theirs",
        build=lambda _v, w: teamrequests.TokenRemove(numbers=w),
        least=1,
    ),
)
TOKEN_BY_VERB = {command.name: command for command in TOKEN_COMMANDS}
