"""The commands of the group `policy` (Berth's own), and what `show` prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dashboard.grammar import policyrequests
from dashboard.grammar.commands import Command
from dashboard.grammar.errors import UsageError
from dashboard.grammar.flags import Flag, Values, number, string, switch
from dashboard.grammar.limitvalues import read_capability
from dashboard.grammar.tables import Row, render_table

NONE, ANY = "none", "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRuleLine:
    number: int
    pattern: str
    kind: str
    ends: str
    giver: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRequestLine:
    number: int
    image: str
    person: str
    reason: str
    answer: str
    said: str


def render_image_rules(lines: Sequence[ImageRuleLine], format_text: str) -> str:
    headers = {"ID": "ID", "Image": "IMAGE", "For": "FOR", "Ends": "ENDS", "MadeBy": "MADE BY"}
    rows: list[Row] = [
        {"ID": str(one.number), "Image": one.pattern, "For": one.kind, "Ends": one.ends, "MadeBy": one.giver}
        for one in lines
    ]
    return render_table(rows, headers=headers, columns=list(headers), format_text=format_text)


def render_image_requests(lines: Sequence[ImageRequestLine], format_text: str) -> str:
    names = ("ID", "Image", "User", "Reason", "Answer", "Said")
    headers = {name: name.upper() for name in names}
    rows: list[Row] = [
        dict(zip(names, (str(one.number), one.image, one.person, one.reason, one.answer, one.said), strict=True))
        for one in lines
    ]
    return render_table(rows, headers=headers, columns=list(headers), format_text=format_text)


def _build_images(values: Values, words: tuple[str, ...]) -> policyrequests.ImageRules:
    if words and words[0] not in {"any", "listed"}:
        msg = f"'any' or 'listed', not '{words[0]}'"
        raise UsageError(msg)
    listed = words[0] == "listed" if words else None
    return policyrequests.ImageRules(team=values.get("team", ""), listed=listed, format=values.get("format", ""))


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
        build=lambda v, _w: policyrequests.PolicySet(team=v.get("team", ""), changes=_changes(v)),
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
        build=lambda v, w: policyrequests.PolicyShow(team=w[0] if w else "", format=v.get("format", "")),
        flags=(_FORMAT,),
        most=1,
    ),
    Command(
        name="unset",
        usage="[OPTIONS]",
        about="Give a team the default rules again: nothing of the host",
        build=lambda v, _w: policyrequests.PolicyUnset(team=v.get("team", "")),
        flags=(_TEAM,),
        most=0,
    ),
)
_ONCE = switch("once", text="For one pull; what it brings may be run from then on")
_PIN = switch("pin", text="Only the digest that is pulled first under the name")
_DAYS = number("days", text="For how many days")
IMAGE_COMMANDS: tuple[Command, ...] = (
    Command(
        name="allow",
        usage="[OPTIONS] IMAGE [IMAGE...]",
        about="Put images on a team's list: ubuntu, ubuntu:22.04, ghcr.io/team/*",
        build=lambda v, w: policyrequests.ImageAllow(
            patterns=w, team=v.get("team", ""), once=v.get("once", False), days=v.get("days"), pins=v.get("pin", False)
        ),
        flags=(_TEAM, _ONCE, _DAYS, _PIN),
        least=1,
    ),
    Command(
        name="approve",
        usage="[OPTIONS] REQUEST",
        about="Approve a request for an image",
        build=lambda v, w: policyrequests.ImageDecide(
            number=w[0],
            approve=True,
            team=v.get("team", ""),
            once=v.get("once", False),
            days=v.get("days"),
            pins=v.get("pin", False),
            said=v.get("say", ""),
        ),
        flags=(_TEAM, _ONCE, _DAYS, _PIN, string("say", text="What the person who asked is told")),
        least=1,
        most=1,
    ),
    Command(
        name="ask",
        usage="[OPTIONS] IMAGE",
        about="Ask for an image that the team's list does not have",
        build=lambda v, w: policyrequests.ImageAsk(image=w[0], reason=v.get("reason", ""), team=v.get("team", "")),
        flags=(_TEAM, string("reason", text="Why it is needed")),
        least=1,
        most=1,
    ),
    Command(
        name="disallow",
        usage="[OPTIONS] RULE [RULE...]",
        about="Take rules off a team's list of images, by their ids",
        build=lambda v, w: policyrequests.ImageDisallow(numbers=w, team=v.get("team", "")),
        flags=(_TEAM,),
        least=1,
    ),
    Command(
        name="images",
        usage="[OPTIONS] [any|listed]",
        about="Show which images a team may have, or say so: any, or those of its list",
        build=_build_images,
        flags=(_TEAM, _FORMAT),
        most=1,
    ),
    Command(
        name="refuse",
        usage="[OPTIONS] REQUEST",
        about="Refuse a request for an image",
        build=lambda v, w: policyrequests.ImageDecide(
            number=w[0], approve=False, team=v.get("team", ""), said=v.get("say", "")
        ),
        flags=(_TEAM, string("say", text="What the person who asked is told")),
        least=1,
        most=1,
    ),
    Command(
        name="requests",
        usage="[OPTIONS]",
        about="List requests for images: all for who decides, else one's own",
        build=lambda v, _w: policyrequests.ImageRequests(team=v.get("team", ""), format=v.get("format", "")),
        flags=(_TEAM, _FORMAT),
        most=0,
    ),
)
POLICY_BY_VERB = {command.name: command for command in (*POLICY_COMMANDS, *IMAGE_COMMANDS)}
