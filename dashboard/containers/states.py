"""Every change of a container's row, conditional on the state it comes from, and told to who watches.

    CREATED ──▶ STARTING ──▶ RUNNING ──▶ STOPPING ──▶ EXITED ──▶ STARTING …
                             │     ▲        ▲
                             └▶ PAUSED ─────┘
        any but those in between ──▶ REMOVING ──▶ (no row)          DEAD: clean-up failed
        CREATED, EXITED, or REMOVING when it ran ──▶ TRASHED ──▶ what it was | (no row)

If you add a state, look at `reconcile.py` too: it must know what is true when it finds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone

from dashboard import gateway
from dashboard.containers import happenings, health, restarts
from dashboard.containers.models import Container, ContainerState, LifeSpan, PublishedPort, Run
from dashboard.core.events import publish

UP = (ContainerState.STARTING, ContainerState.RUNNING, ContainerState.PAUSED, ContainerState.STOPPING)
RUNS = (ContainerState.RUNNING, ContainerState.PAUSED, ContainerState.STOPPING)  # its program lives
STEADY = (ContainerState.RUNNING, ContainerState.PAUSED)
DOWN = (ContainerState.CREATED, ContainerState.EXITED, ContainerState.DEAD)
MONITOR_LOST = "The container's monitor was lost, so the container was ended and its exit code is unknown."


def announce(container: Container, *, state: str | None = None) -> None:
    payload: dict[str, Any] = {
        "t": "container",
        "team": container.team_id,
        "id": container.container_id,
        "name": container.name,
        "state": state or container.state,
        "exit_code": container.exit_code,
        "error": container.error,
    }
    publish(f"container.{container.container_id}", payload)
    publish("containers", payload)


def change(container: Container, *, among: Sequence[str], to: str, **fields: Any) -> bool:  # Any: the row's own fields
    """`Process.move`, written down and told to who watches. One that is not up any more has no ports of the host, and is
    asked nothing.
    """
    with transaction.atomic():
        locked = Container.with_trash.select_for_update().filter(pk=container.pk)
        before = locked.values_list("state", flat=True).first()
        changed = container.move(among=among, to=to, **fields)
        if changed and to in (*DOWN, ContainerState.REMOVING):
            ended_at = fields.get("finished_at") or timezone.now()
            Run.objects.filter(container_id=container.container_id, ended_at=None).update(ended_at=ended_at)
        if changed and to == ContainerState.RUNNING and fields.get("started_at") is not None:
            _begun(container)
        if changed and to not in UP:
            PublishedPort.objects.filter(container_id=container.pk).delete()
            health.end(container)
        if changed and before is not None:
            happenings.changed(container, before, fields)
    if changed:
        announce(container)
    return changed


def _begun(container: Container) -> None:
    """A run, which counts for whose the container is now."""
    whose = {"team_id": container.team_id, "owner_id": container.owner_id, "began_at": container.started_at}
    Run.objects.update_or_create(container_id=container.container_id, ended_at=None, defaults=whose)
    life = {"began_at": container.started_at, "used_at": container.started_at}
    fresh = {"prolonged_s": 0, "extensions": 0, "warned_at": None, "warned_of": "", "ends_at": None, "is_over": False}
    if container.restart_count and LifeSpan.objects.filter(container=container).update(used_at=container.started_at):
        return  # by its policy: the span of the start by hand goes on, or what ends at once would live for ever
    LifeSpan.objects.update_or_create(container=container, defaults=life | fresh)


def running(container: Container, started: gateway.Started) -> bool:
    begun = change(
        container,
        among=[ContainerState.STARTING, ContainerState.CREATED, ContainerState.EXITED],
        to=ContainerState.RUNNING,
        pid=started.pid,
        started_at=started.started_at,
        finished_at=None,
        exit_code=None,
        oom_killed=False,
        log_lost=False,  # of this run: a new one may lose output again, and say so again
        error="",
    )
    if begun:
        health.begin(container)
    return begun


def exited(container: Container, ended: gateway.Exit) -> bool:
    """Write down how a run ended, unless a later run has begun since."""
    container.refresh_from_db()
    if container.started_at is not None and ended.finished_at < container.started_at:
        return False
    return change(
        container,
        among=UP,
        to=ContainerState.EXITED,
        pid=None,
        exit_code=ended.code,
        oom_killed=ended.oom_killed,
        finished_at=ended.finished_at,
        error=ended.reason,
        **restarts.after_exit(container, exit_code=ended.code, finished_at=ended.finished_at),
    )


def refused_to_start(container: Container, message: str, *, exit_code: int) -> None:
    """A start that was refused before it was tried: the row says why, in the state that it has."""
    container.refresh_from_db()
    if container.state in DOWN:
        change(container, among=[container.state], to=container.state, error=message, exit_code=exit_code)


def not_started(container: Container, message: str, *, exit_code: int | None) -> bool:
    """A start that failed: back to what it was, with the reason."""
    to = ContainerState.CREATED if container.started_at is None else ContainerState.EXITED
    among = [ContainerState.STARTING]
    again = restarts.after_failure(container, exit_code)
    return change(container, among=among, to=to, pid=None, error=message, exit_code=exit_code, **again)
