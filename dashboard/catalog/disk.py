"""How much of the disk a team's images take, for quotas: files of layers, each once, and what live pulls are about to write.

Rows are the reservations (ADR 24): a pull's layers count from the moment they are known, by the size of their blobs, and by that
of their files once these are there.
"""

from __future__ import annotations

from typing import Final

from dashboard.catalog.models import PULL, ImageHolder, ImageLayer, LayerState, PullLayer, team_of
from dashboard.jobs.models import LIVE_STATES, Job
from dashboard.quotas import services as quotas
from dashboard.quotas import usage
from dashboard.teams.models import main_team_id

KIND: Final = "image_bytes"


def _held(team_id: int | None, person_id: int | None) -> dict[int, int]:
    holders = ImageHolder.objects.all()
    if team_id is not None:
        holders = holders.filter(team_id=team_id)
    if person_id is not None:
        holders = holders.filter(person_id=person_id)
    links = ImageLayer.objects.filter(image__in=holders.values("image_id"))
    return dict(links.values_list("layer_id", "layer__file_bytes"))


def _coming(team_id: int | None, person_id: int | None) -> dict[int, int]:
    rows = PullLayer.objects.filter(job__kind=PULL, job__state__in=LIVE_STATES)
    if person_id is not None:
        rows = rows.filter(job__requester_id=person_id)
    main = main_team_id() if team_id is not None else None
    found = rows.values_list("layer_id", "layer__state", "layer__file_bytes", "size_bytes", "job__team_id")
    return {
        layer: file_bytes if state == LayerState.READY else blob_bytes
        for layer, state, file_bytes, blob_bytes, whose in found
        if team_id is None or (whose or main) == team_id
    }


def used_bytes(team_id: int | None, person_id: int | None) -> int:
    """Of that team, of that person's in it, or (no team) of that person's everywhere."""
    return sum((_coming(team_id, person_id) | _held(team_id, person_id)).values())


def hold(job: Job) -> None:
    """Refuse a pull whose layers, which count already, are too much. In the transaction that wrote them down.

    Raises:
        QuotaRefused: 403.
    """
    team_id = team_of(job)
    held = _held(team_id, None)
    coming = {layer: size for layer, size in _coming(team_id, None).items() if layer not in held}
    own = set(job.pull_layers.values_list("layer_id", flat=True))
    needed = sum(size for layer, size in coming.items() if layer in own)
    quotas.hold(team_id, job.requester_id, {KIND: needed})


def register() -> None:
    """At start."""
    usage.register(KIND, used_bytes)
