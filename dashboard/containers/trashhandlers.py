"""What the engine worker does about the trash: end for ever what is asked for or due, and count what it takes."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from django.db import transaction
from django.utils import timezone

from dashboard import gateway
from dashboard.containers import trash
from dashboard.containers.handlers import end_and_remove, forget
from dashboard.containers.models import Container, ContainerState, Trashed
from dashboard.core import clock
from dashboard.core.gate import Permission
from dashboard.jobs.registry import JobContext, handler

log = logging.getLogger(__name__)
LOOK_S: Final = 10.0
BATCH: Final = 20
AGAIN: Final = timedelta(minutes=10)  # after an end that failed
NEVER_AGAIN: Final = timedelta(days=400)  # further ahead than anybody keeps anything: written under another clock


def _entry(context: JobContext) -> Trashed | None:
    wanted = str(context.params["container_id"])
    rows = Trashed.objects.filter(container__container_id=wanted, container__state=ContainerState.TRASHED)
    return rows.select_related("container__image").first()


@handler(trash.END, queue="engine", permission=Permission.CONTAINER_REMOVE, retries=0)
def end_trashed(context: JobContext) -> object:
    entry = _entry(context)
    if entry is None or not entry.is_going:
        return {}
    container = entry.container
    try:
        end_and_remove(container)
    except (gateway.EngineError, OSError) as error:  # it stays where it is, and can be tried again or brought back
        with transaction.atomic():
            Trashed.objects.filter(pk=entry.pk).update(is_going=False, due_at=timezone.now() + AGAIN)
            told = f"It could not be removed: {error}"
            Container.with_trash.filter(pk=container.pk).update(error=told)
            trash.announce(container)
        raise
    forget(container, anonymous=entry.volumes, action="purge")
    trash.announce(container)
    return {}


@handler(trash.WEIGH, queue="engine", permission=Permission.CONTAINER_VIEW, retries=0)
def weigh_trashed(context: JobContext) -> object:
    """It changes no more, so once is enough."""
    entry = _entry(context)
    if entry is None:
        return {}
    try:
        size = gateway.engine().writable_bytes(entry.container.container_id, is_cancelled=context.cancelled)
    except gateway.StoreError as error:
        log.warning("%s", error)
        return {}
    Trashed.objects.filter(pk=entry.pk).update(size_bytes=size)
    trash.announce(entry.container)
    return {"size_bytes": size}


@clock.at_start
@clock.every(LOOK_S, name="trash")
def end_due() -> None:
    """What is due, the oldest first, and what was asked for by a job that was lost."""
    now = timezone.now()
    rows = Trashed.objects.filter(container__state=ContainerState.TRASHED).select_related("container")
    due = rows.filter(due_at__lte=now) | rows.filter(due_at__gt=now + NEVER_AGAIN) | rows.filter(is_going=True)
    for entry in due.order_by("due_at", "pk")[:BATCH]:
        try:
            trash.end(entry.container, None)
        except Exception:  # a loop's edge: one row's trouble is not the others'
            log.exception("container %s stays in the trash", entry.container.short_id)


@clock.on_jump
def move_along(by: timedelta) -> None:
    clock.move_along(Trashed.objects.all(), "due_at", by=by)
