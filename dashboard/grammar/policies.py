"""The commands of the group `policy` (Berth's own), and what `show` prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dashboard.grammar import teamrequests
from dashboard.grammar.commands import Command
from dashboard.grammar.flags import Flag, Values, string
from dashboard.grammar.limitvalues import read_capability
from dashboard.grammar.tables import Row, render_table

NONE, ANY = "none", "any"


def _names(read: Callable[[str], str] = str, *, has_any: bool = False) -> Callable[[str], object]:
    """A reader of `a,b`, `none`, and `any` where there is such."""

    def reader(text: str) -> tuple[str, ...] | None:
        if has_any and text == ANY:
            return None
        return () if text in {NONE, ""} else tuple(read(item.strip()) for item in text.split(","))

    return reader


_SWITCHES = {
    "privileged": "Allow --privileged",
    "userns-host": "Allow --userns host",
    "seccomp-unconfined": "Allow --security-opt seccomp=unconfined",
    "no-new-privileges": "Require --security-opt no-new-privileges",
}
_LISTS: dict[str, tuple[Callable[[str], object], str]] = {
    "host-namespaces": (_names(), "Namespaces of the host that may be shared (pid,ipc,uts,network|none)"),
    "devices": (_names(), "Devices of the host that may be given (/dev/fuse,…|none)"),
    "capabilities": (_names(read_capability, has_any=True), "Capabilities that may be added (NET_ADMIN,…|none|any)"),
    "host-paths": (_names(has_any=True), "Folders of the host that may be used (/srv/a,…|none|any)"),
    "networks": (_names(has_any=True), "Networks that containers may be in (bridge,…|none|any)"),
    "labels": (_names(), "Labels that each container must carry (owner,…|none)"),
}


def _changes(values: Values) -> tuple[tuple[str, bool | tuple[str, ...] | None], ...]:
    known = (name.replace("-", "_") for name in (*_SWITCHES, *_LISTS))
    return tuple((name, values[name]) for name in known if name in values)


def render_policy(rules: Mapping[str, object], format_text: str) -> str:
    """The text of `policy show`: a rule on each line."""
    rows: list[Row] = [{"Rule": name, "Value": _shown(value)} for name, value in rules.items()]
    return render_table(
        rows, headers={"Rule": "RULE", "Value": "VALUE"}, columns=["Rule", "Value"], format_text=format_text
    )


def _shown(value: object) -> str:
    if value is None:
        return ANY
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(sorted(map(str, value))) or NONE if isinstance(value, frozenset | tuple) else str(value)


_TEAM = string("team", text="Another team than the current one")
_FORMAT = string("format", text="Pretty-print using a Go template")

POLICY_COMMANDS: tuple[Command, ...] = (
    Command(
        name="set",
        usage="[OPTIONS]",
        about="Say what containers of a team may be; rules that are not named stay",
        build=lambda v, _w: teamrequests.PolicySet(team=v.get("team", ""), changes=_changes(v)),
        flags=(
            _TEAM,
            *(Flag(name=name, read=None, kind="", help=text) for name, text in _SWITCHES.items()),
            *(Flag(name=name, read=read, kind="list", help=text) for name, (read, text) in _LISTS.items()),
        ),
        most=0,
    ),
    Command(
        name="show",
        usage="[OPTIONS] [TEAM]",
        about="Show what containers of a team may be, within what the host allows",
        build=lambda v, w: teamrequests.PolicyShow(team=w[0] if w else "", format=v.get("format", "")),
        flags=(_FORMAT,),
        most=1,
    ),
    Command(
        name="unset",
        usage="[OPTIONS]",
        about="Give a team the default rules again: nothing of the host",
        build=lambda v, _w: teamrequests.PolicyUnset(team=v.get("team", "")),
        flags=(_TEAM,),
        most=0,
    ),
)
POLICY_BY_VERB = {command.name: command for command in POLICY_COMMANDS}
