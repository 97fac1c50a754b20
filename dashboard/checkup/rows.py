"""What rows say must be there: the engine compares with it."""

from __future__ import annotations

from dashboard import gateway
from dashboard.catalog.models import Image, Layer, LayerState, Tag
from dashboard.containers.models import Container
from dashboard.jobs.models import LIVE_STATES, Job


def known(own_job: int) -> gateway.Known:
    """Read now. `own_job`: the check's own, which does not count as work of the engine."""
    others = Job.objects.filter(queue="engine", state__in=LIVE_STATES).exclude(pk=own_job)
    return gateway.Known(
        container_ids=frozenset(Container.with_trash.values_list("container_id", flat=True)),
        store=stored(),
        is_quiet=not others.exists(),
    )


def stored() -> gateway.StoreRows:
    layers: dict[str, gateway.StoredLayer] = {}
    named: set[str] = set()
    for layer in Layer.objects.all().iterator():
        file = gateway.engine_config().layer_file(layer.diff_id.partition(":")[2], layer.first_id)
        named.add(file.name)
        if layer.state == LayerState.READY:
            layers[file.name] = gateway.StoredLayer(layer.file_sha256, layer.file_bytes)
    digests = {*Image.objects.values_list("image_id", flat=True), *Tag.objects.values_list("digest", flat=True)}
    return gateway.StoreRows(
        layers=layers, named=frozenset(named), blobs=frozenset(gateway.Digest(digest) for digest in digests)
    )
