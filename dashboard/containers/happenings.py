"""Which of Docker's events a change of a container's row, or of a command's in it, is."""

from __future__ import annotations

from typing import Any

from dashboard import gateway
from dashboard.containers.models import Container, ContainerState, Exec, ExecState
from dashboard.history.models import EventType
from dashboard.history.services import record

_RUNS = (ContainerState.RUNNING, ContainerState.PAUSED, ContainerState.STOPPING)


def tell(container: Container, action: str, **attributes: object) -> None:
    """In the transaction that makes it so."""
    about = {"image": container.image_reference, "name": container.name, **attributes}
    record(EventType.CONTAINER, action, container.container_id, team_id=container.team_id, **about)


def changed(container: Container, before: str, fields: dict[str, Any]) -> None:  # Any: the row's own fields
    """The row has just come from state `before` to its own, with these fields."""
    state = container.state
    if before == state:
        return
    if state == ContainerState.RUNNING and before == ContainerState.PAUSED:
        tell(container, "unpause")
    elif state == ContainerState.RUNNING and before not in _RUNS:
        tell(container, "start")
    elif state == ContainerState.PAUSED and before in _RUNS:
        tell(container, "pause")
    elif state == ContainerState.EXITED and fields.get("finished_at") is not None:
        _ended(container, before)


def _ended(container: Container, before: str) -> None:
    if container.oom_killed:
        tell(container, "oom")
    began, ended = container.started_at, container.finished_at
    lasted = int((ended - began).total_seconds()) if began is not None and ended is not None else 0
    code = "unknown" if container.exit_code is None else container.exit_code
    tell(container, "die", execDuration=lasted, exitCode=code)
    if before == ContainerState.STOPPING:
        tell(container, "stop")


def died(container: Container, ended: gateway.Exit | None) -> None:
    """In the middle of its removal, which its row does not say."""
    code = "unknown" if ended is None or ended.code is None else ended.code
    tell(container, "die", exitCode=code)


def exec_made(row: Exec) -> None:
    tell(row.container, f"exec_create: {row.command_shown}", execID=row.exec_id)


def exec_changed(row: Exec, before: str) -> None:
    if row.state == ExecState.RUNNING:
        tell(row.container, f"exec_start: {row.command_shown}", execID=row.exec_id)
    elif row.state == ExecState.EXITED and before == ExecState.RUNNING:
        code = "unknown" if row.exit_code is None else row.exit_code
        tell(row.container, "exec_die", execID=row.exec_id, exitCode=code)
