"""The life of a pull, between its jobs.

    pull_image     resolve; rows for layers; an extract_layer job for each that is not READY; park
    extract_layer  fetch, verify, write under incoming/; then adopt_layer
    adopt_layer    (engine worker) takes the file over; READY; `advance` every parked pull that waits for it
    prove_layer    fetch and verify a layer that is here, but that this pull's team has not seen yet (REG-11)

A layer is written once however many pulls want it: the key of its job joins them. Its work goes on while one live pull
wants it. A pull is finished in one transaction: image, its layers, tag, job; until then nothing of it can be seen.
`tend` (a tick of the engine worker's clock) repairs what a killed worker or a lost message left.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from dashboard import gateway
from dashboard.catalog import disk
from dashboard.catalog.models import (
    PULL,
    Image,
    ImageHolder,
    ImageLayer,
    Layer,
    LayerState,
    PullLayer,
    Tag,
    team_of,
)
from dashboard.core.events import publish
from dashboard.history.models import EventType
from dashboard.history.services import record
from dashboard.jobs import services as jobs
from dashboard.jobs.models import LIVE_STATES, Job, JobState
from dashboard.quotas.services import QuotaRefused

EXTRACT = "extract_layer"
ADOPT = "adopt_layer"
PROVE = "prove_layer"
UP_TO_DATE = "Image is up to date for"
DOWNLOADED = "Downloaded newer image for"


def live_pulls_of(layer: Layer) -> QuerySet[Job]:
    """Pulls that still want this layer. They are its lease: it is not removed while there is one."""
    wanting = Job.objects.filter(pull_layers__layer=layer, kind=PULL, state__in=LIVE_STATES, cancel_requested=False)
    return wanting.distinct()


def is_wanted(job_id: int) -> bool:
    return Job.objects.filter(pk=job_id, state__in=LIVE_STATES, cancel_requested=False).exists()


def layer_key(diff_id: str) -> str:
    return f"layer:{diff_id}"


def adopt_key(diff_id: str) -> str:
    return f"adopt:{diff_id}"


def _prove_key(row: PullLayer) -> str:
    return f"prove:{row.pk}"


def record_layers(job: Job, resolved: gateway.ResolvedImage, first_id: int = 0) -> list[PullLayer]:
    """Rows for a resolved image's layers, bottom first. A pull that starts over replaces its own.

    Where layers must be written with owners from `first_id` on, one that was not is written again: beside the old file,
    which older containers go on with.
    """
    with transaction.atomic():
        job.pull_layers.all().delete()
        rows = []
        for position, found in enumerate(resolved.layers):
            layer, is_new = Layer.objects.get_or_create(diff_id=str(found.diff_id))
            if first_id and layer.first_id != first_id:
                Layer.objects.filter(pk=layer.pk, state=LayerState.READY).update(state=LayerState.MISSING)
                layer.refresh_from_db()
            row = PullLayer(
                job=job,
                layer=layer,
                position=position,
                digest=str(found.digest),
                media_type=found.media_type,
                size_bytes=found.size_bytes,
                is_proven=not is_new and layer.state == LayerState.READY and _has_seen(layer, team_of(job)),
            )
            rows.append(row)
        return PullLayer.objects.bulk_create(rows)


def _has_seen(layer: Layer, team_id: int) -> bool:
    """Whether this team could read the layer anyway: it is everybody's, or in an image that the team holds."""
    if layer.is_public:
        return True
    return Image.objects.filter(layers=layer, holders__team_id=team_id).exists()


def source_of(row: PullLayer) -> str:
    """Where it comes from. Who may read a manifest of a repository may read the blobs that it lists."""
    registry, repository = repository_of(row.job)
    return f"{registry}/{repository}@{row.digest}"


def note_written(row: PullLayer) -> None:
    """The pull's registry has just given the layer: proof for it, for its team's other pulls, and for whoever found the
    same blob in the same repository; without credentials, for everybody.
    """
    source = source_of(row)
    is_public = bool((_resolved(row.job) or {}).get("is_public"))
    Layer.objects.filter(pk=row.layer_id).update(source=source, **({"is_public": True} if is_public else {}))
    PullLayer.objects.filter(layer_id=row.layer_id, job__team_id=row.job.team_id).update(is_proven=True)


def _prove_here(row: PullLayer) -> bool:
    """Whether the row's layer is proven, by itself or by what has happened meanwhile."""
    if not row.is_proven and (row.layer.source == source_of(row) or _has_seen(row.layer, team_of(row.job))):
        row.is_proven = True
        PullLayer.objects.filter(pk=row.pk).update(is_proven=True)
    return row.is_proven


def request_layer(row: PullLayer) -> Job | None:
    """An extract_layer or prove_layer job for this layer, or the one that is under way; None when there is nothing to do."""
    row.layer.refresh_from_db(fields=["state", "source", "is_public"])
    if row.layer.state == LayerState.READY:
        if _prove_here(row):
            return None
        return jobs.submit(
            PROVE,
            {"pull_layer": row.pk},
            requester=row.job.requester,
            key=_prove_key(row),
            parent=row.job,
            queue="layers",
        )
    adopting = Job.objects.filter(kind=ADOPT, key=adopt_key(row.layer.diff_id), state__in=LIVE_STATES).first()
    if adopting is not None:
        return adopting
    return jobs.submit(
        EXTRACT,
        {"layer": row.layer_id, "pull_layer": row.pk},
        requester=row.job.requester,
        key=layer_key(row.layer.diff_id),
        parent=row.job,
        queue="layers",
    )


def _resolved(job: Job) -> dict[str, Any] | None:
    """What the pull_image handler found; None before it has."""
    found = job.result.get("resolved") if isinstance(job.result, dict) else None
    return found if isinstance(found, dict) else None


def advance(job_id: int) -> bool:
    """Finish the pull if all its layers are READY; ask for what proof is missing. It fails if it is too much for a quota of
    image disk. Safe to call at any time, from any process, twice at once.

    Returns:
        Whether the pull is finished now, by this call.
    """
    try:
        return _advance(job_id)
    except QuotaRefused as error:
        if (job := Job.objects.filter(pk=job_id).first()) is not None:
            jobs.fail(job, code=error.code, message=str(error))
        return False


def _advance(job_id: int) -> bool:
    with transaction.atomic():
        job = Job.objects.select_for_update().filter(pk=job_id, state=JobState.RUNNING).first()
        if job is None or job.cancel_requested or (resolved := _resolved(job)) is None:
            return False
        rows = list(job.pull_layers.select_related("layer", "job").order_by("position"))
        if any(row.layer.state != LayerState.READY for row in rows):
            return False
        if unproven := [row for row in rows if not _prove_here(row)]:
            for row in unproven:
                request_layer(row)
            return False
        disk.hold(job)
        image = _commit_image(resolved, [row.layer for row in rows], job)
        is_news = _move_tag(resolved, image, job)
        status = f"{DOWNLOADED if is_news else UP_TO_DATE} {resolved['familiar']}"
        result = job.result | {"image_id": image.image_id, "digest": resolved["digest"], "status": status}
        progress = {"phase": "done", "digest": resolved["digest"], "layers": layer_states(job)}
        if not jobs.finish(job, result=result, progress=progress):
            transaction.set_rollback(True)
            return False
        whose = None if image.is_public else team_of(job)
        name = resolved["familiar"].partition("@")[0]
        record(EventType.IMAGE, "pull", resolved["familiar"], name=name, team_id=whose)
    publish("images", {"t": "images", "image": image.image_id, "team": whose})
    return True


def _commit_image(resolved: dict[str, Any], layers: list[Layer], job: Job) -> Image:
    """The image's row, who holds it, and whether everybody sees it."""
    config = gateway.read_image_config(resolved["config_digest"])
    image, is_new = Image.objects.get_or_create(
        image_id=resolved["config_digest"],
        defaults={
            "config": config.raw,
            "architecture": config.architecture,
            "os": config.os,
            "variant": config.variant or "",
            "built_at": _moment(config.created),
            "size_bytes": sum(layer.unpacked_bytes for layer in layers),
        },
    )
    if is_new:
        stack = [ImageLayer(image=image, layer=layer, position=place) for place, layer in enumerate(layers)]
        ImageLayer.objects.bulk_create(stack)
    hold_image(image, team_of(job), job.requester_id)
    if resolved.get("is_public", True):
        image.is_public, image.shared_by = True, None  # whoever asks gets it from its registry: no team's to take back
        image.save(update_fields=["is_public", "shared_by", "updated_at"])
        Layer.objects.filter(pk__in=[layer.pk for layer in layers], is_public=False).update(is_public=True)
    return image


def hold_image(image: Image, team_id: int, person_id: int | None) -> None:
    """From now on the team has it. Idempotent: who had it first stays who did."""
    ImageHolder.objects.get_or_create(image=image, team_id=team_id, defaults={"person_id": person_id})


def _moment(created: datetime | str | None) -> datetime | None:
    if isinstance(created, str):
        try:
            created = datetime.fromisoformat(created)
        except ValueError:
            return None
    return created


def _move_tag(resolved: dict[str, Any], image: Image, job: Job) -> bool:
    """Let the name mean this image: for everybody, or for the team whose credentials fetched it. True when that is news."""
    key = {"registry": resolved["registry"], "repository": resolved["repository"], "tag": resolved["tag"]}
    if not resolved["tag"]:
        key["digest"] = resolved["digest"]
    team_id = team_of(job)
    if resolved.get("is_public", True):
        Tag.objects.filter(team_id=team_id, **key).delete()  # it would stand before the name that was just fetched
        key["team"] = None
    else:
        key["team_id"] = team_id
    before = Tag.objects.filter(**key).first()
    if before is not None and (before.image_id, before.digest) == (image.pk, resolved["digest"]):
        return False
    Tag.objects.update_or_create(**key, defaults={"digest": resolved["digest"], "image": image})
    return True


def advance_all(layer: Layer) -> None:
    """After a layer became READY."""
    for job_id in live_pulls_of(layer).values_list("pk", flat=True):
        advance(job_id)


def layer_failed(layer: Layer, source: PullLayer | None, *, code: str, message: str) -> None:
    """Fail the pulls that asked where it failed. One of another repository or team tries its own source: `tend` asks for it."""
    Layer.objects.filter(pk=layer.pk).exclude(state=LayerState.READY).update(state=LayerState.FAILED, error=message)
    for job in live_pulls_of(layer):
        if source is None or _asks_alike(source.job, job):
            jobs.fail(job, code=code, message=message)


def repository_of(job: Job) -> tuple[str, str]:
    resolved = _resolved(job) or {}
    return resolved.get("registry", ""), resolved.get("repository", "")


_SHOWN = {
    LayerState.MISSING: "Pulling fs layer",
    LayerState.WRITING: "Waiting",
    LayerState.ADOPTING: "Verifying",
    LayerState.READY: "Pull complete",
    LayerState.FAILED: "Waiting",
    LayerState.DAMAGED: "Waiting",
}


def rows_of(job: Job) -> list[PullLayer]:
    return list(job.pull_layers.select_related("layer").order_by("position"))


def layer_states(
    job: Job, now: dict[int, dict[str, Any]] | None = None, *, rows: list[PullLayer] | None = None
) -> list[dict[str, Any]]:
    """A line for each layer of a pull as it stands; `now` has fresher lines by layer. `rows` saves looking them up."""
    before = {item.get("id"): item for item in (job.progress or {}).get("layers", ())}
    lines = []
    for row in rows_of(job) if rows is None else rows:
        short = gateway.Digest(row.digest).short
        state = LayerState(row.layer.state)
        status = _SHOWN[state] if state is not LayerState.READY or row.is_proven else "Verifying"
        if before.get(short, {}).get("status") == "Already exists" and state is LayerState.READY:
            status = "Already exists"
        line = {"id": short, "status": status, "current": 0, "total": row.size_bytes}
        if (state is not LayerState.READY or not row.is_proven) and now and row.layer_id in now:
            line |= now[row.layer_id]
        elif status != "Verifying" and state is LayerState.READY:
            line["current"] = row.size_bytes
        lines.append(line)
    return lines


def parked() -> QuerySet[Job]:
    return Job.objects.filter(kind=PULL, state=JobState.RUNNING, is_parked=True)


def tend(pulls: Iterable[Job] | None = None) -> None:
    """Look after parked pulls: end cancelled ones, finish those that a lost message forgot, ask again for layers."""
    for job in list(parked() if pulls is None else pulls):
        if job.cancel_requested:
            jobs.end_cancelled(job)
        elif not advance(job.pk):
            _tend_layers(job)


def _tend_layers(job: Job) -> None:
    for row in job.pull_layers.select_related("layer", "job").exclude(layer__state=LayerState.READY, is_proven=True):
        if (given_up := _given_up(job, row)) is not None:
            jobs.fail(job, code=given_up.error_code, message=given_up.error)
            return
        request_layer(row)


def _given_up(job: Job, row: PullLayer) -> Job | None:
    """A job for this layer that ended without telling us: its worker was lost too often, or it was refused."""
    keys = [layer_key(row.layer.diff_id), adopt_key(row.layer.diff_id), _prove_key(row)]
    since = job.started_at or job.created_at
    if Job.objects.filter(key__in=keys, state__in=LIVE_STATES).exists():
        return None
    failed = Job.objects.filter(key__in=keys, state=JobState.FAILED, finished_at__gte=since).select_related("parent")
    return next((one for one in failed if one.parent is not None and _asks_alike(one.parent, job)), None)


def _asks_alike(one: Job, other: Job) -> bool:
    """Whether two pulls ask the same repository for the same team, and so with credentials that do as much."""
    return (one.team_id, repository_of(one)) == (other.team_id, repository_of(other))
