"""How far layers are: written by whoever extracts them, read into the pulls that want them.

The freshest state of a layer stands in the cache for a minute; a pull's row gets it at most once a second, its
watchers every 100 ms. Losing the cache loses nothing but smoothness.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from django.core.cache import cache
from redis.exceptions import RedisError

from dashboard.catalog.models import Layer, PullLayer
from dashboard.catalog.pulls import layer_states, live_pulls_of, rows_of
from dashboard.core.events import publish
from dashboard.jobs.models import Job, JobState
from dashboard.jobs.registry import event_of

log = logging.getLogger(__name__)
EVENT_S = 0.1
ROW_S = 1.0
KEPT_S = 60


def _key(layer_id: int) -> str:
    return f"layer-progress:{layer_id}"


def _remember(layer_id: int, line: dict[str, Any]) -> None:
    try:
        cache.set(_key(layer_id), line, KEPT_S)
    except (RedisError, OSError):  # without Redis a pull goes on; only what is shown of it is older
        log.debug("progress is not cached", exc_info=True)


def _remembered(layer_ids: list[int]) -> dict[int, dict[str, Any]]:
    try:
        found = cache.get_many([_key(pk) for pk in layer_ids])
    except (RedisError, OSError):
        return {}
    return {pk: line for pk in layer_ids if isinstance(line := found.get(_key(pk)), dict)}


def show_pull(job: Job, *, to_row: bool, rows: list[PullLayer] | None = None) -> None:
    """Tell the watchers of a pull, and with `to_row` its row, how far each layer is."""
    rows = rows_of(job) if rows is None else rows
    progress = {
        "phase": "layers",
        "digest": (job.result.get("resolved") or {}).get("digest", ""),
        "layers": layer_states(job, _remembered([row.layer_id for row in rows]), rows=rows),
    }
    if to_row:
        Job.objects.filter(pk=job.pk, state=JobState.RUNNING).update(progress=progress)
    publish(f"job.{job.pk}", event_of(job, progress=progress))


class LayerReport:
    """Called with each step of one layer; passes on as much as watchers can use.

    Which pulls want the layer, and how their other layers stand, is looked up once a second: the calls between cost no
    database.
    """

    def __init__(self, layer: Layer, source: PullLayer) -> None:
        self._layer = layer
        self._source = source
        self._event_at = self._row_at = float("-inf")
        self._status = ""
        self._pulls: list[tuple[Job, list[PullLayer]]] = []

    def __call__(self, status: str, current: int, total: int) -> None:
        now = time.monotonic()
        is_new_status = status != self._status
        if not is_new_status and now - self._event_at < EVENT_S:
            return
        self._event_at, self._status = now, status
        _remember(self._layer.pk, {"status": status, "current": current, "total": total or self._source.size_bytes})
        to_row = is_new_status or now - self._row_at >= ROW_S
        if to_row:
            self._row_at = now
            self._pulls = [(job, rows_of(job)) for job in live_pulls_of(self._layer)]
        for job, rows in self._pulls:
            show_pull(job, to_row=to_row, rows=rows)
