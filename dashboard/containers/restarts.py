"""Starting containers again by their restart policy: planned with the end, begun by the clock, ended by whoever stops one.

    (it ends) ─▶ EXITED with `restart_at` ─▶ STARTING ─▶ RUNNING ─▶ …        shown as "restarting" until it runs
                   └─ stop, kill, rm -f, start by hand: `restart_at` goes

The plan stands in the row, written with the end itself, so it outlives every process of ours; a wait that was missed is
begun at once by the next look. After a start of Berth as a whole, `always` also starts what was stopped by hand.
"""

from __future__ import annotations

import logging
import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from dashboard.containers import restartpolicy
from dashboard.containers.models import Container, ContainerState
from dashboard.core import clock

log = logging.getLogger(__name__)
TICK = "restarts"
BATCH = 50
JITTER_S = 2.0  # after a host's restart all would begin in the same moment
Fields = dict[str, Any]  # Any: the row's own fields


def plan(container: Container, *, exit_code: int | None, ran_s: float, jitter: bool = False) -> Fields:
    """What to write into the row of a container that has just ended: when it starts again, if it does."""
    wants = container.restart_policy.wants(exit_code=exit_code, restarts=container.restart_count)
    if container.stopped_by_hand or not wants:
        return {"restart_at": None, "restart_wait_ms": 0}
    wait_ms = restartpolicy.next_wait_ms(container.restart_wait_ms, ran_s=ran_s)
    wait = timedelta(milliseconds=wait_ms, seconds=random.uniform(0, JITTER_S) if jitter else 0)  # noqa: S311
    clock.hasten(TICK, wait.total_seconds())
    return {
        "restart_at": timezone.now() + wait,
        "restart_wait_ms": wait_ms,
        "restart_count": container.restart_count + 1,
    }


def after_exit(container: Container, *, exit_code: int | None, finished_at: datetime) -> Fields:
    began = container.started_at or finished_at
    return plan(container, exit_code=exit_code, ran_s=(finished_at - began).total_seconds(), jitter=exit_code is None)


def after_failure(container: Container, exit_code: int | None) -> Fields:
    """Of a start by policy that failed. One by hand that failed is not tried again, as with Docker."""
    return plan(container, exit_code=exit_code, ran_s=0) if container.restart_count else {}


def stop_by_hand(container: Container) -> bool:
    """Whoever stops a container has the last word; says whether that ended a wait."""
    waited = Container.objects.filter(pk=container.pk).exclude(restart_at=None).update(restart_at=None)
    Container.objects.filter(pk=container.pk).update(stopped_by_hand=True)
    container.refresh_from_db()
    return bool(waited)


@clock.every(2.0, name=TICK)
def begin_due() -> None:
    """Begin what is due, the oldest first; then have the clock come back for the next."""
    waiting = (
        Container.objects.filter(state=ContainerState.EXITED).exclude(restart_at=None).order_by("restart_at", "pk")
    )
    for row in waiting.filter(restart_at__lte=timezone.now()).select_related("image")[:BATCH]:
        try:
            _begin(row)
        except Exception:  # a loop's edge: one row's trouble is not the others'
            log.exception("container %s could not be started again", row.short_id)
    if (following := waiting.values_list("restart_at", flat=True).first()) is not None:
        clock.hasten(TICK, max(0.0, (following - timezone.now()).total_seconds()))


def _begin(row: Container) -> None:
    from dashboard.containers import lifecycle, ports  # they plan with us

    try:
        with transaction.atomic():
            lifecycle.start_again(row)
    except ports.PortRefused as error:
        among = Container.objects.filter(pk=row.pk, state=ContainerState.EXITED, restart_at=row.restart_at)
        among.update(error=str(error), **after_failure(row, 125))


@clock.at_start
def apply_after_start() -> None:
    """Once for each start of Berth as a whole, which makes a new secret, and not for one of the engine worker alone."""
    run = Path(settings.BERTH_RUN)
    try:
        this_start = str((run / "admin-token").stat().st_mtime_ns)
    except OSError:
        return
    marker = run / "restart-policies"
    if marker.exists() and marker.read_text() == this_start:
        return
    stopped = Container.objects.filter(state=ContainerState.EXITED, stopped_by_hand=True).exclude(started_at=None)
    for row in stopped:
        if row.restart_policy.name == restartpolicy.ALWAYS:
            due = timezone.now() + timedelta(seconds=random.uniform(0, JITTER_S))  # noqa: S311
            Container.objects.filter(pk=row.pk).update(stopped_by_hand=False, restart_at=due, restart_count=1)
    marker.write_text(this_start)
