"""How long containers have run: a row for each run, of the team and the person that it counts for (ADR 24).

Written in the transactions that make a container's row say that it runs and that it does not any more, so a crash leaves no
run open or uncounted that the containers' own rows do not. Rows outlive their containers, and are forgotten after the window.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Q, QuerySet
from django.utils import timezone

from dashboard.containers.models import Container, ContainerState, Run

WINDOW: Final = timedelta(days=30)
KIND: Final = "running_seconds"


def seconds(team_id: int | None, person_id: int | None) -> int:
    """Within the last 30 days, of all that ran and runs; one for each that is being started."""
    now = timezone.now()
    since = now - WINDOW
    rows = counted_for(Run.objects.filter(Q(ended_at=None) | Q(ended_at__gt=since)), team_id, person_id)
    ran = sum(_within(began, ended or now, since, now) for began, ended in rows.values_list("began_at", "ended_at"))
    return int(ran) + counted_for(Container.objects.filter(state=ContainerState.STARTING), team_id, person_id).count()


def counted_for(
    rows: QuerySet[Any], team_id: int | None, person_id: int | None
) -> QuerySet[Any]:  # Any: rows with team and owner
    """Those of a team, of a person, or of a person in a team: what a quota is about."""
    if team_id is not None:
        rows = rows.filter(team_id=team_id)
    return rows if person_id is None else rows.filter(owner_id=person_id)


def _within(began: datetime, ended: datetime, since: datetime, now: datetime) -> float:
    return max(0.0, (min(ended, now) - max(began, since)).total_seconds())
