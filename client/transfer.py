"""An archive from Berth into a file or a pipe, or the other way. Nothing is kept in memory but a window.

Both ends count: fewer bytes than were told are a failure, and a file that is not whole never gets its name. Unlike a
terminal's stream this one does not go on after the connection broke off: the command fails, and nothing was changed.
"""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from client.connection import Connection, Frame
from client.errors import ConnectionLost, Failed
from client.locate import Place
from client.output import STDIN, STDOUT, notice, write_all
from client.stream import Ended

WINDOW_BYTES = 1024 * 1024
PIECE_BYTES = 64 * 1024
ACK_BYTES = 256 * 1024
SIGNALLED = 128
FAILED = 1
NAMED_BY = ("-o", "-i", "--output=", "--input=", "-o=", "-i=")


class Refused(Exception):
    """The server, or this host's disk, will not go on; the sentence says why."""


def is_named(path: str, argv: Sequence[str]) -> bool:
    """Whether the person named this file: whoever answers at the other end may not name another."""
    return any(word == path or word in {f"{flag}{path}" for flag in NAMED_BY} for word in argv)


class Transfer:
    def __init__(self, place: Place, frame: Frame, argv: Sequence[str]) -> None:
        self._place = place
        self._path = str(frame.get("path", ""))
        self._is_out = frame.get("direction") == "out"
        self._file = str(frame.get("file", ""))
        self._copy = str(frame.get("copy", ""))  # of `cp`: the path here that a tar is made of, or unpacked at
        self._keep_owners, self._follow = bool(frame.get("keep_owners")), bool(frame.get("follow"))
        self._is_allowed = (not self._file or is_named(self._file, argv)) and (not self._copy or self._copy in argv)
        self._partial: Path | None = None

    def on_signal(self, number: int) -> None:
        """In a thread of its own. The server notices that we are gone, and undoes what it began."""
        if number in {signal.SIGWINCH, signal.SIGCONT, signal.SIGUSR1, signal.SIGUSR2}:
            return
        self._discard()
        os._exit(SIGNALLED + number)

    def run(self) -> Ended:
        """Until the last byte has arrived.

        Raises:
            BrokenPipeError: nobody reads our output any more.
        """
        if not self._is_allowed:
            notice(f"{self._file or self._copy} is not a file of this command")
            return Ended("lost", FAILED)
        try:
            if self._copy:
                self._receive_copy() if self._is_out else self._send_copy()
            else:
                self._receive_file() if self._is_out else self._send_file()
        except (Refused, Failed) as error:
            notice(str(error))
        except ConnectionLost:
            notice("the connection to Berth was lost before the last byte; nothing was changed.")
        else:
            return Ended("exited", 0)
        finally:
            self._discard()
        return Ended("lost", FAILED)

    # -- out

    def _receive_file(self) -> None:
        target = self._open_target()
        connection = Connection.open(self._place, self._path)
        try:
            self._receive_all(connection, target)
            if self._file:
                self._keep(target)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise Refused(_failure("write", self._file, error)) from error
        finally:
            connection.close()
            if target != STDOUT:
                os.close(target)

    def _receive_copy(self) -> None:
        from client import unpack

        connection = Connection.open(self._place, self._path)
        try:
            unpack.Unpacker(self._copy, keep_owners=self._keep_owners).run(self._pieces(connection))
        except unpack.Refused as error:
            raise Refused(str(error)) from error
        except OSError as error:
            raise Refused(_failure("write", error.filename or self._copy, error)) from error
        finally:
            connection.close()

    def _open_target(self) -> int:
        if not self._file:
            return STDOUT
        try:
            path = Path(self._file)
            if path.exists() and not path.is_file():  # a pipe, /dev/null
                return os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            self._partial = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}")
            return os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Refused(_failure("open", self._file, error)) from error

    def _receive_all(self, connection: Connection, target: int) -> None:
        for piece in self._pieces(connection):
            write_all(target, piece)

    def _pieces(self, connection: Connection) -> Iterator[bytes]:
        """Up to the last byte that the server has counted."""
        received = acknowledged = 0
        while True:
            message = self._next(connection)
            if isinstance(message, bytes):
                yield message
                received += len(message)
                if received - acknowledged >= ACK_BYTES:
                    with suppress(ConnectionLost):  # the rest may have come already
                        connection.send({"t": "ack", "bytes": received})
                    acknowledged = received
            elif message.get("t") == "end":
                if message.get("bytes") != received:
                    raise ConnectionLost
                return

    def _keep(self, target: int) -> None:
        if self._partial is not None:
            os.fsync(target)
            self._partial.replace(self._file)
            self._partial = None

    def _discard(self) -> None:
        if self._partial is not None:
            with suppress(OSError):
                self._partial.unlink(missing_ok=True)
            self._partial = None

    # -- in

    def _send_file(self) -> None:
        try:
            source = os.open(self._file, os.O_RDONLY | os.O_CLOEXEC) if self._file else STDIN
        except OSError as error:
            raise Refused(_failure("open", self._file, error)) from error
        connection = Connection.open(self._place, self._path)
        try:
            self._send_all(connection, source)
        finally:
            connection.close()
            if source != STDIN:
                os.close(source)

    def _send_copy(self) -> None:
        from client.pack import Packer

        try:
            packer = Packer(self._copy, follow=self._follow)
        except OSError as error:
            raise Refused(_failure("lstat", self._copy, error)) from error
        connection = Connection.open(self._place, self._path)
        try:
            self._send_all(connection, packer.fd, packer.finish)
        except OSError as error:
            raise Refused(_failure("read", str(error.filename or self._copy), error)) from error
        finally:
            connection.close()
            os.close(packer.fd)

    def _send_all(self, connection: Connection, source: int, finish: Callable[[], None] = lambda: None) -> None:
        """`finish` may still say that it was not all."""
        while self._said(connection).get("t") != "ready":
            pass
        sent = taken = 0
        try:
            while data := self._read(source):
                while sent + len(data) - taken > WINDOW_BYTES:
                    taken = max(taken, _count(self._said(connection)))
                connection.send_bytes(data)
                sent += len(data)
            finish()
            connection.send({"t": "eof", "bytes": sent})
        except ConnectionLost:
            self._last_words(connection)
            raise
        while (frame := self._said(connection)).get("t") != "end":
            pass
        if _count(frame) != sent:
            raise ConnectionLost

    def _read(self, source: int) -> bytes:
        try:
            return os.read(source, PIECE_BYTES)
        except OSError as error:
            raise Refused(_failure("read", self._file, error)) from error

    def _last_words(self, connection: Connection) -> None:
        """What the server said before it broke off: it may have had a reason."""
        while True:
            self._said(connection)

    # -- both

    def _said(self, connection: Connection) -> Frame:
        while isinstance(message := self._next(connection), bytes):
            pass
        return message

    def _next(self, connection: Connection) -> Frame | bytes:
        """The next frame.

        Raises:
            Refused: the server's reason for not going on.
            ConnectionLost: the connection ended.
        """
        message = connection.receive()
        if message is None:
            raise ConnectionLost
        if isinstance(message, dict) and message.get("t") == "error":
            raise Refused(str(message.get("message", "")))
        return message


def _count(frame: Frame) -> int:
    return int(frame.get("bytes") or 0)


def _failure(what: str, path: str, error: OSError) -> str:
    return f"{what} {path or 'standard input'}: {(error.strerror or str(error)).lower()}"
