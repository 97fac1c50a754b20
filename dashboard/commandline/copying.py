"""`cp`: the client makes or unpacks the tar, Docker's rules about names are half its and half the engine's (ADR 15)."""

from __future__ import annotations

from dashboard.commandline.console import Console, Interrupted
from dashboard.commandline.following import finished
from dashboard.commandline.transferring import beating, moved
from dashboard.containers import copies
from dashboard.containers import services as containers
from dashboard.core.errors import DashboardError
from dashboard.grammar import requests
from dashboard.grammar.units import human_size
from dashboard.jobs.models import Job
from dashboard.transfers import services as transfers

STREAM = "-"
TO_TERMINAL = "refusing to write a tar to a terminal: redirect the output"
FROM_TERMINAL = "the standard input is a terminal: redirect a tar into it"


async def copy_out(console: Console, request: requests.CopyOut) -> int:
    container = await console.call(containers.find, request.name, console.user)
    _refuse_here(console, container.name)
    if request.local == STREAM and console.tty_out:
        raise DashboardError(TO_TERMINAL)
    made = await console.call(copies.begin_out, container, console.user, request.path, follow=request.follow)
    try:
        async with beating(console, made):
            job = await finished(console, made.job)
            if request.local == STREAM:
                code = await moved(console, made)
            else:
                code = await moved(console, made, copy=request.local, keep_owners=request.archive)
    finally:
        await console.call(transfers.end, made.key)
    if not code and request.local != STREAM:
        await _tell(console, job, request, request.local)
    return code


async def copy_in(console: Console, request: requests.CopyIn) -> int:
    container = await console.call(containers.find, request.name, console.user)
    _refuse_here(console, container.name)
    if request.local == STREAM and console.tty:
        raise DashboardError(FROM_TERMINAL)
    made = await console.call(copies.begin_in, container, console.user)
    try:
        async with beating(console, made):
            if request.local == STREAM:
                code = await moved(console, made)
            else:
                code = await moved(console, made, copy=request.local, follow=request.follow)
        if code:
            await console.call(transfers.end, made.key)
            return code
        how = {"keep_owners": request.archive, "is_plain": request.local == STREAM}
        job = await console.call(copies.put_in, container, console.user, made, request.path, **how)
    except BaseException:  # whatever it was: what has arrived is of no use
        await console.call(transfers.end, made.key)
        raise
    try:
        done = await finished(console, job)
    except Interrupted:
        await console.call(copies.cancel_in, made)
        raise
    await _tell(console, done, request, f"{request.name}:{request.path}")
    return 0


def _refuse_here(console: Console, name: str) -> None:
    if console.kind != "cli":
        msg = f"A page has no files of its own: use Files on the page of {name}."
        raise DashboardError(msg)


async def _tell(console: Console, job: Job | None, request: requests.CopyIn | requests.CopyOut, where: str) -> None:
    if job is None or request.quiet:
        return
    await console.err(f"Successfully copied {human_size(int(job.result.get('bytes') or 0))} to {where}")
    if left_out := job.result.get("left_out"):
        await console.err(f"WARNING: {left_out} devices or sockets were left out.")
