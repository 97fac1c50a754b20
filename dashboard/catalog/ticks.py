"""What the engine worker's clock does for the catalog."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from dashboard import gateway
from dashboard.catalog import pulls
from dashboard.catalog.handlers import REMOVE_LAYERS, unused_layers
from dashboard.catalog.models import Layer, LayerState
from dashboard.core import clock
from dashboard.jobs import services as jobs
from dashboard.jobs.models import LIVE_STATES, Job

GRACE = timedelta(hours=1)


@clock.every(2.0, name="parked pulls")
def tend_pulls() -> None:
    pulls.tend()


@clock.every(600.0, name="unused layers")
def collect_unused_layers() -> None:
    """Layers that a failed or cancelled pull left READY, after a time in which it may be asked for again."""
    old = Layer.objects.filter(
        unused_layers(), state=LayerState.READY, updated_at__lt=timezone.now() - GRACE
    ).values_list("pk", flat=True)
    if found := list(old[:500]):
        jobs.submit(REMOVE_LAYERS, {"layers": found}, requester=None, key="collect-layers", queue="engine")


@clock.every(600.0, name="left-over files")
def sweep_files() -> None:
    """What killed workers left under incoming/ and ingest/, after a time in which it may be taken up again."""
    grace_s = GRACE.total_seconds()
    gateway.sweep_incoming(older_than_s=grace_s, kept=_worked_on())
    gateway.sweep_ingest(older_than_s=grace_s)


def left_over() -> dict[str, list[str]]:
    """Names of files, by folder, that should have gone: nobody is at work on them, and `sweep_files` has been round."""
    late_s = (GRACE * 2).total_seconds()
    incoming = gateway.abandoned_incoming(older_than_s=late_s, kept=_worked_on())
    ingest = gateway.abandoned_ingest(older_than_s=late_s)
    return {"incoming": [path.name for path in incoming], "ingest": [path.name for path in ingest]}


def _worked_on() -> set[str]:
    """Hex digits of the layers that somebody writes or takes over."""
    adopting = Layer.objects.filter(state=LayerState.ADOPTING).values_list("diff_id", flat=True)
    wanted = Layer.objects.filter(pulls__job__state__in=LIVE_STATES).values_list("diff_id", flat=True)
    working = Job.objects.filter(kind__in=[pulls.EXTRACT, pulls.ADOPT], state__in=LIVE_STATES)
    written = [key.partition(":")[2] for key in working.values_list("key", flat=True)]
    return {diff_id.rpartition(":")[2] for diff_id in (*adopting, *wanted, *written)}
