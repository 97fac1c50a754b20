"""`events`: a line each, as Docker prints it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

from dashboard.grammar.tables import Row
from dashboard.grammar.template import Template, as_json

_SECOND_NS = 1_000_000_000
_GO_NAMES = {"Status": "status", "ID": "id", "From": "from", "Scope": "scope", "Time": "time", "TimeNano": "timeNano"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLine:
    time_ns: int
    type: str
    action: str
    actor: str
    attributes: Mapping[str, str] = field(default_factory=dict)


def event_row(event: EventLine) -> Row:
    """What `--format` walks over, and the shape of `json`."""
    container = event.type == "container"
    old = {"status": event.action, "id": event.actor, "from": event.attributes.get("image", "")} if container else {}
    return {
        **old,
        "Type": event.type,
        "Action": event.action,
        "Actor": {"ID": event.actor, "Attributes": dict(sorted(event.attributes.items()))},
        "scope": "local",
        "time": event.time_ns // _SECOND_NS,
        "timeNano": event.time_ns,
    }


class _Message(dict[str, object]):
    """An event as templates see it: by Go's names too, which are not in its JSON (`{{json .}}`)."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in _GO_NAMES

    def __missing__(self, name: str) -> object:
        return self.get(_GO_NAMES[name], "")


def event_time(time_ns: int, zone: tzinfo) -> str:
    """RFC 3339 with nine digits, in a zone."""
    moment = datetime.fromtimestamp(time_ns // _SECOND_NS, zone)
    offset = moment.strftime("%z")
    shown = "Z" if offset == "+0000" else f"{offset[:3]}:{offset[3:5]}"
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ns % _SECOND_NS:09}{shown}"


class EventPrinter:
    """Lines in the shape that `--format` asks for.

    Raises:
        UsageError: the template cannot be read.
    """

    def __init__(self, format_text: str, zone: tzinfo) -> None:
        self._zone = zone
        self._is_json = format_text.strip() == "json"
        self._template = Template(format_text) if format_text and not self._is_json else None

    def line(self, event: EventLine) -> str:
        if self._is_json:
            return as_json(event_row(event))
        if self._template is not None:
            return self._template.render(_Message(event_row(event)))
        said = ", ".join(f"{name}={value}" for name, value in sorted(event.attributes.items()))
        when = event_time(event.time_ns, self._zone)
        return f"{when} {event.type} {event.action} {event.actor} ({said})"
