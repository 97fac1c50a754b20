"""What the engine worker does for `operations`. Each handler is idempotent: it may run again after a crash anywhere."""

from __future__ import annotations

import threading
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from dashboard import gateway
from dashboard.containers import enginerequest, happenings, operations, states, usage
from dashboard.containers.handlers import container_of
from dashboard.containers.limits import asked
from dashboard.containers.models import Container, ContainerState
from dashboard.core import clock
from dashboard.core.gate import Permission
from dashboard.grammar import ContainerOptions
from dashboard.jobs.models import LIVE_STATES, Job
from dashboard.jobs.registry import JobContext, handler

KEPT_S = 600
_updating = threading.Lock()


@handler(operations.PAUSE, queue="engine", permission=Permission.CONTAINER_OPERATE, retries=0)
def pause_container(context: JobContext) -> object:
    container = container_of(context)
    engine = gateway.engine()
    if not engine.observe(container.container_id).paused:
        engine.operations.pause(container.container_id)
    if not states.change(container, among=states.STEADY, to=ContainerState.PAUSED):
        engine.operations.unpause(container.container_id)  # somebody stops it: it must hear that
        msg = f"Container {container.container_id} is not running"
        raise gateway.WrongState(msg)
    return {}


@handler(operations.UNPAUSE, queue="engine", permission=Permission.CONTAINER_OPERATE, retries=0)
def unpause_container(context: JobContext) -> object:
    container = container_of(context)
    engine = gateway.engine()
    if engine.observe(container.container_id).paused:
        engine.operations.unpause(container.container_id)
    states.change(container, among=[ContainerState.PAUSED], to=ContainerState.RUNNING)
    return {}


@handler(operations.PROCESSES, queue="engine", permission=Permission.CONTAINER_VIEW, retries=0)
def list_processes(context: JobContext) -> object:
    found = gateway.engine().operations.processes(container_of(context).container_id)
    return {"processes": [asdict(one.facts) | {"user": one.user} for one in found]}


@handler(operations.CHANGES, queue="engine", permission=Permission.CONTAINER_VIEW, retries=0)
def list_changes(context: JobContext) -> object:
    """None before the first start: the engine does not know it yet."""
    container_id, engine = container_of(context).container_id, gateway.engine()
    if engine.observe(container_id).state == gateway.State.ABSENT:
        return {"changes": []}
    found = engine.operations.changes(container_id, is_cancelled=context.cancelled)
    return {"changes": [[str(change.kind), change.path] for change in found]}


@handler(operations.UPDATE, queue="engine", permission=Permission.CONTAINER_OPERATE, retries=0)
def update_container(context: JobContext) -> object:
    """Row and engine together: a row never says what is not so. One at a time: each asks the engine for what the row says by then."""
    with _updating:
        _update(container_of(context), dict(context.params["changes"]))
    return {}


def _update(container: Container, changes: dict[str, Any]) -> None:
    options = ContainerOptions.from_json(container.options | changes)
    wanted = gateway.LimitsWanted(
        memory_bytes=asked(options.memory_bytes),
        nano_cpus=asked(options.nano_cpus),
        pids=asked(options.pids_limit),
        shares=enginerequest.shares_of(options),
    )
    with transaction.atomic():  # a quota is held while the engine is asked; what it refuses is undone here, too
        row = Container.objects.select_for_update().get(pk=container.pk)
        before = row.options
        row.options = row.options | changes
        row.save(update_fields=["options", "updated_at"])
        usage.hold_update(row, before)
        happenings.tell(row, "update")
        gateway.engine().operations.update(container.container_id, wanted)
    states.announce(row)


@clock.every(600.0, name="old looks")
def forget_looks() -> None:
    """Jobs that only looked: each page makes one, what they found may be long, and nobody asks for it again."""
    old = timezone.now() - timedelta(seconds=KEPT_S)
    looks = Job.objects.filter(kind__in=(operations.PROCESSES, operations.CHANGES), finished_at__lt=old)
    looks.exclude(state__in=LIVE_STATES).delete()
