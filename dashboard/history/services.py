"""Writing down what happens, and choosing what is shown of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.db.models import QuerySet

from dashboard.core.events import publish
from dashboard.core.filters import anything, refuse_unknown
from dashboard.core.gate import Permission, Requester, allows, require
from dashboard.history.models import Event, EventType

TOPIC = "events"
MOST = 10_000  # rows that are kept
_LONGEST = 300
_WINDOW = 200  # a transaction may commit after another that got a later number
_SEEN_BY = {
    EventType.CONTAINER: Permission.CONTAINER_VIEW,
    EventType.IMAGE: Permission.IMAGE_VIEW,
    EventType.NETWORK: Permission.NETWORK_VIEW,
    EventType.VOLUME: Permission.VOLUME_VIEW,
}
Filters = tuple[tuple[str, str], ...]
Chosen = Callable[[QuerySet[Event]], QuerySet[Event]]  # those of whose teams: the apps above know


def record(kind: EventType, action: str, actor: str, *, team_id: int | None = None, **attributes: object) -> None:
    """Write it down; call it in the transaction that makes it so. Without `team_id` it is everybody's, as images are. Watchers are told when that commits."""
    said = {name: _printable(str(value)) for name, value in attributes.items()}
    fields = {"type": kind, "action": _printable(action)[:_LONGEST], "actor": _printable(actor)}
    Event.objects.create(time_ns=time.time_ns(), attributes=said, team_id=team_id, **fields)
    publish(TOPIC, {"t": "event"})


def _printable(text: str) -> str:
    """Commands and names are other people's words, and what shows them may obey control characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _is_type(value: str) -> bool:
    return value in {*EventType.values, "daemon"}  # Docker has that too, of which there are none here


_FILTERS: dict[str, Callable[[str], bool]] = {
    "container": anything,
    "event": anything,
    "image": anything,
    "network": anything,
    "type": _is_type,
    "volume": anything,
}


def refuse_filters(filters: Filters) -> None:
    """Raises DashboardError: a filter that is not known, or that nothing can fit (400)."""
    refuse_unknown(filters, _FILTERS)


def _is_about(event: Event, kind: EventType, value: str) -> bool:
    names = {event.actor, event.attributes.get("name", "")}
    return event.type == kind and (value in names or (len(value) > 3 and event.actor.startswith(value)))


_KEEPS: dict[str, Callable[[Event, str], bool]] = {
    "container": lambda event, value: _is_about(event, EventType.CONTAINER, value),
    "network": lambda event, value: _is_about(event, EventType.NETWORK, value),
    "volume": lambda event, value: _is_about(event, EventType.VOLUME, value),
    "image": lambda event, value: (
        _is_about(event, EventType.IMAGE, value) or event.attributes.get("image", "").partition("@")[0] == value
    ),
    "event": lambda event, value: event.action == value or event.action.startswith(f"{value}:"),
    "type": lambda event, value: event.type == value,
}


def keeps(event: Event, filters: Filters) -> bool:
    """Values of one name are alternatives; all names must fit."""
    return all(
        any(_KEEPS[name](event, value) for other, value in filters if other == name)
        for name in {name for name, _ in filters}
    )


@dataclass(slots=True)
class Reader:
    """Reads on from where it was. Each event comes once, whatever the order of commits."""

    user: Requester
    filters: Filters
    chosen: Chosen
    since_ns: int
    _seen: set[int]

    @classmethod
    def since(cls, moment_ns: int | None, user: Requester, filters: Filters, chosen: Chosen) -> Reader:
        """From that time on; None: what happens from now on."""
        require(user, Permission.CONTAINER_VIEW)
        refuse_filters(filters)
        if moment_ns is not None:
            return cls(user, filters, chosen, moment_ns, set())
        newest = Event.objects.order_by("-pk").values_list("pk", flat=True)[:_WINDOW]
        return cls(user, filters, chosen, 0, set(newest))

    def read(self, until_ns: int | None = None) -> list[Event]:
        """What is new, in order."""
        rows = self.chosen(Event.objects.filter(time_ns__gte=self.since_ns))
        if self._seen:
            rows = rows.filter(pk__gt=max(self._seen) - _WINDOW).exclude(pk__in=self._seen)
        if until_ns is not None:
            rows = rows.filter(time_ns__lte=until_ns)
        found = list(rows.order_by("time_ns", "pk"))  # a number may be given after that of what came next
        self._remember(event.pk for event in found)
        seen_types = {kind for kind, permission in _SEEN_BY.items() if allows(self.user, permission)}
        return [event for event in found if event.type in seen_types and keeps(event, self.filters)]

    def _remember(self, pks: Iterable[int]) -> None:
        self._seen |= set(pks)
        if self._seen:
            newest = max(self._seen)
            self._seen = {pk for pk in self._seen if pk > newest - _WINDOW}


def forget_old(most: int = MOST) -> int:
    """Remove all but the newest rows. How many went."""
    oldest_kept = list(Event.objects.order_by("-pk").values_list("pk", flat=True)[most - 1 : most])
    return Event.objects.filter(pk__lt=oldest_kept[0]).delete()[0] if oldest_kept else 0
