"""`/ws/command`: one connection, one command after another."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from dashboard.commandline.console import Console, Frame
from dashboard.commandline.execute import execute
from dashboard.core import events
from dashboard.core.consumers import GuardedConsumer
from dashboard.core.gate import Permission
from dashboard.grammar import UsageError, split_line, without_program
from dashboard.teams import scope

MAX_SIZE = 1000
WORDS_LIMIT = 10_000


class FrameInvalid(ValueError):
    """The client sent something that is no frame of this protocol."""


def words_of(frame: Frame) -> list[str]:
    """The words of a "run" frame: given one by one, or as a pasted line.

    Raises:
        FrameInvalid: neither.
        UsageError: the line cannot be split.
    """
    argv, line = frame.get("argv"), frame.get("line")
    if isinstance(argv, list) and len(argv) <= WORDS_LIMIT and all(isinstance(word, str) for word in argv):
        return without_program(argv)
    if isinstance(line, str):
        return split_line(line)
    msg = "A command has 'argv', a list of words, or 'line', a text."
    raise FrameInvalid(msg)


def _size(frame: Frame, name: str, default: int) -> int:
    value = frame.get(name)
    return min(max(value, 1), MAX_SIZE) if isinstance(value, int) and not isinstance(value, bool) else default


def _environment(frame: Frame) -> dict[str, str]:
    given = frame.get("environment")
    return {str(name): str(value) for name, value in given.items()} if isinstance(given, dict) else {}


class CommandConsumer(GuardedConsumer):
    permission = Permission.COMMAND
    _task: asyncio.Task[None] | None = None
    _console: Console | None = None

    async def text(self, text: str) -> None:
        try:
            frame = json.loads(text)
            if not isinstance(frame, dict):
                msg = "A frame is a JSON object."
                raise FrameInvalid(msg)
            await self._frame(frame)
        except (ValueError, RecursionError) as error:
            sentence = str(error) if isinstance(error, FrameInvalid) else "That was not JSON."
            await self._send({"t": "error", "message": sentence})

    async def _frame(self, frame: Frame) -> None:
        kind = frame.get("t")
        if kind == "run":
            await self._run(frame)
        elif kind == "interrupt":
            if self._console is not None:
                self._console.interrupted.set()
        elif kind == "stream-ended":
            if self._console is not None:
                self._console.ended_streams.put_nowait(frame)
        elif kind == "file":
            if self._console is not None:
                self._console.files.put_nowait(frame)
        elif kind == "answer":
            if self._console is not None:
                self._console.answers.put_nowait(frame)
        else:
            msg = "The frame has no known type."
            raise FrameInvalid(msg)

    async def _run(self, frame: Frame) -> None:
        if self._task is not None and not self._task.done():
            msg = "A command is running. Wait for its end, or interrupt it."
            raise FrameInvalid(msg)
        try:
            words = words_of(frame)
        except UsageError as error:
            await self._send({"t": "err", "text": f"{error.message}\n"})
            await self._send({"t": "exit", "code": error.exit_code})
            return
        self._console = Console(
            send=self._send,
            join=lambda topic: events.join(self, topic),
            leave=lambda topic: events.leave(self, topic),
            user=self.user,
            kind="cli" if "argv" in frame else "browser",
            tty=bool(frame.get("tty")),
            tty_out=bool(frame.get("tty_out")),
            rows=_size(frame, "rows", 24),
            columns=_size(frame, "cols", 80),
            environment=_environment(frame),
            client=str(frame.get("client", ""))[:200],
            team={"all": scope.ALL}.get(team := str(frame.get("team", ""))[:100], team),
        )
        self._task = asyncio.create_task(self._execute(self._console, words))

    async def _execute(self, console: Console, words: list[str]) -> None:
        code = await execute(console, words)
        self._task = None
        await self._send({"t": "exit", "code": code})

    async def topic_event(self, event: dict[str, Any]) -> None:
        if self._console is not None:
            self._console.told(event["topic"], event["payload"])

    async def closed(self) -> None:
        """The client is gone. What it asked for goes on; only nobody is told any more."""
        if self._task is not None:
            self._task.cancel()

    async def _send(self, frame: Frame) -> None:
        await self.send(text_data=json.dumps(frame, ensure_ascii=False))
