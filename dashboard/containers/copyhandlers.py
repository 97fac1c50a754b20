"""What the engine worker does for `copies`. A copy in may run again after a crash: it puts the same files in once more."""

from __future__ import annotations

import threading

from dashboard import gateway
from dashboard.containers import copies, happenings
from dashboard.containers.handlers import container_of, request_of
from dashboard.containers.ids import give_ids
from dashboard.containers.models import Container
from dashboard.core.gate import Permission
from dashboard.jobs.registry import JobContext, handler
from dashboard.transfers import services as transfers

AT_ONCE = 4  # each has a process, and the engine worker's threads are for all
_places = threading.BoundedSemaphore(AT_ONCE)


def _known(context: JobContext) -> Container:
    """The engine gets to know a container at its first start, or here."""
    container = container_of(context)
    if gateway.engine().observe(container.container_id).state == gateway.State.ABSENT:
        give_ids(container)
        gateway.engine().create(request_of(container, rows=24, columns=80))
    return container


@handler(copies.OUT, queue="engine", permission=Permission.CONTAINER_COPY, retries=0)
def copy_out(context: JobContext) -> object:
    container, key, path = _known(context), str(context.params["transfer"]), str(context.params["path"])
    with _places:
        packed = gateway.engine().copies.copy_out(
            container.container_id,
            path,
            key,
            follow=bool(context.params["follow"]),
            on_bytes=lambda count: context.progress({"current": count}),
            cancelled=context.cancelled,
        )
    if not transfers.open_transfers().filter(key=key).exists():
        gateway.discard_transfer(key)  # ended in the last moment
    happenings.tell(container, "archive-path", path=path)
    return {"entries": packed.entries, "left_out": packed.left_out, "bytes": packed.content_bytes}


@handler(copies.IN, queue="engine", permission=Permission.CONTAINER_COPY, retries=0)
def copy_in(context: JobContext) -> object:
    container, key, path = _known(context), str(context.params["transfer"]), str(context.params["path"])
    try:
        with _places:
            put = gateway.engine().copies.copy_in(
                container.container_id,
                path,
                key,
                keep_owners=bool(context.params["keep_owners"]),
                is_plain=bool(context.params["is_plain"]),
                on_bytes=lambda count: context.progress({"current": count}),
                cancelled=context.cancelled,
            )
    except gateway.Cancelled:
        if context.is_cancel_requested:
            transfers.end(key)
        raise
    except Exception:  # whatever it was: the job tells it, and the archive is of no use any more
        transfers.end(key)
        raise
    transfers.end(key)
    happenings.tell(container, "extract-to-dir", path=path)
    return {"entries": put.entries, "bytes": put.content_bytes}
