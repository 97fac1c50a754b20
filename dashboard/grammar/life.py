"""The commands of the group `life` (Berth's own): how long containers of a team live, and what `show` prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dashboard.grammar import liferequests
from dashboard.grammar.commands import FORMAT, Command
from dashboard.grammar.errors import EXIT_ARGUMENTS, UsageError, ValueRefused
from dashboard.grammar.flags import Flag, Values, string, switch
from dashboard.grammar.spans import read_span, write_span
from dashboard.grammar.tables import Row, render_table
from dashboard.grammar.values import read_int

NEVER, DEFAULT = "never", "default"


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
    "expire": ("expiry_s", _or(NEVER), NEVER, "Stop a container so long after its start (8h|never)"),
    "idle-stop": ("idle_s", _or(NEVER), NEVER, "Stop a container that nobody has used for so long (30m|never)"),
    "warn": ("warning_s", _value(read_span), "", "Warn so long before (15m)"),
    "extension": ("extension_s", _value(read_span), "", "The longest that one extension may be (1h)"),
    "extensions": ("extensions", _value(read_int), "", "How often one run may be extended"),
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


def _duration(text: str) -> int:
    try:
        return read_span(text)
    except ValueRefused as error:
        msg = f"Error: {error}"
        raise UsageError(msg, exit_code=EXIT_ARGUMENTS) from error


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
EXTEND = Command(
    name="extend",
    usage="CONTAINER [DURATION]",
    about="Put off the end of a container's life span (Berth's own: Docker has no such command)",
    build=lambda _v, w: liferequests.Extend(name=w[0], seconds=_duration(w[1]) if len(w) > 1 else None),
    least=1,
    most=2,
)
KEEP = Command(
    name="keep",
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    about="Do not stop containers that nobody uses (Berth's own: Docker has no such command)",
    build=lambda v, w: liferequests.Keep(names=w, keep=not v.get("off", False)),
    flags=(switch("off", text="Stop them again when nobody uses them"),),
    least=1,
)
CONTAINER_VERBS = {"extend": EXTEND, "keep": KEEP}
