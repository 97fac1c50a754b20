"""Commands that look into containers: stats, top, diff."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from django.utils import timezone

from dashboard import gateway
from dashboard.commandline.console import Console
from dashboard.commandline.following import finished
from dashboard.containers import figures
from dashboard.containers import services as containers
from dashboard.containers.models import Container
from dashboard.containers.states import RUNS
from dashboard.core.gate import Permission, require
from dashboard.grammar import requests
from dashboard.grammar.processes import Now, ProcessLine, render_processes
from dashboard.grammar.stats import StatsLine, Taken, render_stats
from dashboard.jobs.host import host_memory
from dashboard.jobs.models import Job

FIRST_LOOKS = 30  # of a tenth of a second: somebody who has just started a container wants to see it


async def stats(console: Console, request: requests.Stats) -> int:
    """Without --no-stream a look every second, in the place of the one before, until somebody interrupts it."""
    lines = await console.call(_stats_lines, console, request)
    for _look in range(FIRST_LOOKS):
        if all(line.taken is not None for line in lines):
            break
        await console.unless_interrupted(asyncio.sleep(0.1))
        lines = await console.call(_stats_lines, console, request)
    if request.no_stream:
        await console.line(render_stats(request, lines))
        return 0
    while True:
        await console.send({"t": "screen", "text": f"{render_stats(request, lines)}\n"})
        await console.unless_interrupted(asyncio.sleep(figures.EVERY_S))
        lines = await console.call(_stats_lines, console, request)


def _stats_lines(console: Console, request: requests.Stats) -> list[StatsLine]:
    rows = [containers.find(name, console.user) for name in request.names] or list(
        containers.containers_for(console.user)
    )
    for row in rows:
        require(console.user, Permission.CONTAINER_VIEW, row)
    newest = figures.newest()
    shows_all = request.all or bool(request.names)
    return [_stats_line(row, newest) for row in rows if shows_all or row.state in RUNS]


def _stats_line(row: Container, newest: dict[str, gateway.Figures]) -> StatsLine:
    found = newest.get(row.container_id) if row.state in RUNS else None
    taken = Taken() if row.state not in RUNS else None
    return StatsLine(
        container_id=row.container_id, name=row.name, taken=taken if found is None else Taken(**asdict(found))
    )


def _result(job: Job | None, name: str) -> list[Any]:  # JSON of the handler's shape
    return list(job.result.get(name, ())) if job is not None else []


async def top(console: Console, request: requests.Top) -> int:
    container = await console.call(containers.find, request.name, console.user)
    job = await finished(console, await console.call(containers.processes, container, console.user))
    lines = [ProcessLine.from_json(one) for one in _result(job, "processes")]
    now = Now(timezone.localtime(datetime.now(UTC)), host_memory())
    await console.line(render_processes(lines, request.columns, now))
    return 0


async def diff(console: Console, request: requests.Diff) -> int:
    container = await console.call(containers.find, request.name, console.user)
    job = await finished(console, await console.call(containers.changes, container, console.user))
    await console.out("".join(f"{kind} {path}\n" for kind, path in _result(job, "changes")))
    return 0
