"""What the engine worker does with further commands. Each handler is idempotent: it may run again after a crash anywhere."""

from __future__ import annotations

from django.utils import timezone

from dashboard import gateway
from dashboard.containers import execs
from dashboard.containers.handlers import in_own_connection
from dashboard.containers.models import Exec, ExecState
from dashboard.core.gate import Permission
from dashboard.grammar import ExecOptions
from dashboard.jobs.registry import JobContext, handler


def _row(context: JobContext) -> Exec:
    row = execs.find(str(context.params["exec_id"]))
    if row is None:
        msg = f"No such container: {str(context.params['container_id'])[:12]}"  # it goes with its container only
        raise gateway.WrongState(msg)
    return row


def request_of(row: Exec, *, rows: int, columns: int) -> gateway.ExecRequest:
    """The engine's request from a row."""
    options = ExecOptions.from_json(row.options)
    return gateway.ExecRequest(
        exec_id=row.exec_id,
        command=options.command,
        env=options.env,
        working_dir=options.workdir,
        user=options.user,
        tty=row.tty,
        open_stdin=row.open_stdin,
        rows=rows,
        columns=columns,
    )


@handler(execs.START, queue="engine", permission=Permission.CONTAINER_EXEC, retries=0)
def start_exec(context: JobContext) -> object:
    row = _row(context)
    if row.state == ExecState.STARTING:
        _start(row, rows=int(context.params.get("rows") or 24), columns=int(context.params.get("columns") or 80))
    elif row.started_at is None:
        raise gateway.RuntimeFailed(row.error)
    return {"exec_id": row.exec_id}


def _start(row: Exec, *, rows: int, columns: int) -> None:
    engine, container_id = gateway.engine(), row.container.container_id
    try:
        seen = engine.execs.observe(container_id, row.exec_id)
        if seen.state in {gateway.State.ABSENT, gateway.State.CREATED}:
            started = engine.execs.start(container_id, request_of(row, rows=rows, columns=columns))
        else:  # a worker started it and died before saying so
            started = found_running(row, seen)
    except gateway.EngineError as error:
        execs.not_started(row, str(error))
        raise
    execs.running(row, started)
    watch(row)


def found_running(row: Exec, seen: gateway.Observed) -> gateway.ExecStarted:
    """What `start` would have returned, of a command that was found running, or ended, without us."""
    arguments = ExecOptions.from_json(row.options).command or ("sh",)
    return gateway.ExecStarted(arguments, seen.started_at or timezone.now())


def watch(row: Exec) -> None:
    """Have its end written down. Watching twice is harmless."""
    container_id, exec_id = row.container.container_id, row.exec_id
    gateway.engine().execs.watch(
        container_id, exec_id, lambda ended: in_own_connection(lambda: ended_now(exec_id, ended))
    )


def ended_now(exec_id: str, ended: gateway.Exit) -> None:
    row = execs.find(exec_id)
    if row is not None:
        execs.exited(row, ended)


@handler(execs.END, queue="engine", permission=Permission.CONTAINER_EXEC, retries=0)
def end_exec(context: JobContext) -> object:
    row = _row(context)
    container_id = row.container.container_id
    gateway.engine().execs.end(container_id, row.exec_id)
    seen = gateway.engine().execs.observe(container_id, row.exec_id)
    if seen.exit is not None:  # without waiting for the watcher
        execs.exited(row, seen.exit)
    return {}
