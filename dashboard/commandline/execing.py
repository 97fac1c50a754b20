"""`exec`: a further command in a running container, to the terminal or in the background."""

from __future__ import annotations

from urllib.parse import urlencode

from dashboard.commandline.console import Console
from dashboard.commandline.files import with_variables
from dashboard.commandline.following import LOOK_S, finished
from dashboard.commandline.running import NOT_A_TTY, OURS
from dashboard.containers import services as containers
from dashboard.containers.models import Exec, ExecState
from dashboard.core.gate import Permission, require
from dashboard.grammar import requests
from dashboard.jobs.models import Job
from dashboard.jobs.services import JobFailed
from dashboard.terminals import sessions

FAILED = 1
# As Docker: what could not be executed, for whatever reason, is 126; but a container that has ended meanwhile is our 1.
NOT_STARTED = 126
CODES = {"command-not-found": 127, "shell-not-found": 127, "wrong-state": FAILED, "denied": FAILED}
DETACHED = 1  # Docker's `exec` takes the detach keys for a failure, unlike its `run` and `attach`


async def execute(console: Console, request: requests.Exec) -> int:
    """The command's own exit code; 126 or 127 when it could not be started; 1 when there is no container to run it in."""
    container = await console.call(containers.find, request.name, console.user)
    await console.call(require, console.user, Permission.CONTAINER_EXEC, container)
    options = await with_variables(console, request.options, request.files)
    if options.tty and options.interactive and not console.tty:
        await console.err(NOT_A_TTY)
        return FAILED
    row, job = await console.call(
        containers.start_exec, container, console.user, options, rows=console.rows, columns=console.columns
    )
    if request.detach:
        return await _started(console, job, FAILED)
    announced = await console.call(_announce, console, row)
    if (
        console.kind == "cli"
    ):  # its first byte then waits for nothing but the program; if it fails, the stream just ends
        await _show(console, row, request.detach_keys)
    code = await _started(console, job, NOT_STARTED)
    if code:
        await console.call(sessions.end, announced)
        return code
    if console.kind != "cli":
        await _show(console, row, request.detach_keys)
    return await _until_its_end(console, row)


async def _started(console: Console, job: Job, otherwise: int) -> int:
    """0 once it runs; the exit code when it could not be started, which has been told then."""
    try:
        await finished(console, job)
    except JobFailed as error:
        await console.err(f"Error: {error}")
        return FAILED if otherwise == FAILED else CODES.get(error.code, otherwise)
    return 0


def _announce(console: Console, row: Exec) -> int:
    """From now on its log is kept for our stream, which is about to come."""
    return sessions.announce(row.container, console.user, row, kind=console.kind).pk


async def _show(console: Console, row: Exec, detach_keys: str) -> None:
    words = {"mode": "attach", "kind": console.kind, "from": "start", "stdin": "1" if row.open_stdin else "0"}
    words |= {"detach_keys": detach_keys} if detach_keys else {}
    await console.send(
        {
            "t": "stream",
            "path": f"/ws/execs/{row.exec_id}?{urlencode(words)}",
            "container": row.container.container_id,
            "tty": row.tty,
            "interactive": row.open_stdin,
            "sig_proxy": False,
            "title": f"{row.container.name}: {row.command_shown}",
        }
    )


async def _until_its_end(console: Console, row: Exec) -> int:
    ended = await console.ended_streams.get()
    if ended.get("how") == "detached":
        return DETACHED
    if ended.get("how") != "exited":
        return OURS
    return await _exit_code(console, row, ended.get("code"))


async def _exit_code(console: Console, row: Exec, told: object) -> int:
    """From the row; it may have gone with its container, then from what the stream said."""
    async with console.following(f"exec.{row.exec_id}") as feed:
        while (found := await console.call(_row, row.pk)) is not None and found.state != ExecState.EXITED:
            await feed.next(LOOK_S)
    if found is not None and found.exit_code is None:
        await console.err(f"Error: {found.error}")
    codes = [found.exit_code if found is not None else None, told]
    return next((code for code in codes if isinstance(code, int)), OURS)


def _row(pk: int) -> Exec | None:
    return Exec.objects.filter(pk=pk).first()
