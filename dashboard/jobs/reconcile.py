"""Repairing what crashes and lost messages leave behind. The engine worker's clock calls it; all of it may run at any time.

- QUEUED without a message (F01, CEL-05): sent again. Whether messages were lost is seen by counting: fewer messages in a
  queue than queued rows for it. A message too many costs one failed claim.
- RUNNING without a heartbeat (F12, F21): back to QUEUED with a new fence; after a few such ends it fails, so that a job
  that kills its worker does not do so for ever. A heartbeat in the future is of a clock that was set back (F42).
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db.models import Q
from django.utils import timezone
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from dashboard.core import clock
from dashboard.jobs import services
from dashboard.jobs.models import LIVE_STATES, Job, JobState
from dashboard.jobs.queue import QUEUES, enqueue, waiting_messages
from dashboard.jobs.runner import is_due, put_back

log = logging.getLogger(__name__)
STALE_S = 30
MESSAGE_GRACE_S = 4
MOST_CLAIMS = 5
BATCH = 200
KEPT_DAYS = 30


@clock.every(2.0, name="jobs")
def reconcile() -> None:
    revive_stale()
    resend_lost()


@clock.on_jump
def move_along(by: timedelta) -> None:
    """What works goes on, what waits waits as long as it was to, and what is lost is found as soon as ever (F42)."""
    live = Job.objects.filter(state__in=LIVE_STATES)
    clock.move_along(live, "heartbeat_at", "not_before", "enqueued_at", "updated_at", by=by)


def revive_stale() -> int:
    """Put jobs whose worker is gone back in the queue; parked ones have no worker and are left alone."""
    now, grace = timezone.now(), timedelta(seconds=STALE_S)
    is_stale = Q(heartbeat_at=None) | Q(heartbeat_at__lt=now - grace) | Q(heartbeat_at__gt=now + grace)
    running = Job.objects.filter(is_stale, state=JobState.RUNNING, is_parked=False)
    return sum(_revive(job) for job in running[:BATCH])


def revive_queue(queue: str) -> int:
    """At the start of the only worker of a queue: whatever is RUNNING there belonged to a dead one."""
    return sum(_revive(job) for job in Job.objects.filter(state=JobState.RUNNING, is_parked=False, queue=queue)[:BATCH])


def _revive(job: Job) -> bool:
    if job.cancel_requested:
        return services.end_cancelled(job)
    if job.attempts >= MOST_CLAIMS:
        return services.fail(
            job, code="worker-lost", message=f"Its worker was lost {job.attempts} times; Berth gave up on it."
        )
    log.warning("job %d (%s) lost its worker; it is queued again", job.pk, job.kind)
    return put_back(job)


def resend_lost() -> int:
    return sum(_resend(queue) for queue in QUEUES)


def _resend(queue: str) -> int:
    now = timezone.now()
    due = Job.objects.filter(is_due(), queue=queue, state=JobState.QUEUED)
    old = now - timedelta(seconds=MESSAGE_GRACE_S)
    unsent = list(
        due.filter(
            Q(enqueued_at__lt=old) | Q(enqueued_at=None, updated_at__lt=old) | Q(enqueued_at=None, attempts__gt=0)
        ).order_by("pk")[:BATCH]
    )
    if not unsent:
        return 0
    try:
        if waiting_messages(queue) >= due.count():
            return 0
    except (KombuError, RedisError, OSError) as error:
        log.warning("Redis does not answer; %d jobs wait: %s", len(unsent), error)
        return 0
    return sum(enqueue(job) for job in unsent)


@clock.every(3600.0, name="old jobs")
def forget_old() -> None:
    """Remove jobs that ended a month ago, a batch at a time."""
    limit = timezone.now() - timedelta(days=KEPT_DAYS)
    old = Job.objects.filter(finished_at__lt=limit).exclude(state__in=LIVE_STATES).values_list("pk", flat=True)[:BATCH]
    Job.objects.filter(pk__in=list(old)).delete()
