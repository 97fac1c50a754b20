"""What the engine worker's clock does for networks."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.utils import timezone

from dashboard import gateway
from dashboard.core import clock
from dashboard.jobs.models import LIVE_STATES, Job
from dashboard.networks import services
from dashboard.networks.models import Network, NetworkState

log = logging.getLogger(__name__)
GRACE = timedelta(seconds=10)
_reported: set[int] = set()


@clock.every(5.0, name="networks")
def resubmit_removals() -> None:
    """A removal that no job is at work on any more is asked for again (F20)."""
    rows = list(Network.objects.filter(state=NetworkState.REMOVING, updated_at__lt=timezone.now() - GRACE))
    if not rows:
        return
    live = set(Job.objects.filter(kind=services.REMOVE, state__in=LIVE_STATES).values_list("key", flat=True))
    for row in rows:
        if services.key_of(row) not in live:
            services.submit_removal(row, None)


@clock.every(60.0, name="networks without a row")
def remove_unknown() -> None:
    """A bridge that no row knows holds nothing, so it goes, unless a container is on it (F25)."""
    known = set(Network.objects.exclude(number=None).values_list("number", flat=True))
    for number in sorted(gateway.engine().networks.known() - known - _reported):
        try:
            gateway.engine().networks.remove(number)
            log.warning("a network without a row is removed: number %d", number)
        except gateway.EngineError as error:
            _reported.add(number)
            log.warning("the network number %d has no row; it is left alone: %s", number, error)
