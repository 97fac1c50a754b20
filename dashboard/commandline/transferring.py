"""Commands that move an archive between the engine and the client's files and pipes: volume backup, volume restore.

The door names the transfer and the client opens it (`/ws/transfers/…`), as it does with a stream (ADR 13).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dashboard.commandline.console import Console, Interrupted
from dashboard.commandline.following import finished
from dashboard.core.errors import DashboardError
from dashboard.grammar import requests
from dashboard.jobs.models import Job
from dashboard.transfers import services as transfers
from dashboard.transfers.models import Direction, Transfer
from dashboard.volumes import archives
from dashboard.volumes import services as volumes

FAILED = 1
BEAT_S = 20.0
TO_TERMINAL = "refusing to write an archive to a terminal: name a file (-o FILE), or redirect the output"
FROM_TERMINAL = "the standard input is a terminal: name a file (-i FILE), or redirect the input"


async def backup(console: Console, request: requests.VolumeBackup) -> int:
    volume = await console.call(volumes.find, request.name, console.user)
    _refuse_here(console, request.name)
    if console.tty_out and not request.output:
        raise DashboardError(TO_TERMINAL)
    made = await console.call(archives.begin_backup, volume, console.user)
    try:
        async with beating(console, made):
            job = await finished(console, made.job)
            code = await moved(console, made, request.output)
    finally:
        await console.call(transfers.end, made.key)
    await _warn(console, job, _BACKUP_WARNINGS)
    return code


async def restore(console: Console, request: requests.VolumeRestore) -> int:
    volume = await console.call(volumes.find, request.name, console.user)
    _refuse_here(console, request.name)
    if console.tty and not request.input:
        raise DashboardError(FROM_TERMINAL)
    made = await console.call(archives.begin_restore, volume, console.user)
    try:
        async with beating(console, made):
            code = await moved(console, made, request.input)
        if code:
            await console.call(transfers.end, made.key)
            return code
        job = await console.call(archives.restore, volume, console.user, made)
    except BaseException:  # whatever it was: what has arrived is of no use
        await console.call(transfers.end, made.key)
        raise
    try:
        done = await finished(console, job)
    except Interrupted:
        await console.call(archives.cancel_restore, made)
        raise
    await console.line(request.name)
    await _warn(console, done, _RESTORE_WARNINGS)
    return 0


def _refuse_here(console: Console, name: str) -> None:
    if console.kind != "cli":
        msg = f"A page has no files to redirect: use Download backup and Restore from a file at /volumes/{name}/."
        raise DashboardError(msg)


@asynccontextmanager
async def beating(console: Console, transfer: Transfer) -> AsyncIterator[None]:
    async def beat() -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            await console.call(transfers.beat, transfer.key)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()


async def moved(console: Console, transfer: Transfer, file: str = "", **how: object) -> int:
    """0 once the client says that every byte has arrived where it goes. Otherwise it has said why."""
    frame = {"t": "transfer", "path": f"/ws/transfers/{transfer.key}", "direction": transfer.direction, "file": file}
    await console.send(frame | how)
    ended = await console.ended_streams.get()
    if ended.get("how") != "exited":
        return FAILED
    if transfer.direction == Direction.IN:
        await console.call(transfer.refresh_from_db)
        if not transfer.is_ready:
            msg = "The archive has not arrived whole. Try again."
            raise DashboardError(msg, status=409)
    return 0


_BACKUP_WARNINGS = {
    "left_out": "{count} devices or sockets were left out.",
    "changed": "{count} files became shorter while they were read, and were filled up with zeros.",
}
_RESTORE_WARNINGS = {"dropped": "{count} extended attributes were left out."}


async def _warn(console: Console, job: Job | None, words: dict[str, str]) -> None:
    for name, sentence in words.items():
        if job is not None and (count := job.result.get(name)):
            await console.err(f"WARNING: {sentence.format(count=count)}")
