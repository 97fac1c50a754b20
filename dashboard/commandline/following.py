"""Following what workers do: by events, and by a look at the row every second, since events can be lost."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from dashboard.commandline.console import Console
from dashboard.containers.models import Container, ContainerState
from dashboard.containers.states import DOWN
from dashboard.jobs.models import Job, JobState
from dashboard.jobs.services import JobFailed

LOOK_S = 1.0


def _job(pk: int) -> Job:
    return Job.objects.get(pk=pk)


async def job_states(console: Console, job: Job) -> AsyncGenerator[Job, None]:
    """The job each time that something about it is new; last as it ended.

    Raises:
        Interrupted: at Ctrl-C. The job goes on.
    """
    async with console.following(f"job.{job.pk}") as feed:
        job = await console.call(_job, job.pk)
        yield job
        while job.is_live:
            payload = await feed.next(LOOK_S)
            if payload is not None and payload.get("state") in {JobState.QUEUED, JobState.RUNNING}:
                job.progress = payload.get("progress") or job.progress
            else:
                job = await console.call(_job, job.pk)
            yield job


async def finished(console: Console, job: Job | None) -> Job | None:
    """Wait for a job's end.

    Raises:
        JobFailed: with its reason.
        Interrupted: at Ctrl-C. The job goes on.
    """
    if job is None:
        return None
    async with aclosing(job_states(console, job)) as states:
        async for state in states:
            job = state
    if job.state != JobState.SUCCEEDED:
        raise JobFailed(job)
    return job


def _row(pk: int) -> Container | None:
    return Container.objects.filter(pk=pk).first()


async def until_down(console: Console, container: Container) -> Container | None:
    """Wait until it does not run. None: it was removed.

    Raises:
        Interrupted: at Ctrl-C.
    """
    async with console.following(f"container.{container.container_id}") as feed:
        while True:
            row = await console.call(_row, container.pk)
            if row is None or row.state in DOWN:
                return row
            payload = await feed.next(LOOK_S) or {}
            if payload.get("state") == "removed":
                return None
            if payload.get("state") == ContainerState.EXITED:  # it may be starting again by now
                row.exit_code = payload.get("exit_code")
                return row


async def until_gone(console: Console, container: Container, *, looks: int) -> bool:
    """Wait until its row is gone, for about `looks` seconds. Whether it is."""
    async with console.following(f"container.{container.container_id}") as feed:
        for _ in range(looks * 5):
            if await console.call(_row, container.pk) is None:
                return True
            await feed.next(LOOK_S / 5)
    return False
