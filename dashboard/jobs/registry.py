"""What workers can do: a handler for each kind of job. Apps register theirs when they are loaded (`AppConfig.ready`).

    @handler("pull_image", queue="images", permission=Permission.IMAGE_PULL)
    def pull_image(context: JobContext) -> object: ...

A handler must be idempotent: after a crash it runs again from its beginning. It returns a dictionary for `Job.result`,
nothing, or `PARKED` when other jobs will finish it. It calls `context.cancelled()` often and raises `Cancelled` (the
engine's, or `Interrupted` of here) when that says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from django.db import Error as DatabaseError

from dashboard.core.events import publish
from dashboard.core.gate import Permission
from dashboard.jobs import stopping
from dashboard.jobs.models import Job, JobState

ROW_EVERY_S = 1.0
EVENT_EVERY_S = 0.1
LOOK_EVERY_S = 0.5
PARKED: Final = object()


class Interrupted(Exception):
    """Raised by handlers that noticed `context.cancelled()` and have undone what they began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """`permission`: asked again of the requester when the job starts, about the job: its team decides. `retries`: after retryable errors."""

    kind: str
    queue: str
    run: Callable[[JobContext], object]
    permission: Permission | None = None
    retries: int = 2


handlers: dict[str, Handler] = {}


def handler(
    kind: str, *, queue: str, permission: Permission | None = None, retries: int = 2
) -> Callable[[Callable[[JobContext], object]], Callable[[JobContext], object]]:
    def register(run: Callable[[JobContext], object]) -> Callable[[JobContext], object]:
        handlers[kind] = Handler(kind=kind, queue=queue, run=run, permission=permission, retries=retries)
        return run

    return register


class JobContext:
    """What a handler gets. `job` is the row as it was claimed; every write of ours is conditional on its `fence`."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.params: dict[str, Any] = dict(job.params)
        self.result: dict[str, Any] = {}
        self.last_progress: dict[str, Any] | None = None
        self.is_fenced = False
        self.is_cancel_requested = job.cancel_requested
        self._looked_at = time.monotonic()
        self._row_at = self._event_at = float("-inf")

    def cancelled(self) -> bool:
        """Whether to stop: somebody asked for it, the worker ends, or another worker has the job. Cheap: call it often."""
        if self.is_fenced or self.is_cancel_requested or stopping.is_asked():
            return True
        now = time.monotonic()
        if now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = now
            self._look()
        return self.is_fenced or self.is_cancel_requested

    def _look(self) -> None:
        try:
            found = Job.objects.filter(pk=self.job.pk).values_list("cancel_requested", "fence", "state").first()
        except DatabaseError:
            return  # busy: the next look comes soon
        if found is None or found[1] != self.job.fence or found[2] != JobState.RUNNING:
            self.is_fenced = True
        elif found[0]:
            self.is_cancel_requested = True

    def progress(self, progress: dict[str, Any]) -> None:
        """Say how far it is: watchers hear it at most every 100 ms, the row gets it at most once a second."""
        self.last_progress = progress
        now = time.monotonic()
        if now - self._event_at >= EVENT_EVERY_S:
            self._event_at = now
            publish(f"job.{self.job.pk}", event_of(self.job, progress=progress))
        if now - self._row_at >= ROW_EVERY_S:
            self._row_at = now
            Job.objects.filter(pk=self.job.pk, fence=self.job.fence, state=JobState.RUNNING).update(progress=progress)


def event_of(job: Job, *, progress: dict[str, Any] | None = None) -> dict[str, Any]:
    """What watchers of `job.<id>` and `jobs` get."""
    return {
        "t": "job",
        "id": job.pk,
        "team": job.team_id,
        "kind": job.kind,
        "state": str(job.state),
        "progress": job.progress if progress is None else progress,
        "error": job.error,
    }
