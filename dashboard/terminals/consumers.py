"""`/ws/terminals/<container id>`: one viewer, or one command-line stream, of one container; `/ws/execs/<exec id>`: the
same of one further command in it.

Output goes through a `Pump` in a task of its own, input through a `Keyboard`; this class only connects them to the
socket and to the container's row. The right to type is decided when the connection opens and looked at again every 5 s; a
key costs no database read.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qsl

from autobahn.exception import Disconnected
from channels.db import database_sync_to_async

from dashboard.containers.services import by_id, find_exec
from dashboard.core import events, gate
from dashboard.core.consumers import GuardedConsumer
from dashboard.gateway.config import engine_config
from dashboard.gateway.terminal import (
    Boundary,
    DetachKeys,
    LogGone,
    LogTail,
    Position,
    Snapshot,
    TimesInFront,
    parse,
    replay_start,
    since,
    tail_lines,
)
from dashboard.terminals import protocol, sessions
from dashboard.terminals.hub import Hub
from dashboard.terminals.keyboard import Keyboard, TooMuchInput
from dashboard.terminals.protocol import Close, FrameInvalid, StreamRequest
from dashboard.terminals.pump import NoAck, Pump

if TYPE_CHECKING:
    from pathlib import Path

    from dashboard.containers.models import Container, Exec
    from dashboard.terminals.models import StreamSession
    from dashboard.terminals.sessions import Facts

LOG_WAIT_S = 30.0
LOG_LOOK_EVERY_S = 0.02
_log = logging.getLogger(__name__)


class TerminalConsumer(GuardedConsumer):
    permission = gate.Permission.TERMINAL_OPEN
    input_permission: ClassVar[gate.Permission] = gate.Permission.TERMINAL_TYPE

    target: Container
    request: StreamRequest
    facts: Facts
    io: Path
    session: StreamSession | None = None
    hub: Hub | None = None
    keyboard: Keyboard | None = None
    pump: Pump | None = None
    tail: LogTail | None = None
    may_type = False
    may_resize = False
    is_live = False
    _task: asyncio.Task[None] | None = None
    _watch: int | None = None
    _log_lost_said = False
    _watching_said: tuple[str, ...] = ()
    _end_said = ""

    def __init__(self, *args: Any, **options: Any) -> None:  # Channels' interface
        super().__init__(*args, **options)
        self._tasks: set[asyncio.Future[None]] = set()

    def find_target(self) -> Container | None:
        return by_id(self.scope["url_route"]["kwargs"]["container_id"], self.user)

    def find_exec(self) -> Exec | None:
        """The further command that this is about; None: the container's own."""
        return None

    def find_io(self) -> Path:
        return engine_config().io(self.facts.container_id)

    # Opening

    async def opened(self) -> None:
        query = dict(parse_qsl(self.scope["query_string"].decode("latin-1"), keep_blank_values=True))
        try:
            self.request = protocol.parse_query(query)
            keys = DetachKeys(self.request.detach_keys)
        except ValueError as error:
            await self.refuse(Close.BAD_REQUEST, str(error))
            return
        refusal = await database_sync_to_async(self._register)()
        if refusal is not None:
            await self.refuse(*refusal)
            return
        self.io = self.find_io()
        self.hub = Hub.of_running_loop()
        self.hub.join()
        if self.session is not None:
            self.hub.watch_row(self.facts.key, self.session.pk, self._look_at, self._segment)
        await events.join(self, self.facts.topic)
        if self.may_type:
            self._make_keyboard(keys)
        self._task = asyncio.create_task(self._stream())

    def _register(self) -> tuple[int, str] | None:
        """In a database thread: rights, limits, the stream's row. A refusal, or None."""
        row = self.find_exec()
        key = sessions.key_of(row or self.target)
        facts = sessions.facts_of([key]).get(key)
        if facts is None:
            return Close.UNKNOWN, "There is nothing at this address."
        if sessions.count_of(self.user) >= sessions.STREAMS_PER_USER:
            return Close.TOO_MANY, f"You have {sessions.STREAMS_PER_USER} streams open. Close one of them first."
        self.facts = facts
        kind, mode = self.request.kind, self.request.mode
        self.session = sessions.open_session(self.target, self.user, kind=kind, mode=mode, row=row)
        has_right = self.request.mode == "attach" and self.allows(self.input_permission)
        self.may_resize = has_right and facts.tty
        self.may_type = has_right and facts.open_stdin and self.request.wants_input
        if self.may_type and not facts.tty and not facts.has_ended:
            self.may_type = sessions.take_input(self.session)
            if not self.may_type and self.request.kind == "cli":
                return Close.INPUT_TAKEN, "Somebody else holds the input of this container."
        return None

    def _make_keyboard(self, keys: DetachKeys) -> None:
        self.keyboard = Keyboard(
            self.io,
            asyncio.get_running_loop(),
            keys=keys if self.facts.tty else None,
            has_started=lambda: self.facts.has_started,
            on_detach=lambda: self._later(self._detach()),
            on_taken=lambda total: self._later(self.message("taken", bytes=total)),
        )
        if not self.facts.tty:
            self.keyboard.connect()

    # Output

    async def _stream(self) -> None:
        """The stream's whole life, in a task; every way out of it is a close code with a sentence."""
        try:
            await self._stream_until_end()
        except NoAck:
            await self.refuse(Close.NO_ACK, "The reader took nothing for a minute.")
        except LogGone as error:
            await self.refuse(Close.LOG_GONE, str(error))
        except Disconnected:  # the reader went away a moment ago; `disconnect` is on its way
            await self._end()
        except Exception:  # noqa: BLE001 - the stream's edge: the reader is told, and the row released
            _log.exception("the stream of container %s failed", self.facts.container_id)
            await self.refuse(Close.BROKEN, "The stream failed.")

    async def _stream_until_end(self) -> None:
        await self.message("hello", **self._hello())
        if not await self._wait_for_log():
            await self._say_exit()
            return
        await self._wait_for_since()
        is_terminal = self.request.mode == "attach" and self.facts.tty
        boundary, end = await asyncio.to_thread(self._where_to_start)
        tail = self._open_tail(boundary.position)
        self.pump = pump = Pump(
            self.io,
            tail,
            self,
            may_skip=self.request.kind == "browser",
            waits_for_acks=self.request.kind == "cli",
            parser=TimesInFront() if self.request.timestamps else parse,
            until_ns=self.request.until_ns,
        )
        self._follow_folder(pump)
        if self.facts.has_ended:
            pump.ended()
        if is_terminal:
            modes = await pump.replay(boundary, end)
            self._set_size(is_alternate=modes.is_alternate)
        elif self.request.mode == "logs":
            await pump.copy(end)
        await self.message("live")
        self.is_live = True
        if self.request.mode == "attach" or self.request.follow:
            await pump.follow()
        await self._say_exit()

    def _where_to_start(self) -> tuple[Boundary, Position]:
        """In a thread: where to begin, and where what was there already ends."""
        with Snapshot(self.io) as now:
            return self._boundary(now), now.end()

    def _boundary(self, now: Snapshot) -> Boundary:
        start, tail = self.request.start, self.request.tail
        if start == "replay":
            return replay_start(now)
        if start == "end":
            return Boundary(now.end())
        if start != "start":
            return Boundary(Position.parse(start))
        position = now.start if tail is None else tail_lines(now, tail)
        since_ns = self.request.since_ns
        return Boundary(position if since_ns is None else max(position, since(now, since_ns)))

    def _open_tail(self, position: Position) -> LogTail:
        self.tail = LogTail(self.io, position, pin=self.request.kind == "cli")
        return self.tail

    def _follow_folder(self, pump: Pump) -> None:
        if self.hub is not None:
            self._watch = self.hub.watch_log(self.io, pump.wake)
            pump.wake(is_folder_change=True)  # what happened between opening the tail and watching

    async def _wait_for_log(self) -> bool:
        """The log is made, and given to us, right before a container's first start; False when it will not come."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LOG_WAIT_S
        while not os.access(self.io / "ctr.log", os.R_OK):
            if self.facts.has_ended:
                return False
            if self.facts.state != "created" and loop.time() > deadline:
                return False
            await asyncio.sleep(LOG_LOOK_EVERY_S)
        return True

    async def _wait_for_since(self) -> None:
        """Of a log that is followed nothing is wanted before a time that is still to come."""
        while True:
            left_s = ((self.request.since_ns or 0) - time.time_ns()) / 1e9
            if left_s <= 0 or self.facts.has_ended or not self.request.follow:
                return
            await asyncio.sleep(min(left_s, 1.0))

    async def _say_exit(self) -> None:
        """Everything was sent. The row is told first that nobody waits for it any more, when that is so."""
        is_log = self.request.mode == "logs"
        code = 0 if is_log else self.facts.exit_code
        await self.message("exit", code=code, reason="" if is_log else self.said(self.facts.reason))
        if self.pump is not None:
            with suppress(NoAck):
                await self.pump.drain()
        await self.finish(Close.NORMAL, "The stream has ended.")

    def _hello(self) -> dict[str, object]:
        facts = self.facts
        return {
            "container": facts.container_id,
            "tty": facts.tty,
            "write": self.may_type,
            "state": facts.state,
            "name": facts.name,
            "image": facts.image,
            "exec": facts.exec_id,
            "title": facts.title,
        }

    def _set_size(self, *, is_alternate: bool) -> None:
        """The viewer's size is the terminal's; full-screen programs redraw."""
        rows, columns = self.request.rows, self.request.columns
        if self.may_resize and self.hub is not None and rows and columns and not self.facts.has_ended:
            self.hub.sizes(self.io).ask_or_nudge(rows, columns, is_alternate=is_alternate)

    async def frame(self, data: bytes) -> None:
        await self.send(bytes_data=data)

    async def message(self, kind: str, /, **fields: object) -> None:
        await self.send(text_data=protocol.encode_message(kind, **fields))

    # Input

    async def binary(self, data: bytes) -> None:
        """Input. Dropped without the right, and, for a terminal in a browser, until the replay is over (WS-10)."""
        if self.keyboard is None or not self.may_type:
            return
        if self.facts.tty and self.request.kind == "browser" and not self.is_live:
            return
        try:
            self.keyboard.feed(data)
        except TooMuchInput:
            await self.refuse(Close.TOO_BIG, "Too much input at once.")

    async def text(self, text: str) -> None:
        try:
            message = protocol.decode_client(text)
        except FrameInvalid as error:
            await self.refuse(Close.BAD_REQUEST, str(error))
            return
        match message:
            case protocol.Ack(total):
                if self.pump is not None:
                    self.pump.acked(total)
            case protocol.Resize(rows, columns):
                if self.may_resize and self.hub is not None and not self.facts.has_ended:
                    self.hub.sizes(self.io).ask(rows, columns)
            case protocol.Eof():
                if self.keyboard is not None and self.may_type:
                    self.keyboard.eof()
            case protocol.Detach():
                await self._detach()

    async def _detach(self) -> None:
        if self.is_open:
            await self.message("detached")
            await self.finish(Close.NORMAL, "Detached.")

    @property
    def _is_shown_who_watches(self) -> bool:
        """A page, once it has been greeted."""
        return self.request.kind == "browser" and self.request.mode == "attach" and self.pump is not None

    def said(self, sentence: str) -> str:
        """A command line speaks English, whoever opened it."""
        is_cli = hasattr(self, "request") and self.request.kind == "cli"
        return sentence if is_cli else super().said(sentence)

    def _segment(self) -> int:
        return self.tail.position.segment if self.tail is not None else 0

    # The container's row

    def _look_at(self, facts: Facts | None) -> None:
        """The hub has read the row again; None: it is gone."""
        before = self.facts
        self.facts = facts if facts is not None else sessions.removed(before)
        if self.facts.has_ended and not before.has_ended and self.pump is not None:
            self.pump.ended()
        if self.facts.log_lost and not self._log_lost_said:
            self._log_lost_said = True
            sentence = "The disk is or was full: output is missing. Typing and stopping still work."
            self._later(self.message("notice", kind="log-lost", message=self.said(sentence)))
        if self.facts.watching != self._watching_said and self._is_shown_who_watches:
            self._watching_said = self.facts.watching
            self._later(self.message("watching", names=list(self._watching_said)))
        if self.facts.ends_at != self._end_said and self._is_shown_who_watches:
            self._end_said = self.facts.ends_at
            self._later(self.message("life", ends_at=self._end_said, cause=self.facts.ends_of))

    async def topic_event(self, event: dict[str, Any]) -> None:
        """Something was published about this container; the row says what."""
        if self.hub is not None:
            self.hub.nudge()

    async def rechecked(self) -> None:
        if self.may_type or self.may_resize:
            has_right = await database_sync_to_async(self.allows)(self.input_permission)
            self.may_type, self.may_resize = self.may_type and has_right, self.may_resize and has_right

    # Closing

    async def disconnect(self, code: int) -> None:
        """A command line that is gone has no more input, as with Docker: `cat` ends. A page may be loaded again."""
        if self.is_open and self.may_type and self.keyboard is not None and self.request.kind == "cli":
            self.keyboard.eof()
        await super().disconnect(code)

    def _later(self, work: Any) -> None:  # a coroutine of any result
        """Run it as a task that nobody waits for; a connection that is gone is no error."""
        task = asyncio.ensure_future(_quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def closed(self) -> None:
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        if self.keyboard is not None:
            self.keyboard.close()
        if self.hub is not None:
            if self._watch is not None and self.pump is not None:
                self.hub.unwatch_log(self._watch, self.pump.wake)
            if self.session is not None:
                self.hub.unwatch_row(self.facts.key, self.session.pk, self._look_at, self.io)
            self.hub.leave()
        if self.tail is not None:
            self.tail.close()
        if self.session is not None:
            await database_sync_to_async(sessions.end)(self.session.pk)


class ExecConsumer(TerminalConsumer):
    """Rights are those on the container that it runs in."""

    def find_exec(self) -> Exec | None:
        return find_exec(self.scope["url_route"]["kwargs"]["exec_id"], self.user)

    def find_target(self) -> Container | None:
        row = self.find_exec()
        return None if row is None else row.container

    def find_io(self) -> Path:
        return engine_config().exec_folder(self.facts.container_id, self.facts.exec_id) / "io"


async def _quietly(work: Any) -> None:
    with suppress(RuntimeError, OSError):
        await work
