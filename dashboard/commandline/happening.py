"""`events`: what has happened, and what happens from now on until somebody interrupts it."""

from __future__ import annotations

import time

from django.db.models import QuerySet
from django.utils import timezone

from dashboard.commandline.console import Console
from dashboard.commandline.following import LOOK_S
from dashboard.commandline.running import moments
from dashboard.grammar import requests
from dashboard.grammar.events import EventLine, EventPrinter
from dashboard.history.models import Event
from dashboard.history.services import TOPIC, Reader
from dashboard.teams import scope


async def events(console: Console, request: requests.Events) -> int:
    """Past ones only where a moment is named, as with Docker."""
    said = {name: int(value) for name, value in moments(since=request.since, until=request.until).items()}
    since_ns, until_ns = said.get("since"), said.get("until")
    printer = EventPrinter(request.format, timezone.get_current_timezone())
    first_ns = since_ns if since_ns is not None or until_ns is None else 0

    def chosen(rows: QuerySet[Event]) -> QuerySet[Event]:
        return scope.here(console.user, rows, shared=True)

    async with console.following(TOPIC) as feed:
        reader = await console.call(Reader.since, first_ns, console.user, request.filters, chosen)
        while True:
            is_past = until_ns is not None and time.time_ns() > until_ns
            found = await console.call(reader.read, until_ns)
            await console.out("".join(f"{printer.line(_line(event))}\n" for event in found))
            if is_past:
                return 0
            left_s = LOOK_S if until_ns is None else max(0.0, (until_ns - time.time_ns()) / 1e9)
            await feed.next(min(LOOK_S, left_s + 0.001))


def _line(event: Event) -> EventLine:
    return EventLine(
        time_ns=event.time_ns, type=event.type, action=event.action, actor=event.actor, attributes=event.attributes
    )
