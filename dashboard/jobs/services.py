"""Asking for work, waiting for it, cancelling it, ending it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from channels.db import database_sync_to_async
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from dashboard.audit import services as audit
from dashboard.core.errors import DashboardError
from dashboard.core.events import publish
from dashboard.core.gate import Permission, Requester, require
from dashboard.jobs.models import LIVE_STATES, Job, JobState
from dashboard.jobs.queue import enqueue
from dashboard.jobs.registry import event_of, handlers

FIRST_LOOK_S = 0.01
LONGEST_LOOK_S = 0.25
JOIN_ATTEMPTS = 5
_SUBJECTS = ("container_id", "reference", "name", "volume", "network_id", "exec_id")


def submit(
    kind: str,
    params: dict[str, Any],
    *,
    requester: Requester,
    key: str = "",
    parent: Job | None = None,
    queue: str | None = None,
    team_id: int | None = None,
) -> Job:
    """Make a job and send its message when the transaction commits; or join the live job that has this `key`.

    `team_id`: whose job it is; a part's is that of `parent`. `requester` is answerable: the job is refused when that person may not do it any more; None means Berth itself. Without
    `queue` it is that of the kind's handler.

    Returns:
        The job. It may have begun, or even ended, by the time the caller looks.
    """
    fields = {
        "kind": kind,
        "params": params,
        "requester_id": getattr(requester, "pk", None),
        "is_system": requester is None,
        "key": key,
        "parent": parent,
        "team_id": parent.team_id if parent is not None else team_id,
        "queue": queue or (handlers[kind].queue if kind in handlers else "images"),
    }
    for _ in range(JOIN_ATTEMPTS):
        if key and (live := _live(key)) is not None:
            return live
        try:
            with transaction.atomic():
                job = Job.objects.create(**fields)
                if requester is not None and parent is None:
                    audit.record(
                        kind.replace("_", "-"),
                        requester,
                        target=_subject(params),
                        team_id=job.team_id,
                        parameters=params,
                    )
        except IntegrityError:
            if not key:
                raise
            continue  # somebody was faster: join theirs
        transaction.on_commit(lambda job=job: _announce(job))  # type: ignore[misc]  # bound at once
        return job
    msg = f"the key {key!r} changes hands too fast"
    raise RuntimeError(msg)


def _subject(params: dict[str, Any]) -> str:
    """What a job is about, as its parameters name it; "" when they name nothing."""
    return next((str(params[name]) for name in _SUBJECTS if params.get(name)), "")


def _live(key: str) -> Job | None:
    return Job.objects.filter(key=key, state__in=LIVE_STATES, cancel_requested=False).first() or _dying(key)


def _dying(key: str) -> Job | None:
    """A live job that is being cancelled still owns its key: whoever asks meanwhile gets that one."""
    return Job.objects.filter(key=key, state__in=LIVE_STATES).first()


def _announce(job: Job) -> None:
    publish("jobs", event_of(job))
    enqueue(job)


def cancel(job: Job, user: Requester) -> bool:
    """Ask a job to stop. A queued one ends at once, a running one at its next look, with everything undone.

    Returns:
        False when it had ended already; nothing changes then.

    Raises:
        Denied: `user` may not.
    """
    require(user, Permission.JOB_CANCEL, job)
    return request_cancel(job)


def request_cancel(job: Job) -> bool:
    """As `cancel`, by Berth itself: nobody is there any more for whom it was."""
    with transaction.atomic():
        asked = Job.objects.filter(pk=job.pk, state__in=LIVE_STATES).update(cancel_requested=True)
        queued = Job.objects.filter(pk=job.pk, state=JobState.QUEUED).first() if asked else None
    if queued is not None:
        end_cancelled(queued)
    elif asked:
        job.refresh_from_db()
        _tell(job)
    return bool(asked)


def finish(job: Job, *, result: dict[str, Any] | None = None, progress: dict[str, Any] | None = None) -> bool:
    """SUCCEEDED, if this is still the claim it was (`fence`). Fields that are None stay. Says whether it did."""
    return _end(job, JobState.SUCCEEDED, result=result, progress=progress)


def fail(job: Job, *, code: str, message: str, progress: dict[str, Any] | None = None) -> bool:
    """FAILED with one plain sentence, if this is still the claim it was. Says whether it did."""
    return _end(job, JobState.FAILED, error_code=code, error=message, progress=progress)


def end_cancelled(job: Job, *, progress: dict[str, Any] | None = None) -> bool:
    """CANCELLED, if this is still the claim it was. Says whether it did."""
    return _end(job, JobState.CANCELLED, error_code="cancelled", error="Cancelled.", progress=progress)


def _end(job: Job, state: JobState, **fields: Any) -> bool:  # values of the row's columns
    changes = {name: value for name, value in fields.items() if value is not None}
    changes |= {"state": state, "finished_at": timezone.now(), "updated_at": timezone.now(), "is_parked": False}
    if not Job.objects.filter(pk=job.pk, fence=job.fence, state__in=LIVE_STATES).update(**changes):
        return False
    for name, value in changes.items():
        setattr(job, name, value)
    _tell(job)
    return True


def _tell(job: Job) -> None:
    event = event_of(job)
    publish(f"job.{job.pk}", event)
    publish("jobs", event)


def ended(job_id: int) -> Job | None:
    """The job if it has ended."""
    return Job.objects.filter(Q(pk=job_id) & ~Q(state__in=LIVE_STATES)).first()


def wait(job_id: int, timeout_s: float) -> Job | None:
    """The job once it has ended; None when it has not by then. Looks at the row: events may be lost."""
    deadline = time.monotonic() + timeout_s
    pause_s = FIRST_LOOK_S
    while (job := ended(job_id)) is None and time.monotonic() < deadline:
        time.sleep(min(pause_s, max(deadline - time.monotonic(), 0)))
        pause_s = min(pause_s * 1.3, LONGEST_LOOK_S)
    return job


class JobFailed(DashboardError):
    """A job that somebody waited for did not succeed. `code` is the job's."""

    def __init__(self, job: Job) -> None:
        super().__init__(job.error or "The work was cancelled.", 409)
        self.code = job.error_code


def outcome(job: Job, timeout_s: float) -> Job | None:
    """As `wait`, for who says at once how it went.

    Raises:
        JobFailed: it has ended, and not well.
    """
    ended_job = wait(job.pk, timeout_s)
    if ended_job is not None and ended_job.state != JobState.SUCCEEDED:
        raise JobFailed(ended_job)
    return ended_job


async def await_job(job_id: int, timeout_s: float | None = None) -> Job | None:
    """As `wait`, in a coroutine; without a time-out it waits for as long as it takes."""
    deadline = time.monotonic() + timeout_s if timeout_s is not None else float("inf")
    pause_s = FIRST_LOOK_S
    look: Callable[[int], Awaitable[Job | None]] = database_sync_to_async(ended)
    while (job := await look(job_id)) is None and time.monotonic() < deadline:
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 1.3, LONGEST_LOOK_S)
    return job
