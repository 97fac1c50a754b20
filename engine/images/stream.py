"""A layer's compressed bytes while they arrive: fetched, kept and hashed in one thread, decoded in the caller's.

The caller gets every chunk once it is in the ingest file; its digest is known only at the end, where a wrong one is
raised, so nothing made of these bytes may be used before `open()` ended or `finish()` returned. At most `QUEUE` chunks
wait in memory: a slow decoder slows the download, never the other way round.

`cancelled` and `report` are called in the caller's thread only: they may use a database.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from typing import TYPE_CHECKING, Self

from engine.errors import Cancelled, DigestMismatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.store.ingest import Ingest

QUEUE = 8
POLL_S = 0.2
JOIN_S = 8.0


class LayerStream:
    """The `LayerSource` of one layer. Use in a `with` block, which ends the thread.

    Args:
        fetch: the blob's bytes from an offset on; runs in the thread.
        cancelled: asked at most every 0.2 s.
        report: told `(bytes fetched, bytes handed to the decoder)` after each chunk.
    """

    def __init__(
        self,
        ingest: Ingest,
        fetch: Callable[[int], Iterator[bytes]],
        *,
        stop: threading.Event,
        cancelled: Callable[[], bool],
        report: Callable[[int, int], None],
    ) -> None:
        self._ingest = ingest
        self._fetch = fetch
        self._stop = stop
        self._cancelled = cancelled
        self._report = report
        self._asked_at = 0.0
        self._queue: queue.Queue[bytes | BaseException | None] = queue.Queue(QUEUE)
        self._thread: threading.Thread | None = None
        self._is_finished = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(JOIN_S)

    def open(self) -> Iterator[bytes]:
        """All bytes in order. The first call takes them from the network as they come, every other from the file.

        Raises:
            DigestMismatch: at the end, when the bytes turn out to be wrong.
            Cancelled, RegistryError, StoreError: whatever ends the download.
        """
        if self._thread is None and not self._is_finished:
            return self._first_pass()
        return self._again()

    def finish(self) -> None:
        """Fetch what is left and verify all of it. Raises as `open`."""
        if self._is_finished:
            return
        self._start()
        while self._take() is not None:
            pass
        self._verify()

    def _first_pass(self) -> Iterator[bytes]:
        here = self._ingest.size_bytes
        handed = 0
        for chunk in self._ingest.read():
            handed += len(chunk)
            self._raise_if_cancelled()
            self._report(here, handed)
            yield chunk
        self._start()
        while (fresh := self._take()) is not None:
            handed += len(fresh)
            self._report(self._ingest.size_bytes, handed)
            yield fresh
        self._verify()

    def _again(self) -> Iterator[bytes]:
        self.finish()
        handed = 0
        for chunk in self._ingest.read():
            handed += len(chunk)
            self._raise_if_cancelled()
            self._report(self._ingest.size_bytes, handed)
            yield chunk

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._pump, name="layer-download", daemon=True)
            self._thread.start()

    def _pump(self) -> None:
        """The thread: from the network into the file and the queue."""
        try:
            for chunk in self._fetch(self._ingest.size_bytes):
                if self._stop.is_set():
                    return
                self._ingest.append(chunk)
                self._put(chunk)
            self._put(None)
        except BaseException as error:  # noqa: BLE001 - the thread's edge: raised again in the caller's thread
            self._put(error)

    def _put(self, item: bytes | BaseException | None) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(queue.Full):
                self._queue.put(item, timeout=POLL_S)
                return

    def _take(self) -> bytes | None:
        """The next fresh chunk; None at the end."""
        while True:
            self._raise_if_cancelled()
            try:
                item = self._queue.get(timeout=POLL_S)
            except queue.Empty:
                if self._stop.is_set():
                    msg = "The download was stopped."
                    raise Cancelled(msg, subject=self._ingest.digest) from None
                continue
            if isinstance(item, BaseException):
                raise item
            return item

    def _verify(self) -> None:
        if not (self._ingest.is_complete and self._ingest.is_right):
            digest = self._ingest.digest
            msg = (
                f"The layer that the registry sent is not {digest}: the registry, or something on the way, changed it."
            )
            raise DigestMismatch(msg, subject=digest)
        self._is_finished = True

    def _raise_if_cancelled(self) -> None:
        now = time.monotonic()
        if now - self._asked_at < POLL_S:
            return
        self._asked_at = now
        if self._cancelled():
            msg = "The download was cancelled."
            raise Cancelled(msg, subject=self._ingest.digest)
