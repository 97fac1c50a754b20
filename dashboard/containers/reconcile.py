"""Rows against reality, at start and every two seconds. The engine says what is; the row is made to say the same.

    row               reality                       then
    STARTING          start job alive               leave it to the job
                      running                       RUNNING, watched                                   (F13)
                      a start that was cut off      undone; CREATED or EXITED with the stage           (F13, F20)
    RUNNING, PAUSED,  running                       watched; as the kernel says, paused or not
    STOPPING                                        STOPPING without a job: the same
                      ended                         EXITED with its code, or unknown                   (F17, F18, F40)
                      monitor lost                  ended by us, EXITED, code unknown                  (F16)
                      nothing there                 EXITED, unknown
    REMOVING          no job alive                  asked again: into the trash, or for ever           (F20)
    CREATED, EXITED   running                       RUNNING, watched (the row was written by an older backup)
    (no row)          anything                      left alone, reported                               (F25)

Processes are known by boot id, pid and start time, never by pid alone (the engine does that, F41).
"""

from __future__ import annotations

import logging

from django.utils import timezone

from dashboard import gateway
from dashboard.containers import health, lifecycle, operations, ports, states
from dashboard.containers.handlers import ended_now, watch
from dashboard.containers.models import Container, ContainerState
from dashboard.core import clock
from dashboard.jobs.models import LIVE_STATES, Job

log = logging.getLogger(__name__)
VANISHED = "The container was gone when Berth looked for it."
SWEEP_EVERY = 15
_reported: set[str] = set()
_round = 0


def live_keys() -> set[str]:
    """Keys of the jobs that wait or work. Jobs of a dead engine worker were queued again at our start."""
    return set(Job.objects.filter(queue=lifecycle.QUEUE, state__in=LIVE_STATES).values_list("key", flat=True))


@clock.at_start
@clock.every(2.0, name="containers")
def reconcile() -> None:
    """One round over all rows. An error with one container does not keep the others from it."""
    global _round  # noqa: PLW0603 - one clock thread per process counts its rounds
    rows = list(Container.objects.select_related("image"))
    if _round % SWEEP_EVERY == 0:
        sweep(set(Container.with_trash.values_list("container_id", flat=True)))
    _round += 1
    live = live_keys()
    for row in rows:
        try:
            reconcile_one(row, live)
        except Exception:  # a loop's edge: one row's trouble is not the others'
            log.exception("container %s could not be reconciled", row.short_id)


@clock.every(2.0, name="network")
def mend_network() -> None:
    """Rules that somebody flushed and a bridge that somebody deleted come back within 5 s (F44)."""
    try:
        if gateway.engine().mend_network():
            log.warning("the containers' network had been changed by somebody else; it is as it must be again")
    except gateway.EngineError as error:
        log.error("the containers' network cannot be brought back: %s", error)  # noqa: TRY400 - the sentence says it


def sweep(known: set[str]) -> None:
    """Leftovers of dead runs go; what has no row stays and is reported once."""
    try:
        gateway.engine().sweep(known)
        strange = gateway.engine().list_known() - known
    except gateway.EngineError:
        log.exception("sweeping failed")
        return
    for container_id in sorted(strange - _reported):
        log.warning("container %s has no row; it is left alone", container_id[:12])
    _reported.update(strange)


def reconcile_one(row: Container, live: set[str]) -> None:
    """Make one row true. Does nothing where a live job is at work on it. `live` was read after `row`."""
    kinds = (lifecycle.START, lifecycle.RESTART, lifecycle.REMOVE, *operations.HELD)
    if any(lifecycle.key_of(kind, row) in live for kind in kinds):
        return
    seen = gateway.engine().observe(row.container_id)
    if _is_true(row, seen):
        return
    if not Container.objects.filter(pk=row.pk, state=row.state, updated_at=row.updated_at).exists():
        return  # state and job change together: only an unchanged row without a job really has none
    if row.state == ContainerState.REMOVING:
        lifecycle.resubmit_removal(row)
    elif seen.state == gateway.State.MONITOR_LOST:
        _monitor_lost(row)
    elif seen.state == gateway.State.RUNNING:
        _is_running(row, seen, is_stopping=lifecycle.key_of(lifecycle.STOP, row) in live)
    elif row.state in states.UP:
        _is_not_running(row, seen)
    else:
        lifecycle.remove_if_due(row)


def _is_true(row: Container, seen: gateway.Observed) -> bool:
    """The case of nearly all rows nearly always, found without the database."""
    if row.state in states.STEADY:
        is_so = seen.state == gateway.State.RUNNING and seen.paused == (row.state == ContainerState.PAUSED)
        return bool(is_so and gateway.engine().is_watching(row.container_id))
    lives = seen.state in {gateway.State.RUNNING, gateway.State.MONITOR_LOST}
    return row.state in states.DOWN and not lives and not row.auto_remove


def _monitor_lost(row: Container) -> None:
    engine = gateway.engine()
    engine.end_unmonitored(row.container_id)
    ended = _unknown(row, states.MONITOR_LOST)
    if row.state not in states.UP:
        states.change(row, among=states.DOWN, to=ContainerState.RUNNING)
    ended_now(row.container_id, ended)


def _is_running(row: Container, seen: gateway.Observed, *, is_stopping: bool) -> None:
    if row.state in {ContainerState.STARTING, ContainerState.CREATED, ContainerState.EXITED}:
        ports.adopt(row, gateway.engine().published(row.container_id))
        states.change(
            row,
            among=[row.state],
            to=ContainerState.RUNNING,
            pid=seen.pid,
            started_at=seen.started_at or row.started_at or timezone.now(),
            finished_at=None,
            exit_code=None,
            error="",
        )
        health.begin(row)
    elif row.state != (is_now := _steady(seen)) and not (row.state == ContainerState.STOPPING and is_stopping):
        states.change(row, among=[row.state], to=is_now)
    if not gateway.engine().is_watching(row.container_id):
        watch(row)


def _steady(seen: gateway.Observed) -> ContainerState:
    return ContainerState.PAUSED if seen.paused else ContainerState.RUNNING


def _is_not_running(row: Container, seen: gateway.Observed) -> None:
    engine = gateway.engine()
    if engine.is_watching(row.container_id):
        return  # its end is being written down this moment
    if seen.exit is not None and row.state != ContainerState.STARTING:
        ended_now(row.container_id, seen.exit)
        return
    if row.state == ContainerState.STARTING and _ended_after_this_start(row, seen):
        ended_now(row.container_id, seen.exit or _unknown(row, VANISHED))
        return
    engine.release(row.container_id)
    if row.state == ContainerState.STARTING:
        stage = f" at the step '{seen.stage}'" if seen.stage else ""
        states.not_started(row, f"The start was cut off{stage}. Start it again.", exit_code=lifecycle.OURS)
        return
    states.exited(row, _unknown(row, VANISHED))


def _ended_after_this_start(row: Container, seen: gateway.Observed) -> bool:
    """The worker died between starting it and writing so, and it has ended since."""
    return seen.exit is not None and seen.exit.finished_at > row.updated_at


def _unknown(row: Container, reason: str) -> gateway.Exit:
    now = timezone.now()  # it may have been set back since the start, and an end before the start is of an earlier run
    return gateway.Exit(None, False, max(now, row.started_at or now), reason)  # noqa: FBT003 - the engine's own value
