"""What the engine worker does with volumes. Each handler is idempotent: it may run again after a crash anywhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction
from django.utils import timezone

from dashboard import gateway
from dashboard.core.gate import Permission
from dashboard.history.models import EventType
from dashboard.history.services import record
from dashboard.jobs.registry import JobContext, handler
from dashboard.transfers import services as transfers
from dashboard.volumes import services
from dashboard.volumes.models import Volume, VolumeState

ARCHIVES = 8  # of the engine worker's 32 threads (script/supervise.py)
_places = threading.BoundedSemaphore(ARCHIVES)


@contextmanager
def _place() -> Iterator[None]:
    """An archive may take hours; all other work with containers shares the engine worker's threads.

    Raises:
        RuntimeFailed: none is free.
    """
    if not _places.acquire(blocking=False):
        msg = f"{ARCHIVES} archives of volumes are being written or read already. Try again when one of them is done."
        raise gateway.RuntimeFailed(msg)
    try:
        yield
    finally:
        _places.release()


def _key(context: JobContext) -> str:
    """A job from before there were teams names its volume only: its folder is called so."""
    return str(context.params.get("key") or context.params["volume"])


@handler(services.REMOVE, queue="engine", permission=Permission.VOLUME_REMOVE, retries=0)
def remove_volume(context: JobContext) -> object:
    volume = Volume.objects.filter(key=_key(context), state=VolumeState.REMOVING).first()
    if volume is None:
        return {}
    return {"freed_bytes": remove_now(volume)}


def remove_now(volume: Volume) -> int:
    """The files of a volume that is REMOVING, then its row; how many bytes that freed.

    Raises:
        EngineError: the disk refuses, or a container without a row has it; the volume is READY again.
    """
    engine = gateway.engine()
    try:
        size_bytes = engine.volume_bytes(volume.key)
        engine.remove_volume(volume.key)
    except gateway.EngineError:
        services.mark(volume, VolumeState.READY)
        raise
    with transaction.atomic():
        record(EventType.VOLUME, "destroy", volume.name, team_id=volume.team_id, driver="local")
        volume.delete()
    services.announce(volume)
    return size_bytes or 0


@handler(services.MEASURE, queue="engine", permission=Permission.VOLUME_VIEW, retries=0)
def measure_volumes(context: JobContext) -> object:
    """Count the space of the volumes that were not measured for the longest time."""
    for volume in Volume.objects.filter(key__in=context.params["volumes"]):
        if context.cancelled():
            break
        measure(volume)
    return {}


def measure(volume: Volume) -> None:
    size_bytes = gateway.engine().volume_bytes(volume.key)
    Volume.objects.filter(pk=volume.pk).update(size_bytes=size_bytes, measured_at=timezone.now())
    if size_bytes != volume.size_bytes:
        services.announce(volume)


@handler(services.BACKUP, queue="engine", permission=Permission.VOLUME_BACKUP, retries=0)
def backup_volume(context: JobContext) -> object:
    name, key = _key(context), str(context.params["transfer"])
    with _place():
        packed = gateway.engine().backup_volume(
            name, key, on_bytes=lambda count: context.progress({"current": count}), cancelled=context.cancelled
        )
    if not transfers.open_transfers().filter(key=key).exists():
        gateway.discard_transfer(key)  # ended in the last moment
    return {"entries": packed.entries, "left_out": packed.left_out, "changed": packed.changed}


@handler(services.RESTORE, queue="engine", permission=Permission.VOLUME_RESTORE, retries=0)
def restore_volume(context: JobContext) -> object:
    """A worker that ends puts the job back, and the volume stays RESTORING; every other end makes it READY again."""
    name, key = _key(context), str(context.params["transfer"])
    volume = Volume.objects.filter(key=name, state=VolumeState.RESTORING).first()
    if volume is None:
        return {}
    try:
        with _place():
            unpacked = gateway.engine().restore_volume(
                name, key, on_bytes=lambda count: context.progress({"current": count}), cancelled=context.cancelled
            )
    except gateway.Cancelled:
        if context.is_cancel_requested:
            give_back(volume, key)
        raise
    except Exception:  # whatever it was: the job tells it, and the volume is to be used again
        give_back(volume, key)
        raise
    give_back(volume, key)
    measure(volume)
    return {"entries": unpacked.entries, "dropped": unpacked.dropped}


def give_back(volume: Volume, key: str) -> None:
    """A volume that was being restored is to be used again; its archive is needed no more."""
    services.mark(volume, VolumeState.READY)
    transfers.end(key)
