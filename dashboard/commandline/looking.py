"""Commands that look into one container: top, diff."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.utils import timezone

from dashboard.commandline.console import Console
from dashboard.commandline.following import finished
from dashboard.containers import services as containers
from dashboard.grammar import requests
from dashboard.grammar.processes import Now, ProcessLine, render_processes
from dashboard.jobs.host import host_memory
from dashboard.jobs.models import Job


def _result(job: Job | None, name: str) -> list[Any]:  # JSON of the handler's shape
    return list(job.result.get(name, ())) if job is not None else []


async def top(console: Console, request: requests.Top) -> int:
    container = await console.call(containers.find, request.name)
    job = await finished(console, await console.call(containers.processes, container, console.user))
    lines = [ProcessLine.from_json(one) for one in _result(job, "processes")]
    now = Now(timezone.localtime(datetime.now(UTC)), host_memory())
    await console.line(render_processes(lines, request.columns, now))
    return 0


async def diff(console: Console, request: requests.Diff) -> int:
    container = await console.call(containers.find, request.name)
    job = await finished(console, await console.call(containers.changes, container, console.user))
    await console.out("".join(f"{kind} {path}\n" for kind, path in _result(job, "changes")))
    return 0
