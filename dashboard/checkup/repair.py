"""Mending: all that the clock does anyway, now, and in one go. There is no other way of mending anything."""

from __future__ import annotations

import logging

from dashboard.catalog import ticks as catalog
from dashboard.containers import execreconcile, reconcile
from dashboard.containers.models import Container
from dashboard.jobs import reconcile as jobs
from dashboard.networks import ticks as networks
from dashboard.transfers import services as transfers
from dashboard.volumes import ticks as volumes

log = logging.getLogger(__name__)


def repair() -> None:
    """Each part whatever becomes of the others: what cannot be mended is found again by the look that follows."""
    parts = (
        jobs.reconcile,
        lambda: reconcile.sweep(set(Container.with_trash.values_list("container_id", flat=True))),
        reconcile.reconcile,
        execreconcile.reconcile,
        execreconcile.sweep,
        reconcile.mend_network,
        volumes.resubmit_removals,
        volumes.release_restored,
        networks.resubmit_removals,
        networks.remove_unknown,
        catalog.tend_pulls,
        catalog.sweep_files,
        transfers.sweep,
    )
    for part in parts:
        try:
            part()
        except Exception:  # one part's trouble is not the others'
            log.exception("a part of the repair failed")
