"""The commands of the group `quota` (Berth's own), and what `show` prints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dashboard.grammar import policyrequests
from dashboard.grammar.commands import FORMAT, Command
from dashboard.grammar.errors import ValueRefused
from dashboard.grammar.flags import Flag, Values, string, switch
from dashboard.grammar.tables import Row, render_table
from dashboard.grammar.values import read_cpus, read_hours, read_int, read_size

NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaLine:
    """`used`, `limit`: as people read them; "" is no limit."""

    whose: str
    kind: str
    used: str
    limit: str


def render_quotas(lines: Sequence[QuotaLine], format_text: str) -> str:
    headers = {"Quota": "QUOTA", "Kind": "KIND", "Used": "USED", "Limit": "LIMIT"}
    rows: list[Row] = [
        {"Quota": line.whose, "Kind": line.kind, "Used": line.used, "Limit": line.limit or NONE} for line in lines
    ]
    return render_table(rows, headers=headers, columns=list(headers), format_text=format_text)


def _limit(read: Callable[[str], int]) -> Callable[[str], object]:
    def reader(text: str) -> tuple[int | None]:  # a tuple: None is a value, too
        if text == NONE:
            return (None,)
        value = read(text)
        if value < 0:
            msg = "a quota is 0 or more, or none"
            raise ValueRefused(msg)
        return (value,)

    return reader


def _range(text: str) -> tuple[int | None, int | None]:
    if text == NONE:
        return None, None
    first, dash, last = text.partition("-")
    if not dash:
        msg = "a range is two ports, as 20000-20099, or none"
        raise ValueRefused(msg)
    return read_int(first), read_int(last)


LIMITS: dict[str, tuple[str, Callable[[str], int], str]] = {
    "containers": ("containers", read_int, "Containers, running or not"),
    "cpus": ("nano_cpus", read_cpus, "Processors of running containers together"),
    "memory": ("memory_bytes", read_size, "Memory of running containers together"),
    "pids": ("pids", read_int, "Processes of running containers together"),
    "ports": ("ports", read_int, "Published ports"),
    "layer-disk": ("layer_bytes", read_size, "Sizes of containers' writable layers together (--storage-opt size)"),
    "volume-disk": ("volume_bytes", read_size, "What is in volumes, as it was measured last"),
    "image-disk": ("image_bytes", read_size, "Files of the images' layers, each once"),
    "pulls": ("pulls", read_int, "Pulls within an hour"),
    "running-hours": ("running_seconds", read_hours, "Hours that containers ran within 30 days, all together"),
}


def _build_set(values: Values, _words: tuple[str, ...]) -> policyrequests.QuotaSet:
    changes = [
        (field, values[flag.replace("-", "_")][0])
        for flag, (field, *_more) in LIMITS.items()
        if flag.replace("-", "_") in values
    ]
    if "port_range" in values:
        changes += zip(("first_port", "last_port"), values["port_range"], strict=True)
    return policyrequests.QuotaSet(**_whose(values), changes=tuple(changes))


def _whose(values: Values) -> Values:
    return {name: values.get(name, "") for name in ("team", "user")} | {"everybody": values.get("everybody", False)}


_WHOSE = (
    string("team", text="Of this team; with --user, of that person in it"),
    string("user", text="Of this person; without --team, in all teams"),
    switch("everybody", text="Of each person who has no quota of their own"),
)
QUOTA_COMMANDS: tuple[Command, ...] = (
    Command(
        name="set",
        usage="[OPTIONS]",
        about="Limit what a team, a person, or a person in a team may use; limits that are not named stay",
        build=_build_set,
        flags=(
            *_WHOSE,
            *(
                Flag(name=flag, read=_limit(read), kind="value", help=f"{text} (none: no limit)")
                for flag, (_field, read, text) in LIMITS.items()
            ),
            Flag(name="port-range", read=_range, kind="ports", help="Ports that may be published (20000-20099|none)"),
        ),
        most=0,
    ),
    Command(
        name="show",
        usage="[OPTIONS] [TEAM]",
        about="Show the quotas that hold in a team, and what of them is used",
        build=lambda v, w: policyrequests.QuotaShow(team=w[0] if w else "", format=v.get("format", "")),
        flags=(FORMAT,),
        most=1,
    ),
    Command(
        name="unset",
        usage="[OPTIONS]",
        about="Take all limits of a team, a person, or a person in a team away",
        build=lambda v, _w: policyrequests.QuotaUnset(**_whose(v)),
        flags=_WHOSE,
        most=0,
    ),
)
QUOTA_BY_VERB = {command.name: command for command in QUOTA_COMMANDS}
