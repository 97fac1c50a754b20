"""Typing into a container: conmon's attach socket, for input only.

We connect and shut our reading side down at once. conmon's next write to us then fails and it stops writing to this
client, while input goes on working; so nothing of ours can ever block conmon, which otherwise freezes the container
when one client does not read (runtime.md 2). Output comes from the log.

Packets are at most 4 KiB (conmon cuts packets above 32 KiB silently; big ones have hung it). A program that does not
read stops us after some 150 kB in the socket: then `flush` leaves the rest in the queue.

End of input has a trap of its own. conmon 2.1.6 frees a client that it can neither write to nor read from any more, and
only then looks into it whether standard input is to be closed (conn_sock.c, terminate_remote_sock): the program waits
for ever. A client that it can still write to is heard. So the end is said twice, by an empty packet each time: on our
connection, whose hang-up says that conmon has passed on all that was in it (an empty queue of the socket does not: the
last packet may still wait inside conmon), then on a fresh one that is read until conmon has taken the second.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from engine.errors import WrongState

if TYPE_CHECKING:
    from pathlib import Path

PACKET_BYTES = 4096
_UNIX_PATH_LIMIT = 107
INTERRUPT = b"\x03"
_END = b""
_LOOK_S = 0.005
_LOOK_SLOWEST_S = 0.5
_DISCARDED_BYTES = 64 * 1024


class InputAttach:
    """A bounded-by-its-user queue in front of one attach socket. Non-blocking; close it.

    Raises:
        WrongState: the container does not run (no socket, or nobody listens).
        PermissionError: the socket is not for this user.
    """

    def __init__(self, io: Path) -> None:
        self._io = io
        self._socket = _connect(io)
        self._queue: deque[bytes] = deque()
        self._ended = False
        self._is_shut = False
        self.queued_bytes = 0
        self.sent_bytes = 0

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def is_blocked(self) -> bool:
        """Something waits for the socket to take more."""
        return bool(self._queue)

    def send(self, data: bytes) -> None:
        """Queue and send what fits.

        Raises:
            WrongState: the container has ended; the queue is empty then.
        """
        for start in range(0, len(data), PACKET_BYTES):
            self._queue.append(data[start : start + PACKET_BYTES])
        self.queued_bytes += len(data)
        self.flush()

    def flush(self) -> None:
        """Send on what the socket takes now; call it when it is writable. Raises as `send`."""
        try:
            while self._queue:
                packet = self._queue[0]
                self._socket.send(packet)
                self._queue.popleft()
                self.queued_bytes -= len(packet)
                self.sent_bytes += len(packet)
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError, ConnectionAbortedError) as error:
            self.clear()
            msg = "The container takes no more input."
            raise WrongState(msg) from error
        if self._ended:
            self._shut()

    def interrupt(self, data: bytes = INTERRUPT) -> int:
        """Drop what waits and send `data` past it, on a new connection if this one is stuck.

        Returns how many waiting bytes were dropped.
        """
        dropped = self.queued_bytes
        was_blocked = self.is_blocked
        self.clear()
        if was_blocked:
            self._socket.close()
            self._socket = _connect(self._io)
        self.send(data)
        return dropped

    def eof(self) -> None:
        """No more input: a program that reads a pipe sees its end, after everything queued before."""
        self._ended = True
        self.flush()

    def clear(self) -> None:
        self._queue.clear()
        self.queued_bytes = 0

    def close(self) -> None:
        """Idempotent. What waits is dropped; an end of input that was announced is still said."""
        self.clear()
        if self._ended and self._socket.fileno() >= 0:
            self._shut()
        self._socket.close()

    def _shut(self) -> None:
        if self._is_shut:
            return
        self._is_shut = True
        last = self._socket.dup()
        threading.Thread(target=_say_end_twice, args=(self._io, last), name="end-of-input", daemon=True).start()


def _say_end_twice(io: Path, last: socket.socket) -> None:
    """On `last`, after all that is in it; when conmon has taken that, on a fresh connection: see the top of this file."""
    with last, contextlib.suppress(OSError):
        while True:
            ready = select.poll()
            ready.register(last, select.POLLOUT)
            ready.poll()
            with contextlib.suppress(BlockingIOError):
                last.send(_END)
                break
        hang_up = select.poll()
        hang_up.register(last, 0)
        hang_up.poll()
    pause_s = _LOOK_S
    with contextlib.suppress(OSError, WrongState):  # it has ended
        while (fresh := _connect_unless_busy(io)) is None:
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, _LOOK_SLOWEST_S)
        with fresh:
            _say_end(fresh)


def _connect_unless_busy(io: Path) -> socket.socket | None:
    try:
        return _connect(io, is_read=True)
    except _Busy:
        return None


def _say_end(fresh: socket.socket) -> None:
    """Until conmon takes no more from us: it has read the first one. What it writes to us meanwhile is in the log too."""
    pause_s = _LOOK_S
    while True:
        with contextlib.suppress(BlockingIOError):
            fresh.send(_END)
        with contextlib.suppress(BlockingIOError):
            while fresh.recv(_DISCARDED_BYTES):
                pass
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.2, _LOOK_SLOWEST_S)


class _Busy(WrongState):
    """conmon has not accepted the last connections yet."""


def _connect(io: Path, *, is_read: bool = False) -> socket.socket:
    folder = os.open(io, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    attach = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        path = f"{io}/attach"
        attach.connect(path if len(os.fsencode(path)) <= _UNIX_PATH_LIMIT else f"/proc/self/fd/{folder}/attach")
        if not is_read:
            attach.shutdown(socket.SHUT_RD)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        attach.close()
        msg = "The container is not running."
        raise WrongState(msg) from error
    except BlockingIOError as error:
        attach.close()
        msg = "The container is too busy to take input just now."
        raise _Busy(msg) from error
    except OSError:
        attach.close()
        raise
    finally:
        os.close(folder)
    return attach
