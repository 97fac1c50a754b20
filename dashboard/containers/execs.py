"""Further commands in containers: what is asked, checked and handed to the engine worker; and every change of their rows.

    STARTING ──▶ RUNNING ──▶ EXITED ──▶ (no row, a minute after its last reader)
        └────────────────────▲   it could not be started: `error` says why

If you add a state, look at `execreconcile.py` too.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from dashboard import gateway
from dashboard.containers import happenings, states
from dashboard.containers.creation import new_id
from dashboard.containers.models import Container, ContainerState, Exec, ExecState
from dashboard.core.errors import DashboardError
from dashboard.core.events import publish
from dashboard.core.gate import Permission, Requester, require
from dashboard.grammar import ExecOptions
from dashboard.jobs import services as jobs
from dashboard.jobs.models import Job
from dashboard.teams import scope

START, END = "start_exec", "end_exec"
QUEUE = "engine"
UP = (ExecState.STARTING, ExecState.RUNNING)
MOST = 64  # at the same time, in one container: each has a monitor of its own on the host


def key_of(kind: str, row: Exec) -> str:
    """One job of a kind for each command at a time."""
    return f"{kind}:{row.exec_id}"


def start(
    container: Container, user: Requester, options: ExecOptions, *, rows: int = 24, columns: int = 80
) -> tuple[Exec, Job]:
    """Have a further command run in a running container; the job ends when it runs.

    Raises:
        DashboardError: the container does not run, or has too many already (409).
        Denied: `user` may not.
    """
    require(user, Permission.CONTAINER_EXEC, container)
    with transaction.atomic():  # the reconciler never sees a STARTING row without its job
        _refuse_unfit(container)
        row = Exec.objects.create(
            exec_id=new_id(),
            container=container,
            requester_id=getattr(user, "pk", None),
            options=options.to_json(),
            command_shown=shlex.join(options.command),
            tty=options.tty,
            open_stdin=options.interactive,
        )
        happenings.exec_made(row)
        return row, _submit(START, row, user, rows=rows, columns=columns)


def _refuse_unfit(container: Container) -> None:
    """Locked, or several requests at once would each find room for one more."""
    locked = Container.objects.select_for_update().filter(pk=container.pk).first()
    if locked is not None and locked.state == ContainerState.PAUSED:
        msg = f"Container {container.container_id} is paused, unpause the container before exec"
        raise DashboardError(msg, status=409)
    if locked is None or locked.state not in states.RUNS:
        msg = f"container {container.container_id} is not running"
        raise DashboardError(msg, status=409)
    if locked.execs.filter(state__in=UP).count() >= MOST:
        msg = _("%(count)d commands run in this container already. End one of them first.") % {"count": MOST}
        raise DashboardError(msg, status=409)


def end(row: Exec, user: Requester) -> Job | None:
    """Ask it to end, and kill it soon after; None when it has ended, which is no error."""
    require(user, Permission.CONTAINER_EXEC, row.container)
    row.refresh_from_db()
    if row.state != ExecState.EXITED and row.container.state == ContainerState.PAUSED:
        msg = f"Container {row.container.container_id} is paused, unpause the container first"
        raise DashboardError(msg, status=409)
    return None if row.state == ExecState.EXITED else _submit(END, row, user)


def _submit(kind: str, row: Exec, user: Requester, **params: object) -> Job:
    named = {"container_id": row.container.container_id, "exec_id": row.exec_id}
    key, team_id = key_of(kind, row), row.container.team_id
    return jobs.submit(kind, {**named, **params}, requester=user, key=key, queue=QUEUE, team_id=team_id)


def find(exec_id: str) -> Exec | None:
    """For the engine worker."""
    return Exec.objects.select_related("container").filter(exec_id=exec_id).first()


def seen(exec_id: str, user: Requester) -> Exec | None:
    """In a container of whichever of the person's teams; one of another team is none."""
    rows = Exec.objects.select_related("container").filter(container__in=scope.seen(user, Container.objects.all()))
    return rows.filter(exec_id=exec_id).first()


def announce(row: Exec, *, state: str | None = None) -> None:
    payload = {"t": "exec", "id": row.exec_id, "state": state or row.state, "exit_code": row.exit_code}
    payload["team"] = row.container.team_id
    publish(f"exec.{row.exec_id}", payload)
    publish(f"execs.{row.container.container_id}", payload)
    publish("execs", payload)


def change(row: Exec, *, among: Sequence[str], to: str, **fields: Any) -> bool:  # Any: the row's own fields
    """`Process.move`, written down and told to who watches."""
    with transaction.atomic():
        before = Exec.objects.select_for_update().filter(pk=row.pk).values_list("state", flat=True).first()
        changed = row.move(among=among, to=to, **fields)
        if changed and before is not None:
            happenings.exec_changed(row, before)
    if changed:
        announce(row)
    return changed


def running(row: Exec, started: gateway.ExecStarted) -> bool:
    shown = row.command_shown or shlex.join(started.arguments)
    return change(
        row, among=[ExecState.STARTING], to=ExecState.RUNNING, started_at=started.started_at, command_shown=shown
    )


def exited(row: Exec, ended: gateway.Exit) -> bool:
    return change(
        row,
        among=UP,
        to=ExecState.EXITED,
        exit_code=ended.code,
        oom_killed=ended.oom_killed,
        finished_at=ended.finished_at,
        error=ended.reason,
    )


def not_started(row: Exec, message: str) -> bool:
    """It never ran; `message` says why."""
    return change(row, among=[ExecState.STARTING], to=ExecState.EXITED, error=message, finished_at=timezone.now())
