"""What the engine worker's clock does for terminals: rotate logs, notice lost output, forget old streams."""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from dashboard import gateway
from dashboard.containers.models import Container, Exec, ExecState
from dashboard.containers.states import RUNS
from dashboard.core import clock, events
from dashboard.terminals import sessions
from dashboard.terminals.models import StreamSession

log = logging.getLogger(__name__)
TURN_S = 1.5
FIRST: sessions.Key = ("", 0)
_next_turn_after = [FIRST]


@clock.every(1.0, name="logs")
def rotate_logs() -> None:
    """Look at the log of all that runs, containers and commands in them; a turn that lasts too long goes on next time."""
    deadline = time.monotonic() + TURN_S
    containers = Container.objects.filter(state__in=RUNS).only("container_id", "log_lost")
    commands = Exec.objects.filter(state=ExecState.RUNNING).select_related("container")
    rows: list[Container | Exec] = [*containers, *commands.only("exec_id", "log_lost", "container__container_id")]
    wanted = sessions.wanted_segments()
    for row in sorted(rows, key=lambda row: (sessions.key_of(row) <= _next_turn_after[0], sessions.key_of(row))):
        if time.monotonic() > deadline:
            return
        _next_turn_after[0] = sessions.key_of(row)
        _rotate(row, wanted.get(sessions.key_of(row)))
    _next_turn_after[0] = FIRST


def _rotate(row: Container | Exec, keep_from: int | None) -> None:
    kind, name = ("exec", row.exec_id) if isinstance(row, Exec) else ("container", row.container_id)
    try:
        state = _looked_at(row, keep_from)
    except (gateway.EngineError, OSError) as error:
        log.warning("the log of %s %s was not looked at: %s", kind, name[:12], error)
        return
    if state.is_full and type(row).objects.filter(pk=row.pk, log_lost=False).update(log_lost=True):
        events.publish(f"{kind}.{name}", {"t": kind, "id": name, "log_lost": True})


def _looked_at(row: Container | Exec, keep_from: int | None) -> gateway.LogState:
    if isinstance(row, Exec):
        return gateway.engine().execs.rotate_logs(row.container.container_id, row.exec_id, keep_from=keep_from)
    return gateway.engine().rotate_logs(row.container_id, keep_from=keep_from)


@clock.on_jump
def move_along(by: timedelta) -> None:
    clock.move_along(StreamSession.objects.filter(ended_at=None), "heartbeat_at", by=by)


@clock.every(600.0, name="old streams")
def forget_old_streams() -> None:
    sessions.forget_old()
