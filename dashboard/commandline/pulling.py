"""What a pull prints, line by line as Docker does."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

from django.utils import timezone

from dashboard import gateway
from dashboard.catalog import services as catalog
from dashboard.commandline.console import Console, Interrupted
from dashboard.commandline.following import job_states
from dashboard.jobs import services as jobs
from dashboard.jobs.models import Job, JobState
from dashboard.jobs.services import JobFailed

ALREADY = "Already exists"
COMPLETE = "Pull complete"
UP_TO_DATE = "Image is up to date"


class PullReport:
    """Turns the states of one pull into frames. `to` is "out" for `pull`, "err" for `run`, as with Docker."""

    def __init__(self, console: Console, reference: gateway.Reference, *, to: str) -> None:
        self._console = console
        self._reference = reference
        self._to = to
        self._has_title = False
        self._shown: dict[str, dict[str, Any]] = {}

    async def say(self, text: str) -> None:
        await self._console.send({"t": self._to, "text": f"{text}\n"})

    async def show(self, job: Job) -> None:
        """Frames for what is new in a running job. Nothing while all that is known is here already: it may be that
        the image is up to date, and then Docker prints no layers.
        """
        lines = self._lines(job)
        if not lines or all(line["status"] == ALREADY for line in lines):
            return
        await self._layers(lines)

    def _lines(self, job: Job) -> list[dict[str, Any]]:
        progress = job.progress if isinstance(job.progress, dict) else {}
        return [line for line in progress.get("layers") or () if isinstance(line, dict)]

    async def _title(self) -> None:
        if not self._has_title:
            self._has_title = True
            which = self._reference.tag if self._reference.digest is None else str(self._reference.digest)
            await self.say(f"{which}: Pulling from {self._reference.path}")

    async def _layers(self, lines: list[dict[str, Any]]) -> None:
        await self._title()
        for line in lines:
            if self._shown.get(line["id"]) == line:
                continue
            if line["id"] not in self._shown and line["status"] == COMPLETE:
                await self._layer({**line, "status": "Pulling fs layer", "current": 0})
            self._shown[line["id"]] = line
            await self._layer(line)

    async def _layer(self, line: dict[str, Any]) -> None:
        await self._console.send(
            {
                "t": "progress",
                "to": self._to,
                "id": line["id"],
                "status": line["status"],
                "current": line.get("current", 0),
                "total": line.get("total", 0),
            }
        )

    async def end(self, job: Job) -> None:
        """The last lines of a pull that succeeded."""
        status = str(job.result.get("status", ""))
        await self._title()
        if not status.startswith(UP_TO_DATE):
            await self._layers(self._lines(job))
        await self.say(f"Digest: {job.result.get('digest', '')}")
        await self.say(f"Status: {status}")


async def pull(console: Console, text: str, *, platform: str, to: str, is_quiet: bool = False) -> gateway.Reference:
    """Pull, or join the pull that is under way, and show it to its end.

    Raises:
        ReferenceInvalid: a bad name.
        JobFailed: with the reason.
        Interrupted: Ctrl-C; a pull that this command began is cancelled, one that it joined goes on.
    """
    reference = await console.call(gateway.parse, text)
    began = timezone.now()
    job = await console.call(catalog.pull, text, user=console.user, platform=platform or None)
    report = PullReport(console, reference, to=to)
    is_ours = job.created_at >= began
    try:
        async with aclosing(job_states(console, job)) as states:
            async for state in states:
                job = state
                if job.is_live and not is_quiet:
                    await report.show(job)
    except Interrupted:
        if is_ours:
            await console.call(jobs.cancel, job, console.user)
        raise
    if job.state != JobState.SUCCEEDED:
        raise JobFailed(job)
    if not is_quiet:
        await report.end(job)
    return reference
