"""What the workers do for the catalog. Each is idempotent: it may be run again after a crash at any line."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from dashboard import gateway
from dashboard.catalog import disk, pulls
from dashboard.catalog.models import PULL, Layer, LayerState, PullLayer
from dashboard.catalog.progress import LayerReport, show_pull
from dashboard.core.events import publish
from dashboard.core.gate import Permission
from dashboard.imagepolicy import services as imagepolicy
from dashboard.jobs import services as jobs
from dashboard.jobs.models import LIVE_STATES, Job
from dashboard.jobs.registry import PARKED, JobContext, handler
from dashboard.registries import services as registries

REMOVE_LAYERS = "remove_layers"
WANTED_EVERY_S = 1.0
_layer_locks: dict[str, threading.Lock] = {}
_locks_guard = threading.Lock()


@handler(PULL, queue="images", permission=Permission.IMAGE_PULL, retries=0)
def pull_image(context: JobContext) -> object:
    """Resolve, write down the layers, ask for the missing ones, and park.

    The client tries again as often as makes sense; another try of the whole job would only keep people waiting.
    """
    job = context.job
    reference = gateway.parse(str(context.params["reference"]))
    context.progress({"phase": "resolving", "layers": []})
    platform = gateway.parse_platform(str(context.params.get("platform") or ""))
    usable = _usable(job, reference)
    found = gateway.resolve(
        gateway.engine_config(),
        reference,
        platform=platform,
        cancelled=context.cancelled,
        credentials=None if usable is None else usable.credentials,
    )
    ids = gateway.layer_ids(gateway.engine_config())
    with transaction.atomic():
        imagepolicy.hold_digest(job.team_id, reference, str(found.digest), since=job.created_at)
        rows = pulls.record_layers(job, found, ids.first if ids is not None else 0)
        disk.hold(job)
    resolved = {
        "registry": reference.registry,
        "repository": reference.repository,
        "tag": "" if reference.digest is not None else reference.tag or "",
        "familiar": reference.familiar,
        "digest": str(found.digest),
        "config_digest": str(found.config_digest),
        "is_public": found.is_public or (usable is not None and usable.is_sites),
    }
    here = {row.layer_id for row in rows if row.layer.state == LayerState.READY and row.is_proven}
    job.progress = {"phase": "layers", "digest": resolved["digest"], "layers": _first_lines(rows, here)}
    job.result = {"resolved": resolved}
    Job.objects.filter(pk=job.pk, fence=job.fence).update(progress=job.progress, result=job.result)
    show_pull(job, to_row=False)
    for row in rows:
        pulls.request_layer(row)
    return {} if pulls.advance(job.pk) else PARKED


def _usable(job: Job, reference: gateway.Reference) -> registries.Usable | None:
    """What this pull's requester may use now: looked up by each job anew, so that a log-out reaches it."""
    return registries.usable(job.team_id, job.requester_id, reference.registry)


def _first_lines(rows: list[PullLayer], here: set[int]) -> list[dict[str, Any]]:
    return [
        {
            "id": gateway.Digest(row.digest).short,
            "status": "Already exists" if row.layer_id in here else "Pulling fs layer",
            "current": row.size_bytes if row.layer_id in here else 0,
            "total": row.size_bytes,
        }
        for row in rows
    ]


def _nobody_wants(layer: Layer, context: JobContext) -> Callable[[], bool]:
    """Whether to stop: asked at each chunk, looked up once a second."""
    looked_at, answer = 0.0, False

    def cancelled() -> bool:
        nonlocal looked_at, answer
        if time.monotonic() - looked_at > WANTED_EVERY_S:
            looked_at = time.monotonic()
            answer = context.cancelled() or not pulls.live_pulls_of(layer).exists()
        return answer

    return cancelled


@handler(pulls.EXTRACT, queue="layers", permission=Permission.IMAGE_PULL, retries=0)
def extract_layer(context: JobContext) -> object:
    """Fetch, verify and write one layer; then hand it to the engine worker."""
    source = PullLayer.objects.select_related("job", "layer").filter(pk=context.params["pull_layer"]).first()
    if source is None or source.layer.state == LayerState.READY:
        return {}
    layer = source.layer
    cancelled = _nobody_wants(layer, context)
    if cancelled():
        msg = "Nobody waits for this layer any more."
        raise gateway.Cancelled(msg)
    Layer.objects.filter(pk=layer.pk).update(state=LayerState.WRITING, error="")
    incoming = f"{gateway.Digest(layer.diff_id).hex}.{context.job.pk}.{context.job.fence}"
    gateway.discard_incoming(gateway.Digest(layer.diff_id).hex)
    try:
        ids = gateway.layer_ids(gateway.engine_config())
        written = _extract(source, incoming, cancelled, ids)
    except gateway.Cancelled:
        gateway.discard_incoming(incoming)
        _stopped(source)
        raise
    except gateway.EngineError as error:
        gateway.discard_incoming(incoming)
        _ended_early(source, error)
        raise
    pulls.note_written(source)
    _hand_over(layer, written, incoming, context.job, first_id=ids.first if ids is not None else 0)
    return {}


def layer_pulls(layer: Layer) -> list[Job]:
    """Every live pull of a layer, also those that somebody cancelled."""
    return list(Job.objects.filter(pull_layers__layer=layer, kind=PULL, state__in=LIVE_STATES).distinct())


def _wanted(source: PullLayer) -> gateway.ResolvedLayer:
    return gateway.ResolvedLayer(
        digest=gateway.Digest(source.digest),
        media_type=source.media_type,
        size_bytes=source.size_bytes,
        diff_id=gateway.DiffId(gateway.Digest(source.layer.diff_id)),
    )


def _extract(
    source: PullLayer, incoming: str, cancelled: Callable[[], bool], ids: gateway.IdRange | None
) -> gateway.WrittenLayer:
    report = LayerReport(source.layer, source)
    reference = gateway.parse(str(source.job.params["reference"]))
    usable = _usable(source.job, reference)
    return gateway.extract_layer(
        gateway.engine_config(),
        reference,
        _wanted(source),
        incoming=incoming,
        progress=lambda step: report(step.status, step.current_bytes, step.total_bytes),
        cancelled=cancelled,
        credentials=None if usable is None else usable.credentials,
        ids=ids,
    )


@handler(pulls.PROVE, queue="layers", permission=Permission.IMAGE_PULL, retries=0)
def prove_layer(context: JobContext) -> object:
    """See that the pull's own registry gives a layer that is here: else its image would be had for its digest alone."""
    row = PullLayer.objects.select_related("job", "layer").filter(pk=context.params["pull_layer"]).first()
    if row is None or row.is_proven or not row.job.is_live:
        return {}
    report = LayerReport(row.layer, row)
    reference = gateway.parse(str(row.job.params["reference"]))
    usable = _usable(row.job, reference)
    try:
        gateway.prove_layer(
            gateway.engine_config(),
            reference,
            _wanted(row),
            progress=lambda step: report(step.status, step.current_bytes, step.total_bytes),
            cancelled=lambda: context.cancelled() or not pulls.is_wanted(row.job_id),
            credentials=None if usable is None else usable.credentials,
        )
    except gateway.Cancelled:
        pulls.tend([row.job])
        raise
    except gateway.EngineError as error:
        jobs.fail(row.job, code=error.code, message=str(error))
        raise
    PullLayer.objects.filter(pk=row.pk).update(is_proven=True)
    pulls.advance(row.job_id)
    return {}


def _stopped(source: PullLayer) -> None:
    """Nobody wants it any more, or this worker must end: then what was fetched is kept for the next one."""
    Layer.objects.filter(pk=source.layer_id, state=LayerState.WRITING).update(state=LayerState.MISSING)
    if not pulls.live_pulls_of(source.layer).exists():
        gateway.discard_ingest(gateway.Digest(source.digest))
    pulls.tend(layer_pulls(source.layer))


def _ended_early(source: PullLayer, error: gateway.EngineError) -> None:
    gateway.discard_ingest(gateway.Digest(source.digest))
    pulls.layer_failed(source.layer, source, code=error.code, message=str(error))


def _hand_over(layer: Layer, written: gateway.WrittenLayer, incoming: str, job: Job, *, first_id: int) -> None:
    with transaction.atomic():
        Layer.objects.filter(pk=layer.pk).exclude(state=LayerState.READY).update(
            state=LayerState.ADOPTING,
            incoming=incoming,
            first_id=first_id,
            file_sha256=written.file_sha256,
            file_bytes=written.file_bytes,
            unpacked_bytes=written.unpacked_bytes,
            entries=written.entries,
            warnings=list(written.warnings),
        )
        jobs.submit(
            pulls.ADOPT,
            {"layer": layer.pk},
            requester=job.requester,
            key=pulls.adopt_key(layer.diff_id),
            parent=job.parent,
            queue="engine",
        )


@contextmanager
def layer_lock(diff_id: str) -> Iterator[None]:
    """Adopting and removing one layer's file never overlap. There is one engine worker, with threads."""
    with _locks_guard:
        lock = _layer_locks.setdefault(diff_id, threading.Lock())
    with lock:
        yield


@handler(pulls.ADOPT, queue="engine", permission=Permission.IMAGE_PULL)
def adopt_layer(context: JobContext) -> object:
    """As root: make the written file unchangeable and give it its name; READY; finish who waited."""
    layer = Layer.objects.get(pk=context.params["layer"])
    with layer_lock(layer.diff_id):
        layer.refresh_from_db()
        if layer.state == LayerState.ADOPTING:
            _adopt(layer)
    pulls.advance_all(layer)
    return {}


def _adopt(layer: Layer) -> None:
    diff_id = gateway.DiffId(gateway.Digest(layer.diff_id))
    try:
        gateway.engine().adopt_layer(
            incoming=layer.incoming,
            diff_id=diff_id,
            file_sha256=layer.file_sha256,
            file_bytes=layer.file_bytes,
            first_id=layer.first_id,
        )
    except gateway.EngineError as error:
        gateway.discard_incoming(layer.incoming)
        pulls.layer_failed(layer, None, code=error.code, message=str(error))
        raise
    Layer.objects.filter(pk=layer.pk, state=LayerState.ADOPTING).update(state=LayerState.READY, incoming="")


def unused_layers() -> Q:
    """Layers in no image and wanted by no live pull."""
    leased = PullLayer.objects.filter(job__state__in=LIVE_STATES).values("layer_id")
    return Q(uses=None) & ~Q(pk__in=leased)


@handler(REMOVE_LAYERS, queue="engine", permission=Permission.IMAGE_REMOVE)
def remove_layers(context: JobContext) -> object:
    """Remove the files and rows of layers that nothing uses. One that was taken into use meanwhile stays.

    Out of READY first, so that a pull that comes now writes them again; then the files; then the rows.
    """
    asked = sorted(Layer.objects.filter(pk__in=context.params["layers"]).values_list("diff_id", "pk"))
    with ExitStack() as locks:
        for diff_id, _pk in asked:  # in this order in every thread, so that two never wait for each other
            locks.enter_context(layer_lock(diff_id))
        removed = _take_out_of_use([pk for _diff_id, pk in asked])
        gateway.engine().remove_layers([gateway.DiffId(gateway.Digest(layer.diff_id)) for layer in removed])
        _forget([layer.pk for layer in removed])
    publish("images", {"t": "images"})
    return {"removed": [layer.diff_id for layer in removed]}


def _take_out_of_use(pks: list[int]) -> list[Layer]:
    """Those of the layers that are free to go, MISSING from now on."""
    with transaction.atomic():
        going = list(_free_now(pks).exclude(state=LayerState.ADOPTING))
        Layer.objects.filter(pk__in=[layer.pk for layer in going]).update(state=LayerState.MISSING)
        return going


def _forget(pks: list[int]) -> None:
    """The rows of layers whose files are gone, unless a pull has wanted one meanwhile."""
    with transaction.atomic():
        rows = _free_now(pks).filter(state=LayerState.MISSING)
        Layer.objects.filter(pk__in=list(rows.values_list("pk", flat=True))).delete()


def _free_now(pks: list[int]) -> QuerySet[Layer]:
    """In a transaction: locked first and looked at then, or a pull that waits for the lock's holder would be missed."""
    list(Layer.objects.select_for_update().filter(pk__in=pks).order_by("pk").values_list("pk"))
    return Layer.objects.filter(unused_layers(), pk__in=pks)
