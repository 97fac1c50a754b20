"""`login` and `logout` in Docker's words, the group `registry`, and `image share` (Berth's own)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.grammar import registryrequests
from dashboard.grammar.commands import FORMAT, Command
from dashboard.grammar.errors import EXIT_ARGUMENTS, UsageError, ValueRefused
from dashboard.grammar.flags import Flag, Values, string, switch
from dashboard.grammar.tables import Row, render_table

WHOSE = ("me", "team", "site")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryLine:
    registry: str
    whose: str
    username: str
    address: str
    given: str
    used: str


def render_registries(lines: Sequence[RegistryLine], format_text: str) -> str:
    headers = {
        "Registry": "REGISTRY",
        "For": "FOR",
        "Username": "USERNAME",
        "Address": "SENT TO",
        "GivenBy": "GIVEN BY",
        "LastUsed": "LAST USED",
    }
    rows: list[Row] = [
        dict(zip(headers, (one.registry, one.whose, one.username, one.address, one.given, one.used), strict=True))
        for one in lines
    ]
    return render_table(rows, headers=headers, columns=list(headers), format_text=format_text)


def _read_whose(text: str) -> str:
    if text not in WHOSE:
        msg = "must be me, team or site"
        raise ValueRefused(msg)
    return text


def _build_login(values: Values, words: tuple[str, ...]) -> registryrequests.Login:
    password, reads_stdin = values.get("password"), values.get("password_stdin", False)
    if password is not None and reads_stdin:
        msg = "conflicting options: cannot specify both --password and --password-stdin"
        raise UsageError(msg, exit_code=EXIT_ARGUMENTS)
    if reads_stdin and not values.get("username"):
        msg = "the --password-stdin option requires --username to be set"
        raise UsageError(msg, exit_code=EXIT_ARGUMENTS)
    return registryrequests.Login(
        registry=words[0] if words else "",
        username=values.get("username", ""),
        password=password,
        reads_stdin=reads_stdin,
        whose=values.get("for", "me"),
    )


_FOR = Flag(name="for", read=_read_whose, kind="string", help="Whose they are: me (default), team or site")
LOGIN_COMMANDS: tuple[Command, ...] = (
    Command(
        name="login",
        usage="[OPTIONS] [SERVER]",
        about="Authenticate to a registry",
        build=_build_login,
        flags=(
            _FOR,
            string("password", "p", "Password or Personal Access Token (PAT)"),
            switch("password-stdin", text="Take the Password or Personal Access Token (PAT) from stdin"),
            string("username", "u", "Username"),
        ),
        most=1,
    ),
    Command(
        name="logout",
        usage="[OPTIONS] [SERVER]",
        about="Log out from a registry",
        build=lambda v, w: registryrequests.Logout(registry=w[0] if w else "", whose=v.get("for", "me")),
        flags=(_FOR,),
        most=1,
    ),
)
REGISTRY_COMMANDS: tuple[Command, ...] = (
    Command(
        name="ls",
        usage="[OPTIONS]",
        about="List the credentials that pulls use here, without their secrets",
        build=lambda v, _w: registryrequests.RegistryList(format=v.get("format", "")),
        flags=(FORMAT,),
        most=0,
    ),
)
SHARE_COMMANDS: tuple[Command, ...] = (
    Command(
        name="share",
        usage="[OPTIONS] IMAGE",
        about="Let everybody, or another team, have an image that only the current team sees",
        build=lambda v, w: registryrequests.ImageShare(image=w[0], team=v.get("with", "")),
        flags=(string("with", text="Only this team, one of your own"),),
        least=1,
        most=1,
    ),
    Command(
        name="unshare",
        usage="IMAGE",
        about="Let only the teams that hold a shared image see it again",
        build=lambda _v, w: registryrequests.ImageUnshare(image=w[0]),
        least=1,
        most=1,
    ),
)
BY_VERB = {command.name: command for command in (*REGISTRY_COMMANDS, *LOGIN_COMMANDS)}
SHARE_BY_VERB = {command.name: command for command in SHARE_COMMANDS}
