"""One container's terminal or log on this terminal or pipe.

Output frames carry the position in the container's log that follows them. If the web process goes away, the stream goes
on from the last position written: nothing is lost, nothing comes twice. What is typed meanwhile is refused with a bell;
a pipe is simply not read.
"""

from __future__ import annotations

import os
import signal
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

from client.connection import Connection, Frame
from client.errors import ConnectionLost, Failed
from client.keyboard import BELL, Keyboard, RawMode
from client.locate import Place
from client.output import STDERR, STDIN, STDOUT, notice, terminal_size, write_all
from client.window import InputWindow

HEADER = struct.Struct(">BIQ")
ACK_BYTES = 64 * 1024
ACK_SOON_S = 0.02
STILL_HERE_S = 15
PATIENCE_S = 120
LOST = 125
SIGNALLED = 128
CLOSES = {
    4401: "Berth no longer accepts this command line's secret.",
    4403: "This container may not be opened.",
    4404: "The container is gone.",
    4409: "Somebody else holds the input of this container.",
    4410: "The log has moved on past the place where this output stood.",
    4413: "Too much input at once.",
    4429: "Too many streams are open.",
}


@dataclass(frozen=True, slots=True)
class Ended:
    """`how` is "exited", "detached", "interrupted" or "lost"; `code` the container's, where the stream said it."""

    how: str
    code: int | None = None


class Stream:
    def __init__(self, place: Place, frame: Frame) -> None:
        self._place = place
        self._path = str(frame["path"])
        self._container = str(frame.get("container", ""))
        self._tty = bool(frame.get("tty"))
        self._proxies_signals = bool(frame.get("sig_proxy", not self._tty))
        self._keyboard = Keyboard(STDIN, self._typed) if frame.get("interactive") else None
        self._position: tuple[int, int] | None = None
        self._connection: Connection | None = None
        self._connected = threading.Event()
        self._window = InputWindow()
        self._consumed = 0
        self._acknowledged = 0
        self._error = ""
        self._interrupts = 0
        self._stopped_by = 0
        self._is_over = threading.Event()

    # -- from other threads

    def on_signal(self, number: int) -> None:
        """Window size to the terminal; other signals to the container, as a kill, where it has no terminal."""
        if number in {signal.SIGWINCH, signal.SIGCONT}:
            self._resize()
        elif self._proxies_signals:
            self._interrupts += number in {signal.SIGINT, signal.SIGTERM}
            if self._interrupts > 2:
                notice("got 3 SIGTERM/SIGINTs, forcefully exiting")
                os._exit(1)
            self._forward(number)
        elif number in {signal.SIGHUP, signal.SIGTERM} or not (self._keyboard and self._tty):
            self._stop_watching(number)

    def _resize(self) -> None:
        if not self._tty or not self._connected.is_set():
            return
        rows, columns = terminal_size()
        self._try_to_send({"t": "resize", "rows": rows, "cols": columns})

    def _forward(self, number: int) -> None:
        try:
            connection = Connection.open(self._place, "/ws/command")
            connection.send({"t": "run", "argv": ["kill", "-s", str(number), self._container], "tty": False})
            while (frame := connection.receive(10)) is not None:
                if isinstance(frame, dict) and frame.get("t") == "exit":
                    break
            connection.close()
        except (Failed, ConnectionLost, TimeoutError):
            notice(f"signal {number} could not be passed on")

    def _stop_watching(self, number: int) -> None:
        self._stopped_by = number
        self._is_over.set()
        if self._connection is not None:
            self._connection.close()

    def _typed(self, data: bytes) -> None:
        if self._tty and not self._connected.is_set():
            write_all(STDERR, BELL)
            return
        if not self._window.wait_for(len(data)):
            return
        while not self._is_over.is_set():
            self._connected.wait()
            try:
                self._pass_on(data)
            except ConnectionLost:
                self._connected.clear()
            else:
                return

    def _pass_on(self, data: bytes) -> None:
        if self._connection is None:
            return
        if data:
            self._connection.send_bytes(data)
        else:
            self._connection.send({"t": "eof"})

    def _try_to_send(self, frame: Frame) -> None:
        try:
            if self._connection is not None:
                self._connection.send(frame)
        except ConnectionLost:
            self._connected.clear()

    def _say_still_here(self) -> None:
        """A reader that takes a minute for a page is slow, not gone: say so, or the server ends the stream."""
        while not self._is_over.wait(STILL_HERE_S):
            if self._consumed and self._connected.is_set():
                self._try_to_send({"t": "ack", "bytes": self._consumed})

    # -- the main thread

    def run(self) -> Ended:
        """Until the container exits, the person detaches, or the server stays away.

        Raises:
            BrokenPipeError: nobody reads our output any more.
        """
        threading.Thread(target=self._say_still_here, name="still-here", daemon=True).start()
        raw = RawMode(STDIN) if self._tty and self._keyboard else None
        try:
            self._open(first=True)
            if raw:
                raw.__enter__()
            if self._keyboard:
                self._keyboard.start()
            return self._until_the_end()
        finally:
            self._is_over.set()
            self._window.close()
            if self._keyboard and self._connection:
                self._keyboard.stop()
            if raw:
                raw.__exit__(None, None, None)
            if self._connection:
                self._connection.close()

    def _open(self, *, first: bool) -> None:
        self._connected.clear()
        path = self._path_now()
        if first:
            self._connection = Connection.open(self._place, path)
        else:
            self._connection = Connection.reopen(self._place, path, patience_s=PATIENCE_S)
        self._consumed = self._acknowledged = 0
        self._window.reset()
        self._connected.set()

    def _path_now(self) -> str:
        parts = urlsplit(self._path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True)) | {"kind": "cli"}
        if self._tty:
            rows, columns = terminal_size()
            query |= {"rows": str(rows), "cols": str(columns)}
        if self._position is not None:
            query["from"] = f"{self._position[0]}.{self._position[1]}"
            query.pop("tail", None)
        return f"{parts.path}?{urlencode(query)}"

    def _until_the_end(self) -> Ended:
        while True:
            try:
                ended: Ended | None = self._follow()
            except ConnectionLost:
                ended = None
            if self._stopped_by:
                return Ended("interrupted", SIGNALLED + self._stopped_by)
            if ended is None:
                self._connected.clear()
                notice("the connection was lost, reconnecting")
                try:
                    self._open(first=False)
                except Failed:
                    notice("Berth did not come back. The container goes on if it was running.")
                    return Ended("lost", LOST)
                notice("connected again")
            else:
                return ended

    def _follow(self) -> Ended:
        connection = self._connection
        if connection is None:
            raise ConnectionLost
        while True:
            try:
                message = connection.receive(ACK_SOON_S if self._consumed > self._acknowledged else None)
            except TimeoutError:
                self._acknowledge(connection)
                continue
            if message is None:
                return self._closed(connection)
            if isinstance(message, bytes):
                self._output(connection, message)
            elif ended := self._frame(connection, message):
                return ended

    def _output(self, connection: Connection, message: bytes) -> None:
        stream, segment, offset = HEADER.unpack_from(message)
        payload = memoryview(message)[HEADER.size :]
        write_all(STDERR if stream == 2 else STDOUT, bytes(payload))
        self._position = (segment, offset)
        self._consumed += len(payload)
        if self._consumed - self._acknowledged >= ACK_BYTES:
            self._acknowledge(connection)

    def _acknowledge(self, connection: Connection) -> None:
        """Whether the server is still there, what it has said already tells: it may have let us go with its last words."""
        self._acknowledged = self._consumed
        with suppress(ConnectionLost):
            connection.send({"t": "ack", "bytes": self._consumed})

    def _frame(self, connection: Connection, frame: Frame) -> Ended | None:
        kind = frame.get("t")
        if kind == "exit":
            if self._consumed > self._acknowledged:
                self._acknowledge(connection)
            code = frame.get("code")
            return Ended("exited", code if isinstance(code, int) else None)
        if kind == "detached":
            return Ended("detached", 0)
        if kind == "taken":
            self._window.taken(int(frame.get("bytes") or 0))
        elif kind == "notice":
            notice(str(frame.get("message", "")))
        elif kind == "error":
            self._error = str(frame.get("message", ""))
        return None

    def _closed(self, connection: Connection) -> Ended:
        """The server closed in order. 4408 is its answer to a reader that stood still: go on from where we are."""
        if connection.close_code == 4408:
            raise ConnectionLost
        text = self._error or CLOSES.get(connection.close_code or 0, "")
        if text:
            notice(text)
            return Ended("lost", LOST)
        return Ended("exited")
