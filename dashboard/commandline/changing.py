"""Commands that change what is there: stop, kill, restart, rm, rename, pause, rmi, wait. Each name has its own outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from dashboard import gateway
from dashboard.catalog import services as catalog
from dashboard.commandline.console import Console
from dashboard.commandline.following import finished, until_down
from dashboard.containers import services as containers
from dashboard.containers.inspection import UNKNOWN_CODE
from dashboard.containers.models import Container
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Permission, require
from dashboard.grammar import requests
from dashboard.jobs.models import Job


async def each(console: Console, names: Sequence[str], act: Callable[[str], Awaitable[str]]) -> int:
    """Do `act` for all names at once; print what it returns in the order of the names; failures on standard error.

    Returns:
        1 if any failed. The others are done all the same.
    """
    tasks = [asyncio.ensure_future(act(name)) for name in names]
    code = 0
    try:
        for task in tasks:
            try:
                await console.out(await task)
            except (DashboardError, gateway.EngineError) as error:
                await console.err(f"Error: {error}")
                code = 1
    finally:
        for task in tasks:
            task.cancel()
    return code


async def _act(console: Console, name: str, ask: Callable[[Container], Job | None]) -> str:
    container = await console.call(containers.find, name, console.user)
    await finished(console, await console.call(ask, container))
    return f"{name}\n"


async def stop(console: Console, request: requests.Stop) -> int:
    def ask(container: Container) -> Job | None:
        return containers.stop(container, console.user, request.timeout_s, request.signal)

    return await each(console, request.names, lambda name: _act(console, name, ask))


async def restart(console: Console, request: requests.Restart) -> int:
    def ask(container: Container) -> Job | None:
        return containers.restart(container, console.user, request.timeout_s, request.signal)

    return await each(console, request.names, lambda name: _act(console, name, ask))


async def kill(console: Console, request: requests.Kill) -> int:
    def ask(container: Container) -> Job | None:
        return containers.kill(container, console.user, request.signal)

    return await each(console, request.names, lambda name: _act(console, name, ask))


async def remove(console: Console, request: requests.Remove) -> int:
    def ask(container: Container) -> Job | None:
        return containers.remove(container, console.user, request.force, request.volumes, now=request.now)

    return await each(console, request.names, lambda name: _act(console, name, ask))


async def rename(console: Console, request: requests.Rename) -> int:
    container = await console.call(containers.find, request.name, console.user)
    await console.call(containers.rename, container, console.user, request.new_name)
    return 0


async def pause(console: Console, request: requests.Pause) -> int:
    def ask(container: Container) -> Job | None:
        return containers.pause(container, console.user)

    return await each(console, request.names, lambda name: _act(console, name, ask))


async def unpause(console: Console, request: requests.Unpause) -> int:
    def ask(container: Container) -> Job | None:
        return containers.unpause(container, console.user)

    return await each(console, request.names, lambda name: _act(console, name, ask))


async def update(console: Console, request: requests.Update) -> int:
    def ask(container: Container) -> Job | None:
        return containers.update(container, console.user, dict(request.changes))

    return await each(console, request.names, lambda name: _act(console, name, ask))


async def remove_images(console: Console, request: requests.RemoveImages) -> int:
    """In turn: two names may share layers. Returns when the space is free."""
    code = 0
    for name in request.names:
        try:
            removed = await console.call(catalog.remove, name, console.user, force=request.force)
            await console.out("".join(f"{line}\n" for line in removed.lines))
            await finished(console, removed.job)
        except (DashboardError, gateway.EngineError) as error:
            await console.err(f"Error: {error}")
            code = 1
    return code


async def wait(console: Console, request: requests.Wait) -> int:
    async def one(name: str) -> str:
        container = await console.call(containers.find, name, console.user)
        await console.call(require, console.user, Permission.CONTAINER_VIEW, container)
        row = await until_down(console, container)
        return f"{UNKNOWN_CODE if row is None else containers.docker_exit_code(row)}\n"

    return await each(console, request.names, one)
