"""What all streams of one event loop share: one inotify, one look at the rows a second, one heartbeat write in five."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Self
from weakref import WeakKeyDictionary

from channels.db import database_sync_to_async

from dashboard.gateway.terminal import LogWatch
from dashboard.terminals import sessions
from dashboard.terminals.sizes import Sizes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dashboard.terminals.sessions import Facts, Key

LOOK_EVERY_S = 1.0
HEARTBEAT_EVERY_S = 5.0
_log = logging.getLogger(__name__)
_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()

if TYPE_CHECKING:
    Listener = Callable[[Facts | None], None]


class Hub:
    """Join it for as long as a stream lives. The last one to leave stops everything but sizes that are on their way:
    half a nudge would leave a program with a row too few.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._watch = LogWatch()
        loop.add_reader(self._watch.fileno(), self._watch.dispatch)
        self._listeners: dict[Key, set[Listener]] = defaultdict(set)
        self._sessions: dict[int, Callable[[], int]] = {}
        self._sizes: dict[Path, Sizes] = {}
        self._nudged = asyncio.Event()
        self._last_heartbeat = time.monotonic()
        self._members = 0
        self._task: asyncio.Task[None] | None = None

    @classmethod
    def of_running_loop(cls) -> Self:
        loop = asyncio.get_running_loop()
        if loop not in _hubs:
            _hubs[loop] = cls(loop)
        hub = _hubs[loop]
        if not isinstance(hub, cls):
            raise TypeError
        return hub

    def join(self) -> None:
        self._members += 1
        if self._task is None:
            self._task = self._loop.create_task(self._run())

    def leave(self) -> None:
        self._members -= 1
        if self._members > 0:
            return
        if self._task is not None:
            self._task.cancel()
        self._loop.remove_reader(self._watch.fileno())
        self._watch.close()
        _hubs.pop(self._loop, None)

    def watch_log(self, io: Path, listener: Callable[[bool], None]) -> int:
        """OSError while the folder is not there. The listener is told whether a tail has to look for files again."""
        return self._watch.add(io, listener)

    def unwatch_log(self, watch: int, listener: Callable[[bool], None]) -> None:
        self._watch.remove(watch, listener)

    def watch_row(self, key: Key, session: int, listener: Listener, segment: Callable[[], int]) -> None:
        """`listener` gets the row's facts at each look, None when the row is gone; `segment` says where it reads."""
        self._listeners[key].add(listener)
        self._sessions[session] = segment

    def unwatch_row(self, key: Key, session: int, listener: Listener, io: Path) -> None:
        """When the last one of a row goes, its sizes are forgotten, unless one is on its way."""
        self._listeners[key].discard(listener)
        if not self._listeners[key]:
            del self._listeners[key]
            if io in self._sizes and self._sizes[io].is_idle:
                del self._sizes[io]
        self._sessions.pop(session, None)

    def nudge(self) -> None:
        """Look at the rows now: something was said about one of them."""
        self._nudged.set()

    def sizes(self, io: Path) -> Sizes:
        """The one place in this process that sets the size of a container's terminal."""
        if io not in self._sizes:
            self._sizes[io] = Sizes(io, self._loop)
        return self._sizes[io]

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._nudged.wait()
            self._nudged.clear()
            try:
                await self._look()
                await self._beat()
            except Exception:  # noqa: BLE001 - the loop's edge: without it no stream would ever end
                _log.exception("looking at the containers of open streams failed; trying again")

    async def _look(self) -> None:
        wanted = list(self._listeners)
        if not wanted:
            return
        found = await database_sync_to_async(sessions.facts_of)(wanted)
        for key in wanted:
            for listener in list(self._listeners.get(key, ())):
                listener(found.get(key))

    async def _beat(self) -> None:
        if self._sessions and time.monotonic() - self._last_heartbeat >= HEARTBEAT_EVERY_S:
            self._last_heartbeat = time.monotonic()
            await database_sync_to_async(sessions.beat)({pk: segment() for pk, segment in self._sessions.items()})
