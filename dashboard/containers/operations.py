"""Renaming, pausing and the like: what is asked of containers that are there, beside their life (`lifecycle`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from django.db import IntegrityError, transaction
from django.utils import timezone

from dashboard.containers import enginerequest, happenings, states
from dashboard.containers.creation import NameTaken, holder_of, refuse_limits, refuse_name
from dashboard.containers.inspection import has_labels
from dashboard.containers.lifecycle import QUEUE, key_of
from dashboard.containers.models import Container, ContainerState
from dashboard.core.errors import DashboardError
from dashboard.core.filters import anything, refuse_unknown
from dashboard.core.gate import Permission, Requester, require
from dashboard.grammar import ContainerOptions
from dashboard.grammar.errors import ValueRefused
from dashboard.grammar.times import read_moment
from dashboard.jobs import services as jobs
from dashboard.jobs.models import Job
from dashboard.teams import scope

PAUSE, UNPAUSE = "pause_container", "unpause_container"
PROCESSES, CHANGES, UPDATE = "list_processes", "list_changes", "update_container"
HELD: Final = (PAUSE, UNPAUSE)  # kinds of jobs that change whether it is paused


def _submit(kind: str, container: Container, user: Requester, **params: object) -> Job:
    named = {"container_id": container.container_id, **params}
    key = key_of(kind, container)
    return jobs.submit(kind, named, requester=user, key=key, queue=QUEUE, team_id=container.team_id)


def rename(container: Container, user: Requester, name: str) -> None:
    """Give it another name; nothing in it notices.

    Raises:
        DashboardError: no valid name (400); it has this name, another has it, or it is being removed (409).
    """
    require(user, Permission.CONTAINER_OPERATE, container)
    name = name.removeprefix("/")
    refuse_name(name)
    try:
        with transaction.atomic():
            row = Container.objects.select_for_update().get(pk=container.pk)
            _refuse_rename(row, name)
            before, row.name, row.updated_at = row.name, name, timezone.now()
            row.options = row.options | {"name": name}
            row.save(update_fields=["name", "options", "updated_at"])
            happenings.tell(row, "rename", oldName=f"/{before}")
    except IntegrityError as error:
        holder = holder_of(name, container.team_id)
        raise NameTaken(name, holder or "") from error
    container.refresh_from_db()
    states.announce(container)


def _refuse_rename(row: Container, name: str) -> None:
    if row.name == name:
        msg = "Renaming a container with the same name as its current name"
        raise DashboardError(msg, status=409)
    if row.state == ContainerState.REMOVING:
        msg = f"removal of container {row.name} is already in progress"
        raise DashboardError(msg, status=409)


def pause(container: Container, user: Requester) -> Job:
    """Hold all its processes.

    Raises:
        DashboardError: it does not run, or is paused already (409).
    """
    require(user, Permission.CONTAINER_OPERATE, container)
    container.refresh_from_db()
    if container.state == ContainerState.PAUSED:
        msg = f"Container {container.container_id} is already paused"
        raise DashboardError(msg, status=409)
    if container.state != ContainerState.RUNNING:
        msg = f"Container {container.container_id} is not running"
        raise DashboardError(msg, status=409)
    return _submit(PAUSE, container, user)


def unpause(container: Container, user: Requester) -> Job:
    """Let them go on.

    Raises:
        DashboardError: it is not paused (409).
    """
    require(user, Permission.CONTAINER_OPERATE, container)
    container.refresh_from_db()
    if container.state != ContainerState.PAUSED:
        msg = f"Container {container.container_id} is not paused"
        raise DashboardError(msg, status=409)
    return _submit(UNPAUSE, container, user)


def prunable(user: Requester, filters: Sequence[tuple[str, str]], *, now_ns: int) -> list[Container]:
    """Those that do not run, the oldest first; with `until=` only what was made before that, with `label=` what has all.

    Raises:
        DashboardError: a filter that is not known, or a time that cannot be read (400).
    """
    require(user, Permission.CONTAINER_REMOVE)
    refuse_unknown(filters, {"until": lambda value: _before(value, now_ns) is not None, "label": anything})
    rows = scope.here(user, Container.objects.filter(state__in=states.DOWN))
    rows = rows.filter(restart_at=None)  # who waits for its next start is not stopped
    rows = rows.select_related("image").order_by("created_at")
    for name, value in filters:
        rows = rows.filter(created_at__lt=_before(value, now_ns)) if name == "until" else rows
    labels = [value for name, value in filters if name == "label"]
    return [row for row in rows if has_labels(row, labels)]


def _before(text: str, now_ns: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(read_moment(text, now_ns=now_ns) / 1e9, UTC)
    except (ValueRefused, ValueError, OverflowError, OSError):
        return None


def is_down(container: Container) -> bool:
    """Whether it still is: it may have been started, or be gone."""
    return Container.objects.filter(pk=container.pk, state__in=states.DOWN, restart_at=None).exists()


def processes(container: Container, user: Requester) -> Job:
    """Have the engine look at its processes: `processes` of the job's result, as `ProcessLine.from_json` reads them.

    Raises:
        DashboardError: it does not run (409).
    """
    require(user, Permission.CONTAINER_VIEW, container)
    container.refresh_from_db()
    if container.state not in states.RUNS:
        msg = f"Container {container.container_id} is not running"
        raise DashboardError(msg, status=409)
    return _submit(PROCESSES, container, user)


def changes(container: Container, user: Requester) -> Job:
    """Have the engine look at what it changed in its root: `changes` of the job's result, pairs of kind and path."""
    require(user, Permission.CONTAINER_VIEW, container)
    return _submit(CHANGES, container, user)


def update(container: Container, user: Requester, changes: dict[str, int | str | None]) -> Job:
    """Give it other limits, at once if it runs, and for its next starts, or another restart policy; other options stay.

    `changes` are by the names of `ContainerOptions`; None, and 0, are the server's default.

    Raises:
        DashboardError: what this host does not give (400), or it is being removed (409).
    """
    require(user, Permission.CONTAINER_OPERATE, container)
    container.refresh_from_db()
    if container.state in {ContainerState.REMOVING, ContainerState.DEAD}:
        msg = (
            f'Cannot update container {container.container_id}: Container is marked for removal and cannot be "update".'
        )
        raise DashboardError(msg, status=409)
    if container.auto_remove and "restart" in changes:
        msg = "Restart policy cannot be updated because AutoRemove is enabled for the container"
        raise DashboardError(msg, status=409)
    options = ContainerOptions.from_json(container.options | changes)
    refuse_limits(options)
    enginerequest.refuse_unfit(options)
    named = {"container_id": container.container_id, "changes": changes}
    # without a key: each asks for something else
    return jobs.submit(UPDATE, named, requester=user, queue=QUEUE, team_id=container.team_id)
