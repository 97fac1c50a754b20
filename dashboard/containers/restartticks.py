"""What the engine worker's clock does for restart policies: begin what is due, and what a start of Berth brings back."""

from __future__ import annotations

import logging
import random
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from dashboard.containers import lifecycle, ports, restartpolicy, restarts
from dashboard.containers.models import Container, ContainerState
from dashboard.core import clock
from dashboard.quotas.services import QuotaRefused

log = logging.getLogger(__name__)
BATCH = 50
LONGEST = timedelta(milliseconds=2 * restartpolicy.LONGEST_MS)  # a wait beyond was written under another clock (F42)


@clock.every(2.0, name=restarts.TICK)
def begin_due() -> None:
    """Begin what is due, the oldest first; then have the clock come back for the next."""
    waiting = (
        Container.objects.filter(state=ContainerState.EXITED).exclude(restart_at=None).order_by("restart_at", "pk")
    )
    now = timezone.now()
    is_due = Q(restart_at__lte=now) | Q(restart_at__gt=now + LONGEST)
    for row in waiting.filter(is_due).select_related("image")[:BATCH]:
        try:
            _begin(row)
        except Exception:  # a loop's edge: one row's trouble is not the others'
            log.exception("container %s could not be started again", row.short_id)
            _put_off(row)
    if (following := waiting.values_list("restart_at", flat=True).first()) is not None:
        clock.hasten(restarts.TICK, max(0.0, (following - timezone.now()).total_seconds()))


@clock.on_jump
def move_along(by: timedelta) -> None:
    clock.move_along(Container.objects.all(), "restart_at", by=by)


def _put_off(row: Container) -> None:
    """What fails for a reason that nobody knows stays due, and would be tried again without a pause."""
    later = timezone.now() + timedelta(milliseconds=restartpolicy.LONGEST_MS)
    Container.objects.filter(pk=row.pk, restart_at=row.restart_at).update(restart_at=later)


def _begin(row: Container) -> None:
    due = row.restart_at  # the object is read again on the way, and what is undone is not
    try:
        with transaction.atomic():
            lifecycle.start_again(row)
    except (ports.PortRefused, QuotaRefused) as error:
        among = Container.objects.filter(pk=row.pk, state=ContainerState.EXITED, restart_at=due)
        among.update(error=str(error), **restarts.after_failure(row, 125))


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
    stopped = stopped.exclude(life__is_over=True)  # whose life span has ended a person starts
    for row in stopped:
        if row.restart_policy.name == restartpolicy.ALWAYS:
            due = timezone.now() + timedelta(seconds=random.uniform(0, restarts.JITTER_S))  # noqa: S311
            Container.objects.filter(pk=row.pk).update(stopped_by_hand=False, restart_at=due, restart_count=1)
    marker.write_text(this_start)
