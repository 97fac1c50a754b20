"""A file to a browser. The other way goes over the WebSocket: a web server keeps a posted body before it asks anybody."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from io import RawIOBase

from channels.db import database_sync_to_async
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from dashboard import gateway
from dashboard.core.errors import Conflict
from dashboard.core.gate import Permission, require
from dashboard.core.render import said
from dashboard.transfers import services
from dashboard.transfers.models import Direction

CHUNK_BYTES = 256 * 1024
BEAT_S = 10.0


@require_GET
def download(request: HttpRequest, key: str) -> HttpResponseBase:
    """The whole file, once: afterwards it is gone. Its length is told, so a browser notices when it is cut off."""
    transfer = services.find(request.user, key)
    if transfer.direction != Direction.OUT or not transfer.is_ready:
        raise Conflict(_("The archive is not ready yet."))
    file = os.fdopen(gateway.open_transfer(key), "rb", buffering=0)  # an object: one that nobody reads is closed, too
    size = os.fstat(file.fileno()).st_size
    response = StreamingHttpResponse(_content(key, file, size), content_type="application/octet-stream")
    response._resource_closers.append(file.close)  # type: ignore[attr-defined]  # as Django does with files of its own
    response["Content-Length"] = str(size)
    response["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=transfer.filename) or ""
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response["Cache-Control"] = "no-store"
    return response


async def _content(key: str, file: RawIOBase, size: int) -> AsyncIterator[bytes]:
    """`core.paced` waits for the reader between the pieces. The file goes when the last one was taken, also when the
    browser closes at that moment: this is cancelled then.
    """
    sent, told_at = 0, time.monotonic()
    try:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            sent += len(chunk)
            yield chunk
            if time.monotonic() - told_at > BEAT_S:
                told_at = time.monotonic()
                await database_sync_to_async(services.beat)(key)
    finally:
        file.close()
        if sent == size:
            await asyncio.shield(database_sync_to_async(services.end)(key))


@require_POST
def cancel(request: HttpRequest, key: str) -> HttpResponse:
    require(request.user, Permission.TRANSFER)
    transfer = services.known(request.user, key)
    if transfer is None:
        raise services.Gone
    services.end(key)
    return said(_("Cancelled."), tone="info")
