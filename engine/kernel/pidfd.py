"""Processes by descriptor: a number can be another process tomorrow, a pidfd cannot (F41)."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from engine.kernel.libc import syscall

if TYPE_CHECKING:
    from types import TracebackType

BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    return BOOT_ID_FILE.read_text("ascii").strip()


class PidFd:
    """One process of this host. Readable (for selectors and event loops: `fileno`) when it has ended.

    Raises:
        ProcessLookupError: there is no such process.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            self._fd = os.pidfd_open(pid)
        except OSError as error:
            # The number is a thread's of another process by now: EINVAL, on newer kernels ENOENT.
            if error.errno in {errno.EINVAL, errno.ENOENT}:
                raise ProcessLookupError(error.errno, error.strerror) from error
            raise

    def fileno(self) -> int:
        return self._fd

    def has_ended(self) -> bool:
        return self.wait(0)

    def wait(self, timeout_s: float | None) -> bool:
        """Whether it ended within the time. It is not reaped."""
        poller = select.poll()
        poller.register(self._fd, select.POLLIN)
        return bool(poller.poll(None if timeout_s is None else int(timeout_s * 1000)))

    def signal(self, number: int) -> bool:
        """Send a signal; False when it has ended."""
        try:
            signal.pidfd_send_signal(self._fd, number)
        except ProcessLookupError:
            return False
        return True

    def copy_fd(self, number: int) -> int:
        """Our own copy of one of its descriptors (pidfd_getfd(2), needs ptrace rights); the caller closes it."""
        return syscall("pidfd_getfd", self._fd, number, 0)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def start_time(pid: int) -> int | None:
    """Clock ticks after boot at which it started, or None when there is no such process. Field 22 of proc(5) stat."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "surrogateescape")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(text.rpartition(")")[2].split()[19])


def parent_of(pid: int) -> int | None:
    """Its parent's number, or None when there is no such process. Field 4 of proc(5) stat."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "surrogateescape")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(text.rpartition(")")[2].split()[1])


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process that can be found again after our own restart, and never be mistaken for another."""

    boot_id: str
    pid: int
    starttime: int

    @classmethod
    def of(cls, pid: int) -> Self | None:
        started = start_time(pid)
        return None if started is None else cls(boot_id(), pid, started)

    def open(self) -> PidFd | None:
        """A descriptor of exactly this process, or None when it is gone (or the host was restarted)."""
        if self.boot_id != boot_id():
            return None
        try:
            found = PidFd(self.pid)
        except ProcessLookupError:
            return None
        if start_time(self.pid) == self.starttime:  # read after opening: the descriptor pins the number's owner
            return found
        found.close()
        return None

    def is_alive(self) -> bool:
        found = self.open()
        if found is None:
            return False
        with contextlib.closing(found):
            return not found.has_ended()

    def to_text(self) -> str:
        return f"{self.boot_id} {self.pid} {self.starttime}"

    @classmethod
    def from_text(cls, text: str) -> Self:
        boot, pid, started = text.split()
        return cls(boot, int(pid), int(started))
