"""Commands that bring something to run or to the terminal: run, create, start, attach, logs, pull."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

from dashboard import gateway
from dashboard.catalog import services as catalog
from dashboard.commandline.console import Console
from dashboard.commandline.files import with_files
from dashboard.commandline.following import finished, until_down, until_gone
from dashboard.commandline.pulling import pull as show_pull
from dashboard.containers import services as containers
from dashboard.containers.models import Container, ContainerState
from dashboard.containers.states import RUNS
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Permission, require
from dashboard.gateway.terminal import log_end
from dashboard.grammar import ContainerOptions, requests
from dashboard.grammar.errors import ValueRefused
from dashboard.grammar.times import read_moment
from dashboard.terminals import sessions

OURS = 125
NOT_A_TTY = "the input device is not a TTY"
REMOVAL_S = 15


async def pull(console: Console, request: requests.Pull) -> int:
    reference = await console.call(gateway.parse, request.reference)
    if not request.quiet and reference.tag == "latest" and not request.reference.endswith(":latest"):
        await console.line("Using default tag: latest")
    await show_pull(console, request.reference, platform=request.platform, to="out", is_quiet=request.quiet)
    await console.line(reference.canonical)
    return 0


async def _with_image(console: Console, options: ContainerOptions, *, when: str, is_quiet: bool) -> None:
    """Have the image here, by `--pull`'s rule. A pull is shown on standard error, as Docker does."""
    if when != "always":
        try:
            await console.call(catalog.find_image, options.image, console.user)
        except catalog.NoSuchImage:
            if when == "never":
                raise
            familiar = (await console.call(gateway.parse, options.image)).familiar
            if not is_quiet:
                await console.err(f"Unable to find image '{familiar}' locally")
        else:
            return
    await show_pull(console, options.image, platform=options.platform, to="err", is_quiet=is_quiet)


async def create(console: Console, request: requests.Create) -> int:
    options = await with_files(console, request)
    await _with_image(console, options, when=request.pull, is_quiet=request.quiet)
    made = await _made(console, request, options)
    await console.line(made.container_id)
    return 0


async def _made(console: Console, request: requests.Run | requests.Create, options: ContainerOptions) -> Container:
    made = await console.call(containers.create, console.user, options)
    if request.files.cid:
        await console.write_id(made.container_id)
    return made


async def run(console: Console, request: requests.Run) -> int:
    options = await with_files(console, request)
    if options.tty and options.interactive and not options.detach and not console.tty:
        await console.err(NOT_A_TTY)
        return 1
    await _with_image(console, options, when=request.pull, is_quiet=request.quiet)
    made = await _made(console, request, options)
    if options.detach:
        await _start(console, made)
        await console.line(made.container_id)
        return 0
    query = {"from": "start", "detach_keys": request.detach_keys}
    return await _in_foreground(console, made, query, sig_proxy=request.sig_proxy, starts=True)


async def _start(console: Console, container: Container) -> None:
    job = await console.call(containers.start, container, console.user, console.rows, console.columns)
    await finished(console, job)


def _announce(console: Console, container: Container) -> int:
    """From now on `--rm` waits for our stream, which is about to come."""
    return sessions.announce(container, console.user, kind=console.kind).pk


async def _start_in_view(console: Console, container: Container, show: Callable[[], Awaitable[None]]) -> None:
    """Start it, with the stream opened meanwhile: its first byte then waits for nothing but the program.

    The browser opens its terminal after the start: one that shows a start that failed would help nobody.
    If the start fails, an open stream ends by itself, and `--rm` removes the container now.
    """
    announced = await console.call(_announce, console, container)
    try:
        job = await console.call(containers.start, container, console.user, console.rows, console.columns)
        if console.kind == "cli":
            await show()
        await finished(console, job)
    except (DashboardError, gateway.EngineError):
        await console.call(sessions.end, announced)
        await _removed(console, container)
        raise
    if console.kind != "cli":
        await show()


async def _in_foreground(
    console: Console, container: Container, query: dict[str, str], *, sig_proxy: bool = True, starts: bool = False
) -> int:
    """Start if asked, have the client open the stream, and answer with the container's exit code."""

    async def show() -> None:
        await _send_stream(console, container, "attach", query, sig_proxy=sig_proxy)

    topic = f"container.{container.container_id}"
    async with console.following(topic) as feed:
        await (_start_in_view(console, container, show) if starts else show())
        ended = await console.ended_streams.get()
        seen: dict[str, Any] = {}
        while not feed.queue.empty():
            payload = feed.queue.get_nowait()
            seen = payload if payload.get("state") == ContainerState.EXITED else seen
    if ended.get("how") == "detached":
        return 0
    if ended.get("how") != "exited":
        return OURS
    code = await _exit_code(console, container, seen, ended)
    await _removed(console, container)
    return code


async def _exit_code(console: Console, container: Container, seen: dict[str, Any], ended: dict[str, Any]) -> int:
    """From the row; a `--rm` container's row may be gone already, then from what was told."""
    is_told = isinstance(seen.get("exit_code"), int)
    row = None if is_told else await until_down(console, container)  # by its policy it may run again by now
    told = [row.exit_code if row is not None else None, seen.get("exit_code"), ended.get("code")]
    return next((code for code in told if isinstance(code, int)), OURS)


async def _removed(console: Console, container: Container) -> None:
    """`--rm` returns when the container is gone, as Docker's does."""
    if not container.auto_remove:
        return
    await console.call(containers.remove_if_due, container)
    await until_gone(console, container, looks=REMOVAL_S)


async def _send_stream(
    console: Console, container: Container, mode: str, query: dict[str, str], *, sig_proxy: bool
) -> None:
    takes_input = mode == "attach" and query.get("stdin", "1") == "1" and container.open_stdin
    words = {"mode": mode, "kind": console.kind, **query, "stdin": "1" if takes_input else "0"}
    await console.send(
        {
            "t": "stream",
            "path": f"/ws/terminals/{container.container_id}?{urlencode({k: v for k, v in words.items() if v})}",
            "container": container.container_id,
            "tty": container.tty and mode == "attach",
            "interactive": takes_input,
            "sig_proxy": sig_proxy and mode == "attach" and not container.tty,
            "title": container.name,
        }
    )


def _log_position(container: Container) -> str:
    """Where the log ends now: the output of the run that starts next comes after it."""
    io = gateway.engine_config().io(container.container_id)
    if not (io / "ctr.log").exists():
        return "start"
    position = log_end(io)
    return f"{position.segment}.{position.offset}"


async def start(console: Console, request: requests.Start) -> int:
    if request.attach or request.interactive:
        return await _start_attached(console, request)
    code = 0
    for name in request.names:
        try:
            await _start(console, await console.call(containers.find, name, console.user))
        except (DashboardError, gateway.EngineError) as error:
            await console.err(f"Error: {error}")
            code = 1
        else:
            await console.line(name)
    return code


async def _start_attached(console: Console, request: requests.Start) -> int:
    if len(request.names) > 1:
        msg = "you cannot start and attach multiple containers at once"
        raise DashboardError(msg, status=400)
    container = await console.call(containers.find, request.names[0], console.user)
    if container.tty and request.interactive and container.open_stdin and not console.tty:
        await console.err(NOT_A_TTY)
        return 1
    is_up = container.state == ContainerState.RUNNING
    query = {
        "from": "end" if is_up else await console.call(_log_position, container),
        "detach_keys": request.detach_keys,
        "stdin": "1" if request.interactive else "0",
    }
    return await _in_foreground(console, container, query, starts=not is_up)


async def attach(console: Console, request: requests.Attach) -> int:
    container = await console.call(containers.find, request.name, console.user)
    await console.call(require, console.user, Permission.TERMINAL_OPEN, container)
    if container.state == ContainerState.PAUSED:
        msg = "You cannot attach to a paused container, unpause it first"
        raise DashboardError(msg, status=409)
    if container.state not in RUNS:
        msg = "You cannot attach to a stopped container, start it first"
        raise DashboardError(msg, status=409)
    takes_input = container.open_stdin and not request.no_stdin
    if container.tty and takes_input and not console.tty:
        await console.err(NOT_A_TTY)
        return 1
    query = {
        "from": "replay" if container.tty else "end",
        "detach_keys": request.detach_keys,
        "stdin": "1" if takes_input else "0",
    }
    return await _in_foreground(console, container, query, sig_proxy=request.sig_proxy)


def moments(**said: str) -> dict[str, str]:
    """Flags that name moments, those that were given: nanoseconds since 1970.

    Raises:
        DashboardError: one that cannot be read (400).
    """
    now_ns, read = time.time_ns(), dict[str, str]()
    for name, text in said.items():
        try:
            read |= {name: str(read_moment(text, now_ns=now_ns))} if text else {}
        except ValueRefused as error:
            msg = f'invalid value for "{name}": {error}'
            raise DashboardError(msg, status=400) from error
    return read


async def logs(console: Console, request: requests.Logs) -> int:
    container = await console.call(containers.find, request.name, console.user)
    await console.call(require, console.user, Permission.TERMINAL_OPEN, container)
    if container.state == ContainerState.CREATED and await console.call(_log_position, container) == "start":
        return 0
    query = {
        "from": "start",
        "follow": "1" if request.follow else "0",
        "tail": "" if request.tail is None else str(request.tail),
        "timestamps": "1" if request.timestamps else "0",
        **moments(since=request.since, until=request.until),
    }
    await _send_stream(console, container, "logs", query, sig_proxy=False)
    ended = await console.ended_streams.get()
    return 0 if ended.get("how") in {"exited", "detached"} else OURS
