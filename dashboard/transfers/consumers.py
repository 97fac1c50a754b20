"""`/ws/transfers/<key>`: an archive to or from a command line, or from a browser. Bytes are bytes, in order.

Out: binary messages, then {"t": "end", "bytes"}; the other side says {"t": "ack", "bytes"} as it has written them away, and
at most a window is on its way. In: {"t": "ready"}, then binary messages; {"t": "taken", "bytes"} says what is on the disk, and
the other side keeps to the same window; {"t": "eof", "bytes"} is its end, and {"t": "end", "bytes"} that all of it is here.
Both ends count: a transfer that is a byte short is none. One connection for each transfer, and none again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from contextlib import suppress
from typing import Any

from autobahn.exception import Disconnected
from channels.db import database_sync_to_async

from dashboard import gateway
from dashboard.core.consumers import BROKEN, TOO_BIG, GuardedConsumer
from dashboard.core.gate import Permission
from dashboard.transfers import services
from dashboard.transfers.models import Direction, Transfer

log = logging.getLogger(__name__)
WINDOW_BYTES = 1024 * 1024
PIECE_BYTES = 64 * 1024
READ_BYTES = 512 * 1024
BAD_REQUEST, CONFLICT, FULL = 4400, 4409, 4507


class TransferConsumer(GuardedConsumer):
    permission = Permission.TRANSFER

    target: Transfer
    _task: asyncio.Task[None] | None = None
    _is_whole = False

    def __init__(self, *args: Any, **options: Any) -> None:  # Channels' interface
        super().__init__(*args, **options)
        self._changed = asyncio.Event()
        self._acknowledged = self._moved = 0
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._announced: int | None = None

    def find_target(self) -> Transfer | None:
        return services.find_open(self.user, self.scope["url_route"]["kwargs"]["key"])

    async def opened(self) -> None:
        is_out = self.target.direction == Direction.OUT
        if is_out and not self.target.is_ready:
            await self.refuse(CONFLICT, "The archive is not ready yet.")
            return
        self._task = asyncio.create_task(self._run(is_out=is_out))

    async def rechecked(self) -> None:
        await database_sync_to_async(services.beat)(self.target.key)

    async def text(self, text: str) -> None:
        try:
            frame = json.loads(text)
            kind, count = frame["t"], frame["bytes"]
        except (ValueError, KeyError, TypeError, RecursionError):
            kind, count = "", 0
        if kind not in {"ack", "eof"} or type(count) is not int:
            await self.refuse(BAD_REQUEST, "That was no frame of a transfer.")
            return
        if kind == "ack":
            self._acknowledged = max(self._acknowledged, min(count, self._moved))
        else:
            self._announced = count
        self._changed.set()

    async def binary(self, data: bytes) -> None:
        self._pending.append(data)
        self._pending_bytes += len(data)
        if self.target.direction == Direction.OUT or self._pending_bytes > 2 * WINDOW_BYTES:
            await self.refuse(TOO_BIG, "Too much was sent at once.")
            return
        self._changed.set()

    async def closed(self) -> None:
        """What has not arrived whole is thrown away; who asked for an archive says that it has it, or somebody sweeps."""
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        if self.target.direction == Direction.IN and not self._is_whole:
            await database_sync_to_async(services.end)(self.target.key)

    async def _run(self, *, is_out: bool) -> None:
        try:
            await (self._send_all() if is_out else self._take_all())
        except Disconnected:
            return
        except gateway.EngineError as error:
            await self._refuse(FULL, str(error))
        except OSError as error:
            await self._refuse(CONFLICT, f"The archive cannot be moved: {error.strerror}.")
        except Exception:  # a connection's edge
            log.exception("a transfer failed")
            await self._refuse(BROKEN, "Something in Berth itself went wrong. Its log has the details.")

    async def _refuse(self, code: int, sentence: str) -> None:
        with suppress(Disconnected):
            await self.refuse(code, sentence)

    async def _say(self, kind: str, **fields: object) -> None:
        await self.send(text_data=json.dumps({"t": kind, **fields}))

    async def _send_all(self) -> None:
        fd = gateway.open_transfer(self.target.key)
        try:
            while chunk := await asyncio.to_thread(os.read, fd, READ_BYTES):
                for at in range(0, len(chunk), PIECE_BYTES):
                    await self._until_room()
                    piece = chunk[at : at + PIECE_BYTES]
                    self._moved += len(piece)
                    await self.send(bytes_data=piece)
        finally:
            os.close(fd)
        await self._say("end", bytes=self._moved)

    async def _until_room(self) -> None:
        while self._moved - self._acknowledged >= WINDOW_BYTES:
            self._changed.clear()
            await self._changed.wait()

    async def _take_all(self) -> None:
        limit_bytes = gateway.engine_config().limits.archive_bytes
        fd = await asyncio.to_thread(gateway.new_transfer, self.target.key)
        try:
            await self._say("ready")
            while self._announced is None or self._pending:
                await self._changed.wait()
                self._changed.clear()
                pieces, self._pending = self._pending, []
                await asyncio.to_thread(_write, fd, pieces)
                size = sum(map(len, pieces))
                self._moved, self._pending_bytes = self._moved + size, self._pending_bytes - size
                if self._moved > limit_bytes:
                    await self.refuse(
                        TOO_BIG, f"The archive is larger than {limit_bytes} bytes, the most that is taken."
                    )
                    return
                await self._say("taken", bytes=self._moved)
        finally:
            os.close(fd)
        await self._finish()

    async def _finish(self) -> None:
        if self._moved != self._announced:
            sentence = f"Only {self._moved} of {self._announced} bytes have arrived. Try again."
            await self.refuse(BAD_REQUEST, sentence)
            return
        self._is_whole = await database_sync_to_async(services.arrived)(self.target, self._moved)
        await self._say("end", bytes=self._moved)


def _write(fd: int, pieces: list[bytes]) -> None:
    gateway.ensure_room_for("the upload")
    for piece in pieces:
        view = memoryview(piece)
        while view:
            view = view[os.write(fd, view) :]
