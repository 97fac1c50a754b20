"""Rows of further commands against reality, at start and every two seconds.

    row        reality                        then
    STARTING   start job alive                leave it to the job
               running                        RUNNING, watched                                       (F13)
               a start that was cut off       taken away; EXITED with the reason                     (F13, F20)
    RUNNING    running                        watched
               ended                          EXITED with its code, or unknown                       (F15, F17, F40)
               nothing there                  EXITED, unknown
    EXITED     nobody reads it any more       its folder goes, then the row, a minute after its end
    (no row)   ended                          its folder goes
               running                        left alone until it ends                               (F25)

A command ends with its container, so nothing here asks for the container's state.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.utils import timezone

from dashboard import gateway
from dashboard.containers import execs
from dashboard.containers.exechandlers import ended_now, found_running, watch
from dashboard.containers.lifecycle import STREAM_ALIVE_S
from dashboard.containers.models import Container, Exec, ExecState, Health
from dashboard.containers.reconcile import live_keys
from dashboard.core import clock

log = logging.getLogger(__name__)
KEPT_S = 60  # for who comes back to see how it ended
CUT_OFF = "The start was cut off. Start it again."
VANISHED = "The command was gone when Berth looked for it."


@clock.at_start
@clock.every(2.0, name="execs")
def reconcile() -> None:
    """One round over all rows. An error with one does not keep the others from it."""
    rows = list(Exec.objects.select_related("container"))
    live = live_keys()
    for row in rows:
        try:
            reconcile_one(row, live)
        except Exception:  # a loop's edge: one row's trouble is not the others'
            log.exception("command %s could not be reconciled", row.exec_id[:12])


def reconcile_one(row: Exec, live: set[str]) -> None:
    """Make one row true. Does nothing where a live job is at work on it. `live` was read after `row`."""
    if execs.key_of(execs.START, row) in live:
        return
    if row.state == ExecState.EXITED:
        _forget(row)
        return
    seen = gateway.engine().execs.observe(row.container.container_id, row.exec_id)
    if _lives(seen):
        _is_alive(row, seen)
    elif not gateway.engine().execs.is_watching(row.exec_id):
        _has_ended(row, seen)


def _lives(seen: gateway.Observed) -> bool:
    return seen.state in {gateway.State.RUNNING, gateway.State.MONITOR_LOST}


def _is_alive(row: Exec, seen: gateway.Observed) -> None:
    if row.state == ExecState.STARTING:
        execs.running(row, found_running(row, seen))
    if not gateway.engine().execs.is_watching(row.exec_id):
        watch(row)  # which also ends one whose monitor is lost


def _has_ended(row: Exec, seen: gateway.Observed) -> None:
    if seen.exit is not None:
        if row.state == ExecState.STARTING:
            execs.running(row, found_running(row, seen))
        ended_now(row.exec_id, seen.exit)
    elif row.state == ExecState.STARTING:
        execs.not_started(row, CUT_OFF)
    else:
        execs.exited(row, gateway.Exit(None, False, timezone.now(), VANISHED))  # noqa: FBT003 - the engine's own value


def _forget(row: Exec) -> None:
    now = timezone.now()
    if row.finished_at is not None and row.finished_at > now - timedelta(seconds=KEPT_S):
        return
    if row.streams.filter(ended_at=None, heartbeat_at__gte=now - timedelta(seconds=STREAM_ALIVE_S)).exists():
        return
    gateway.engine().execs.remove(row.container.container_id, row.exec_id)
    row.delete()


@clock.every(30.0, name="stray execs")
def sweep() -> None:
    """Folders that no row knows: of a database that was brought back, or of a removal that was cut off."""
    engine = gateway.engine()
    for container_id in Container.objects.values_list("container_id", flat=True):
        try:
            found = engine.execs.on_disk(container_id)  # before the rows: those are always made first
            known = set(Exec.objects.filter(exec_id__in=found).values_list("exec_id", flat=True))
            known |= set(Health.objects.filter(exec_id__in=found).values_list("exec_id", flat=True))
            for exec_id in found - known:
                if not _lives(engine.execs.observe(container_id, exec_id)):
                    engine.execs.remove(container_id, exec_id)
        except gateway.EngineError:
            log.exception("commands of container %s could not be swept", container_id[:12])
