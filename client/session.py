"""One command: send the words, show the answers, open the stream that the server names, return the exit code."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import suppress

from client.connection import Connection, Frame
from client.errors import ConnectionLost
from client.files import Files
from client.locate import Place
from client.output import STDERR, STDIN, STDOUT, notice, terminal_size, write_said, write_text
from client.progress import Progress
from client.screen import Screen
from client.signals import Signals
from client.stream import Ended, Stream
from client.version import version_line

INTERRUPTED = 130
LOST = 125
FILES = frozenset({"read-file", "reserve-file", "write-file"})


def named_environment(argv: Sequence[str]) -> dict[str, str]:
    """The variables that words like `-e NAME` may ask for: only those whose bare name stands among the words."""
    names = (word.removeprefix("--env=").removeprefix("-e") if word.startswith("-") else word for word in argv)
    return {name: os.environ[name] for name in names if name in os.environ}


def _progress_on(fd: int) -> Progress:
    columns = (lambda: terminal_size()[1]) if os.isatty(fd) else None
    return Progress(write=lambda text: write_text(fd, text), columns=columns)


def _exit_code(frame: Frame) -> int:
    return int(frame.get("code") or 0)


class Session:
    def __init__(self, place: Place) -> None:
        self._place = place
        self._progress = {"out": _progress_on(STDOUT), "err": _progress_on(STDERR)}
        self._connection = Connection.open(place, "/ws/command")
        self._signals = Signals(self._on_signal)
        self._screen = Screen()
        self._interrupts = 0
        self._ended: Ended | None = None
        self._refusal = ""
        self._argv: Sequence[str] = ()
        self._files = Files(())

    def _on_signal(self, number: int) -> None:
        if number in {signal.SIGWINCH, signal.SIGCONT}:
            return
        self._interrupts += 1
        if self._interrupts > 1:
            os._exit(INTERRUPTED)
        try:
            self._connection.send({"t": "interrupt"})
        except ConnectionLost:
            os._exit(INTERRUPTED)

    def run(self, argv: Sequence[str]) -> int:
        """The command's exit code.

        Raises:
            BrokenPipeError: nobody reads our output any more.
        """
        self._argv = argv
        self._files = Files(argv)
        try:
            with suppress(ConnectionLost):  # a refusal may be waiting to be read
                self._connection.send(self._request(argv))
            return self._until_exit()
        except ConnectionLost:
            return self._without_server()
        finally:
            self._files.close()
            self._connection.close()

    def _request(self, argv: Sequence[str]) -> Frame:
        rows, columns = terminal_size()
        return {
            "t": "run",
            "argv": list(argv),
            "tty": os.isatty(STDIN),
            "tty_out": os.isatty(STDOUT),
            "rows": rows,
            "cols": columns,
            "environment": named_environment(argv),
            "client": version_line(),
            "team": os.environ.get("BERTH_TEAM", ""),
        }

    def _until_exit(self) -> int:
        while (frame := self._connection.receive()) is not None:
            if isinstance(frame, dict) and (code := self._show(frame)) is not None:
                return code
        return self._without_server()

    def _show(self, frame: Frame) -> int | None:
        """Do what a frame says; the exit code once there is one. Frames of a newer Berth are passed over."""
        kind = str(frame.get("t"))
        if kind == "progress":
            self._show_progress(frame)
            return None
        for bars in self._progress.values():
            bars.settle()
        if kind in FILES:
            if (answer := self._files.answer(frame)) is not None:
                self._connection.send(answer)
            return None
        acts = {"stream": self._stream, "transfer": self._transfer, "ask": self._ask, "exit": _exit_code}
        act = acts.get(kind, self._show_text)
        return act(frame)

    def _show_progress(self, frame: Frame) -> None:
        current, total = (int(frame.get(key) or 0) for key in ("current", "total"))
        bars = self._progress.get(str(frame.get("to", "out")), self._progress["out"])
        bars.show(str(frame.get("id", "")), str(frame.get("status", "")), current, total)

    def _show_text(self, frame: Frame) -> None:
        kind, text = frame.get("t"), str(frame.get("text", ""))
        if kind == "out":
            write_said(STDOUT, text)
        elif kind == "err":
            write_said(STDERR, text)
        elif kind == "screen":
            self._screen.show(text)
        elif kind == "error":
            self._refusal = str(frame.get("message", ""))

    def _stream(self, frame: Frame) -> int | None:
        """An exit code only where the person stopped watching: the door's answer is not waited for."""
        stream = Stream(self._place, frame)
        self._signals.handler = stream.on_signal
        self._ended = stream.run()
        self._signals.handler = self._on_signal
        if self._ended.how == "detached":
            write_text(STDERR, "read escape sequence\n")
        self._connection.send({"t": "stream-ended", "how": self._ended.how, "code": self._ended.code})
        return self._ended.code if self._ended.how == "interrupted" else None

    def _transfer(self, frame: Frame) -> None:
        from client.transfer import Transfer

        transfer = Transfer(self._place, frame, self._argv)
        self._signals.handler = transfer.on_signal
        ended = transfer.run()
        self._signals.handler = self._on_signal
        self._connection.send({"t": "stream-ended", "how": ended.how, "code": ended.code})

    def _ask(self, frame: Frame) -> None:
        from client import asking

        self._signals.handler = asking.stop
        self._connection.send(asking.answer(frame, self._argv))
        self._signals.handler = self._on_signal

    def _without_server(self) -> int:
        """The door is gone. What the stream said still holds."""
        if self._ended is not None and self._ended.code is not None:
            return self._ended.code
        if self._refusal:
            write_said(STDERR, f"Error: {self._refusal}\n")
            return LOST
        notice("the connection to Berth was lost. What it was doing goes on; ask again to see.")
        return LOST
