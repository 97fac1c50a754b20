"""One job in a worker, from claim to end.

The claim is one conditional UPDATE: of any number of messages about a job, in any number of workers, one wins (CEL-04).
From then on nothing is written unless the row still has our `fence`: a worker that was stopped for a minute and wakes
up finds that its job belongs to somebody else (F21).
"""

from __future__ import annotations

import errno
import logging
import random
from datetime import timedelta

from django.contrib.auth import get_user_model
from django.db import Error as DatabaseError
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from dashboard import gateway
from dashboard.core.errors import DashboardError
from dashboard.core.gate import allows
from dashboard.jobs import services, stopping
from dashboard.jobs.heart import beating
from dashboard.jobs.models import Job, JobState
from dashboard.jobs.queue import enqueue
from dashboard.jobs.registry import PARKED, Handler, Interrupted, JobContext, handlers

log = logging.getLogger(__name__)
FIRST_RETRY_S = 2.0
LONGEST_RETRY_S = 120.0
MOST_JITTER = 1.25
NO_ROOM = "This host gives Berth no more open files, processes or memory. Try again when it has room."
INTERNAL = "Berth made a mistake here. The log of its workers has the details."


def is_due() -> Q:
    """Of queued jobs. A pause that ends later than any pause can was written under another clock (F42)."""
    now = timezone.now()
    latest = now + timedelta(seconds=LONGEST_RETRY_S * MOST_JITTER)
    return Q(not_before=None) | Q(not_before__lte=now) | Q(not_before__gt=latest)


def claim(job_id: int, *, may_run: frozenset[str] | None = None) -> Job | None:
    """Make a queued job ours; None if there is none, it is not due yet, or somebody else has it."""
    now = timezone.now()
    with transaction.atomic():
        queued = Job.objects.filter(is_due(), pk=job_id, state=JobState.QUEUED)
        if may_run is not None:
            queued = queued.filter(queue__in=may_run)
        claimed = queued.update(
            state=JobState.RUNNING,
            fence=F("fence") + 1,
            attempts=F("attempts") + 1,
            started_at=now,
            heartbeat_at=now,
            updated_at=now,
            is_parked=False,
            error="",
            error_code="",
        )
        return Job.objects.select_related("requester").get(pk=job_id) if claimed else None


def run(job_id: int, *, may_run: frozenset[str] | None = None) -> None:
    """Do a job, if it is still to be done. Returns normally however the job ends."""
    job = claim(job_id, may_run=may_run)
    if job is None:
        return
    services._tell(job)
    chosen = handlers.get(job.kind)
    if chosen is None:
        services.fail(job, code="unknown-kind", message=f"No worker knows how to do '{job.kind}'.")
    elif may_run is not None and chosen.queue not in may_run:
        # A row is not trusted to say where it runs: the root worker must never do what is meant for the others.
        services.fail(job, code="wrong-queue", message=f"'{job.kind}' is not done by this worker.")
    elif refusal := _refusal(job, chosen):
        services.fail(job, code="denied", message=refusal)
    elif job.cancel_requested:
        services.end_cancelled(job)
    else:
        _work(JobContext(job), chosen)


def _refusal(job: Job, chosen: Handler) -> str:
    """Why the person who asked may not have this done any more, as it is now (CEL-02); "" if they may."""
    if job.is_system:
        return ""
    user = get_user_model().objects.filter(pk=job.requester_id).first() if job.requester_id else None
    if user is None:
        return "The person who asked for this has no account any more."
    if not user.is_active:
        return "The account that asked for this is no longer active."
    if chosen.permission is not None and not allows(user, chosen.permission, job):
        return "The person who asked for this may not do it any more."
    return ""


def _work(context: JobContext, chosen: Handler) -> None:
    try:
        with beating(context):
            outcome = chosen.run(context)
    except (gateway.Cancelled, Interrupted) as error:
        _interrupted(context, error)
    except gateway.EngineError as error:
        _failed(context, chosen, code=error.code, message=str(error), retryable=error.retryable)
    except DashboardError as error:
        _failed(context, chosen, code=error.code, message=str(error), retryable=False)
    except DatabaseError as error:
        log.exception("job %d (%s) met the database's trouble", context.job.pk, context.job.kind)
        _failed(context, chosen, code="database", message=f"The database did not answer: {error}", retryable=True)
    except Exception as error:  # a worker's edge: one job's mistake is not the others'
        if _is_starved(error):
            log.warning("job %d (%s) had no room on this host: %s", context.job.pk, context.job.kind, error)
            _failed(context, chosen, code="host-full", message=NO_ROOM, retryable=True)
        else:
            log.exception("job %d (%s) failed", context.job.pk, context.job.kind)
            services.fail(context.job, code="internal", message=INTERNAL)
    else:
        _done(context, outcome)


def _is_starved(error: Exception) -> bool:
    """Whether a worker of ours, or the host, has no more open files, processes or memory (F47)."""
    if isinstance(error, OSError):
        return error.errno in {errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM}
    return isinstance(error, RuntimeError) and "can't start new thread" in str(error)


def _done(context: JobContext, outcome: object) -> None:
    if outcome is PARKED:
        Job.objects.filter(pk=context.job.pk, fence=context.job.fence, state=JobState.RUNNING).update(is_parked=True)
        return
    result = context.result | (outcome if isinstance(outcome, dict) else {})
    services.finish(context.job, result=result or None, progress=context.last_progress)


def _interrupted(context: JobContext, error: Exception) -> None:
    job = context.job
    job.refresh_from_db(fields=["cancel_requested"])
    if stopping.is_asked() and not job.cancel_requested:
        put_back(job)
    elif not context.is_fenced:
        log.info("job %d (%s) was cancelled: %s", job.pk, job.kind, error)
        services.end_cancelled(job, progress=context.last_progress)


def put_back(job: Job, *, not_before_s: float = 0, why: str = "") -> bool:
    """QUEUED again, if it is still ours, with a new fence: what the old claim may still write is refused."""
    due = timezone.now() + timedelta(seconds=not_before_s) if not_before_s else None
    changed = Job.objects.filter(pk=job.pk, fence=job.fence, state=JobState.RUNNING).update(
        state=JobState.QUEUED,
        fence=F("fence") + 1,
        not_before=due,
        heartbeat_at=None,
        enqueued_at=None,
        is_parked=False,
        error=why,
        updated_at=timezone.now(),
    )
    if changed:
        job.refresh_from_db()
        services._tell(job)
        if due is None:
            enqueue(job)
    return bool(changed)


def _failed(context: JobContext, chosen: Handler, *, code: str, message: str, retryable: bool) -> None:
    job = context.job
    if retryable and job.attempts <= chosen.retries and not job.cancel_requested:
        pause_s = min(FIRST_RETRY_S * 2 ** (job.attempts - 1), LONGEST_RETRY_S) * random.uniform(1, MOST_JITTER)  # noqa: S311
        if put_back(job, not_before_s=pause_s, why=message):
            log.info("job %d (%s) is tried again in %.0f s: %s", job.pk, job.kind, pause_s, message)
        return
    services.fail(job, code=code, message=message, progress=context.last_progress)
