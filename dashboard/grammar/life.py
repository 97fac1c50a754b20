"""The commands of the group `life` (Berth's own): how long containers of a team live, and what `show` prints."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from dashboard.grammar import liferequests
from dashboard.grammar.commands import FORMAT, Command
from dashboard.grammar.errors import EXIT_ARGUMENTS, UsageError, ValueRefused
from dashboard.grammar.flags import Flag, Values, string
from dashboard.grammar.tables import Row, render_table

NEVER, DEFAULT = "never", "default"
_UNITS_S: Final = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_SPAN = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,7})m)?(?:(\d{1,9})s)?", re.ASCII)


def read_span(text: str) -> int:
    """`90m`, `8h`, `1d12h`: seconds.

    Raises:
        ValueRefused: nothing of that kind.
    """
    match = _SPAN.fullmatch(text.strip())
    if text.strip() == "0":
        return 0
    if match is None or not text.strip():
        msg = f'"{text}" is no length of time: say it as 90m, 8h or 1d12h'
        raise ValueRefused(msg)
    return sum(int(count) * seconds for count, seconds in zip(match.groups(), _UNITS_S.values(), strict=True) if count)


def write_span(seconds: int) -> str:
    """As `read_span` reads it."""
    said = ""
    for unit, length in _UNITS_S.items():
        count, seconds = divmod(seconds, length)
        said += f"{count}{unit}" if count else ""
    return said or "0"


def _or(word: str) -> Callable[[str], object]:
    def reader(text: str) -> tuple[int | None]:  # a tuple: None is a value, too
        return (None,) if text == word else (read_span(text),)

    return reader


def _value(read: Callable[[str], int]) -> Callable[[str], object]:
    def reader(text: str) -> tuple[int | None]:
        return (read(text),)

    return reader


# flag → (rule, reader, what stands for None, help)
RULES: dict[str, tuple[str, Callable[[str], object], str, str]] = {
    "trash": ("trash_s", _or(DEFAULT), DEFAULT, "Keep removed containers so long (24h|0|default: the server's)"),
}


def render_life(rules: Mapping[str, int | None], format_text: str) -> str:
    """The text of `life show`: a rule on each line."""
    rows: list[Row] = [
        {"Rule": flag, "Value": _shown(field, rules[field], none)}
        for flag, (field, _read, none, _help) in RULES.items()
    ]
    return render_table(
        rows, headers={"Rule": "RULE", "Value": "VALUE"}, columns=["Rule", "Value"], format_text=format_text
    )


def _shown(field: str, value: int | None, none: str) -> str:
    if value is None:
        return none
    return write_span(value) if field.endswith("_s") else str(value)


def _build_set(values: Values, _words: tuple[str, ...]) -> liferequests.LifeSet:
    changes = tuple(
        (field, values[flag.replace("-", "_")][0])
        for flag, (field, *_more) in RULES.items()
        if flag.replace("-", "_") in values
    )
    if not changes:
        msg = "you must provide one or more flags when using this command"
        raise UsageError(msg, exit_code=EXIT_ARGUMENTS)
    return liferequests.LifeSet(team=values.get("team", ""), changes=changes)


LIFE_COMMANDS: tuple[Command, ...] = (
    Command(
        name="set",
        usage="[OPTIONS]",
        about="Say how long containers of a team live; rules that are not named stay",
        build=_build_set,
        flags=(
            string("team", text="Another team than the current one"),
            *(
                Flag(name=flag, read=read, kind="time", help=text)
                for flag, (_field, read, _none, text) in RULES.items()
            ),
        ),
        most=0,
    ),
    Command(
        name="show",
        usage="[OPTIONS] [TEAM]",
        about="Show how long containers of a team live",
        build=lambda v, w: liferequests.LifeShow(team=w[0] if w else "", format=v.get("format", "")),
        flags=(FORMAT,),
        most=1,
    ),
)
LIFE_BY_VERB = {command.name: command for command in LIFE_COMMANDS}
