"""Starting containers again by their restart policy: planned with the end, begun by the clock, ended by whoever stops one.

    (it ends) ─▶ EXITED with `restart_at` ─▶ STARTING ─▶ RUNNING ─▶ …        shown as "restarting" until it runs
                   └─ stop, kill, rm -f, start by hand: `restart_at` goes

The plan stands in the row, written with the end itself, so it outlives every process of ours; a wait that was missed is
begun at once by the next look. After a start of Berth as a whole, `always` also starts what was stopped by hand.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from dashboard.containers import restartpolicy
from dashboard.containers.models import Container
from dashboard.core import clock

TICK = "restarts"
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
    with transaction.atomic():  # both or none, and begun as a write: SQLite then waits for its turn
        waited = Container.objects.filter(pk=container.pk).exclude(restart_at=None).update(restart_at=None)
        Container.objects.filter(pk=container.pk).update(stopped_by_hand=True)
    container.refresh_from_db()
    return bool(waited)
