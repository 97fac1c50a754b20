"""What the engine worker does for `operations`. Each handler is idempotent: it may run again after a crash anywhere."""

from __future__ import annotations

from dashboard import gateway
from dashboard.containers import operations, states
from dashboard.containers.handlers import container_of
from dashboard.containers.models import ContainerState
from dashboard.core.gate import Permission
from dashboard.jobs.registry import JobContext, handler


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
