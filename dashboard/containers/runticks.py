"""What the engine worker's clock does about running hours: stop what runs beyond its quota, forget old runs."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from django.db.models import QuerySet
from django.utils import timezone

from dashboard.containers import lifecycle, runs, states
from dashboard.containers.models import Container, Run
from dashboard.core import clock
from dashboard.quotas.models import Quota

log = logging.getLogger(__name__)
LOOK_S: Final = 30.0
USED_UP: Final = "It was stopped: a quota of running hours is used up."


@clock.every(LOOK_S, name="running hours")
def end_what_is_over() -> None:
    """Stop what runs beyond a quota, and have its row say why."""
    for quota in Quota.objects.exclude(running_seconds=None):
        running = Container.objects.filter(state__in=states.STEADY)
        if quota.team_id is not None:
            running = running.filter(team_id=quota.team_id)
        if quota.person_id is not None:
            running = running.filter(owner_id=quota.person_id)
        for person_id in _people(quota, running):
            if runs.seconds(quota.team_id, person_id) > (quota.running_seconds or 0):
                _stop(running if person_id is None else running.filter(owner_id=person_id))


def _people(quota: Quota, running: QuerySet[Container]) -> list[int | None]:
    """Whose hours are counted together: a quota of everybody is one for each person without one of their own."""
    if quota.team_id is not None or quota.person_id is not None:
        return [quota.person_id]
    own = Quota.objects.filter(team=None).exclude(person=None).values("person_id")
    return list(running.exclude(owner=None).exclude(owner_id__in=own).values_list("owner_id", flat=True).distinct())


def _stop(rows: QuerySet[Container]) -> None:
    for container in rows:
        try:
            lifecycle.stop_by_berth(container, USED_UP)
        except Exception:  # a loop's edge: one row's trouble is not the others'
            log.exception("container %s runs beyond its quota and could not be stopped", container.short_id)


@clock.every(3600.0, name="old runs")
def forget_old() -> None:
    Run.objects.filter(ended_at__lt=timezone.now() - runs.WINDOW).delete()


@clock.on_jump
def move_along(by: timedelta) -> None:
    clock.move_along(Run.objects.filter(ended_at=None), "began_at", by=by)
