"""The pulls that the catalog shows above its list: those that run, and the newest that failed.

A failed one is seen for a quarter of an hour, until the same was asked for again, or until the person has dismissed it:
that is remembered in the session, so that it stays for everybody else. All of them stand in Activity.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.contrib.sessions.backends.base import SessionBase
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from dashboard.catalog.listing import PullCard, pull_card
from dashboard.catalog.models import PULL
from dashboard.core.gate import Requester
from dashboard.jobs.models import LIVE_STATES, Job, JobState
from dashboard.teams import scope

SHOWN_FOR = timedelta(minutes=15)
FAILED_SHOWN = 2
LIVE_SHOWN = 20
_DISMISSED = "dismissed-pulls"
_REMEMBERED = 100


@dataclass(frozen=True, slots=True)
class RecentPulls:
    live: list[PullCard]
    failed: list[PullCard]
    more_failed: int


def recent_pulls(session: SessionBase, user: Requester) -> RecentPulls:
    live = _pulls(user).filter(state__in=LIVE_STATES)[:LIVE_SHOWN]
    asked_again = Job.objects.filter(kind=PULL, key=OuterRef("key"), created_at__gt=OuterRef("created_at"))
    failed = (
        _pulls(user)
        .filter(~Exists(asked_again), state=JobState.FAILED, finished_at__gte=timezone.now() - SHOWN_FOR)
        .exclude(pk__in=session.get(_DISMISSED, []))
    )
    newest = failed[:FAILED_SHOWN]
    return RecentPulls(
        [pull_card(job) for job in live], [pull_card(job) for job in newest], failed.count() - len(newest)
    )


def _pulls(user: Requester) -> QuerySet[Job]:
    return (
        scope.here(user, Job.objects.filter(kind=PULL), shared=scope.is_site_admin(user))
        .select_related("requester")
        .order_by("-created_at")
    )


def dismiss(session: SessionBase, job: Job) -> None:
    """Show this pull no more to whoever has this session."""
    before = [pk for pk in session.get(_DISMISSED, []) if pk != job.pk]
    session[_DISMISSED] = [*before, job.pk][-_REMEMBERED:]
