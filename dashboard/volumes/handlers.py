"""What the engine worker does with volumes. Each handler is idempotent: it may run again after a crash anywhere."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from dashboard import gateway
from dashboard.core.gate import Permission
from dashboard.history.models import EventType
from dashboard.history.services import record
from dashboard.jobs.registry import JobContext, handler
from dashboard.volumes import services
from dashboard.volumes.models import Volume, VolumeState


@handler(services.REMOVE, queue="engine", permission=Permission.VOLUME_REMOVE, retries=0)
def remove_volume(context: JobContext) -> object:
    name = str(context.params["volume"])
    volume = Volume.objects.filter(name=name, state=VolumeState.REMOVING).first()
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
        size_bytes = engine.volume_bytes(volume.name)
        engine.remove_volume(volume.name)
    except gateway.EngineError:
        services.mark(volume, VolumeState.READY)
        raise
    with transaction.atomic():
        record(EventType.VOLUME, "destroy", volume.name, driver="local")
        volume.delete()
    services.announce(volume)
    return size_bytes or 0


@handler(services.MEASURE, queue="engine", permission=Permission.VOLUME_VIEW, retries=0)
def measure_volumes(context: JobContext) -> object:
    """Count the space of the volumes that were not measured for the longest time."""
    for volume in Volume.objects.filter(name__in=context.params["volumes"]):
        if context.cancelled():
            break
        measure(volume)
    return {}


def measure(volume: Volume) -> None:
    size_bytes = gateway.engine().volume_bytes(volume.name)
    Volume.objects.filter(pk=volume.pk).update(size_bytes=size_bytes, measured_at=timezone.now())
    if size_bytes != volume.size_bytes:
        services.announce(volume)
