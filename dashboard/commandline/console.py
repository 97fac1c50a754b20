"""What a command talks to while it runs: frames out, interrupts and ended streams in, topics to wait for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

from channels.db import database_sync_to_async
from django.contrib.auth.models import AbstractBaseUser

# Frames are JSON objects of the protocol's shapes.
Frame = dict[str, Any]
P = ParamSpec("P")
T = TypeVar("T")
FEED_LIMIT = 100


class Interrupted(Exception):
    """The person pressed Ctrl-C."""


@dataclass(slots=True)
class Feed:
    """Payloads of one topic, the oldest dropped when nobody reads them: only the newest matters."""

    console: Console
    queue: asyncio.Queue[Frame] = field(default_factory=lambda: asyncio.Queue(FEED_LIMIT))

    def put(self, payload: Frame) -> None:
        if self.queue.full():
            with suppress(asyncio.QueueEmpty):
                self.queue.get_nowait()
        self.queue.put_nowait(payload)

    async def next(self, timeout_s: float) -> Frame | None:
        """The next payload; None when none came in time: then look at the row.

        Raises:
            Interrupted: the person asked to stop.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await self.console.unless_interrupted(self.queue.get())
        except TimeoutError:
            return None


@dataclass(slots=True)
class Console:
    """One per command. `join` and `leave` subscribe the connection to a topic; `send` writes one frame."""

    send: Callable[[Frame], Awaitable[None]]
    join: Callable[[str], Awaitable[None]]
    leave: Callable[[str], Awaitable[None]]
    user: AbstractBaseUser
    kind: str = "browser"  # or "cli"
    tty: bool = False
    tty_out: bool = False
    rows: int = 24
    columns: int = 80
    environment: Mapping[str, str] = field(default_factory=dict)
    client: str = ""
    team: str = ""  # of BERTH_TEAM where the command line runs; "" is the person's own choice
    interrupted: asyncio.Event = field(default_factory=asyncio.Event)
    ended_streams: asyncio.Queue[Frame] = field(default_factory=asyncio.Queue)
    files: asyncio.Queue[Frame] = field(default_factory=asyncio.Queue)
    answers: asyncio.Queue[Frame] = field(default_factory=asyncio.Queue)
    feeds: dict[str, list[Feed]] = field(default_factory=dict)

    async def out(self, text: str) -> None:
        if text:
            await self.send({"t": "out", "text": text})

    async def line(self, text: str) -> None:
        await self.send({"t": "out", "text": f"{text}\n"})

    async def err(self, text: str) -> None:
        await self.send({"t": "err", "text": f"{text}\n"})

    async def ask_file(self, kind: str, path: str) -> Frame:
        """Have the client "read" a file of its own that the command names, or "reserve" one for an id.

        Raises:
            Interrupted: the person asked to stop.
        """
        await self.send({"t": f"{kind}-file", "path": path})
        return await self.unless_interrupted(self.files.get())

    async def ask(self, prompt: str, *, is_secret: bool = False, reads_stdin: bool = False) -> str:
        """What the person types, or what the client's standard input holds.

        Raises:
            Interrupted: the person asked to stop, or there is nobody to ask.
        """
        await self.send({"t": "ask", "prompt": prompt, "secret": is_secret, "stdin": reads_stdin})
        answer = await self.unless_interrupted(self.answers.get())
        if answer.get("error"):
            await self.err(str(answer["error"])[:500])
            raise Interrupted
        return str(answer.get("text", ""))

    async def write_id(self, container_id: str) -> None:
        """Into the file that was reserved."""
        await self.send({"t": "write-file", "text": container_id})

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run code that uses the database in a thread made for it. It must not wait for anything else."""
        result: T = await database_sync_to_async(function)(*args, **kwargs)
        return result

    def told(self, topic: str, payload: Frame) -> None:
        for feed in self.feeds.get(topic, ()):
            feed.put(payload)

    @asynccontextmanager
    async def following(self, topic: str) -> AsyncIterator[Feed]:
        """Events of a topic from now on. Look at the row after entering: what came before is not told again."""
        feed = Feed(self)
        self.feeds.setdefault(topic, []).append(feed)
        await self.join(topic)
        try:
            yield feed
        finally:
            self.feeds[topic].remove(feed)
            if not self.feeds[topic]:
                del self.feeds[topic]
                await self.leave(topic)

    async def unless_interrupted(self, work: Awaitable[T]) -> T:
        """Wait for `work`, or stop at Ctrl-C.

        Raises:
            Interrupted: `work` was cancelled.
        """
        task = asyncio.ensure_future(work)
        stop = asyncio.ensure_future(self.interrupted.wait())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise Interrupted
        finally:
            for pending in (task, stop):
                if not pending.done():
                    pending.cancel()
