"""What the engine worker's clock does for volumes."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.utils import timezone

from dashboard import gateway
from dashboard.core import clock
from dashboard.jobs.models import LIVE_STATES, Job
from dashboard.volumes import services
from dashboard.volumes.models import Volume, VolumeState

log = logging.getLogger(__name__)
GRACE = timedelta(seconds=10)
_reported: set[str] = set()


@clock.every(5.0, name="volumes")
def resubmit_removals() -> None:
    """A removal that no job is at work on any more is asked for again (F20)."""
    rows = list(Volume.objects.filter(state=VolumeState.REMOVING, updated_at__lt=timezone.now() - GRACE))
    if not rows:
        return
    live = set(Job.objects.filter(kind=services.REMOVE, state__in=LIVE_STATES).values_list("key", flat=True))
    for row in rows:
        if services.key_of(row) not in live:
            services.submit_removal(row, None)


@clock.every(5.0, name="restored volumes")
def release_restored() -> None:
    """A restore that no job is at work on any more (refused, cancelled, its worker lost) has left the volume as it was."""
    rows = list(Volume.objects.filter(state=VolumeState.RESTORING, updated_at__lt=timezone.now() - GRACE))
    if not rows:
        return
    live = set(Job.objects.filter(kind=services.RESTORE, state__in=LIVE_STATES).values_list("key", flat=True))
    for row in rows:
        if services.key_of(row, services.RESTORE) not in live:
            services.mark(row, VolumeState.READY)


@clock.every(600.0, name="volumes without a row")
def report_unknown() -> None:
    """A folder that no row knows is left alone and reported once: the database may be the older of the two (F25).

    Making a volume of that name in the main team gives its files back.
    """
    on_disk = gateway.engine().list_volumes()
    known = set(Volume.objects.filter(key__in=on_disk).values_list("key", flat=True))
    for name in sorted(on_disk - known - _reported):
        log.warning("the volume %s has no row; it is left alone", name)
    _reported.update(on_disk - known)
