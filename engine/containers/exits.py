"""Noticing that containers end: one thread, two pidfds each.

conmon's pidfd says "the exit code is written"; the container's own says "the command has ended". Usually both fire
within milliseconds. If conmon goes first while the command lives on, the monitor is lost: the command is killed, as
nobody holds its terminal (F16). If conmon does not follow the command within `DRAIN_S`, it hangs (a full disk, a
client that does not read) and is killed: the end of a container never waits for a file alone (threats.md 0.7).

A process is only ever signalled through a descriptor that was opened for exactly it (F41).
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.kernel.pidfd import PidFd, ProcessIdentity

logger = logging.getLogger(__name__)
DRAIN_S = 5.0
KILL_S = 10.0
_POLL_S = 30.0


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of one container: started again, it is another."""

    container_id: str
    monitor: ProcessIdentity | None
    init: ProcessIdentity | None


@dataclass(slots=True)
class _Watch:
    container_id: str
    monitor: PidFd | None
    init: PidFd | None
    on_end: Callable[[str], None]
    deadline: float | None = None
    registered: set[int] = field(default_factory=set)

    def descriptors(self) -> list[PidFd]:
        return [process for process in (self.monitor, self.init) if process is not None]


class ExitWatcher:
    """Calls back once for each watched container, in its own thread, when nothing of it lives any more."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._watches: dict[_Run, _Watch] = {}
        self._told = threading.Condition()
        self._calling: list[str] = []
        self._lock = threading.Lock()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._thread: threading.Thread | None = None
        self._closing = False

    def watch(
        self,
        container_id: str,
        *,
        monitor: ProcessIdentity | None,
        init: ProcessIdentity | None,
        on_end: Callable[[str], None],
    ) -> None:
        """Watch one run. A run that is watched already stays so, with its first callback.

        Both gone already: the callback comes at once, also in the thread.
        """
        run = _Run(container_id, monitor, init)
        watch = _Watch(
            container_id,
            monitor.open() if monitor is not None else None,
            init.open() if init is not None else None,
            on_end,
        )
        with self._lock:
            if run in self._watches or self._closing:
                _close(watch)
                return
            self._watches[run] = watch
            self._start()
        self._wake()

    def is_watching(self, container_id: str) -> bool:
        """Also while the callback runs."""
        with self._lock:
            return container_id in self._calling or any(run.container_id == container_id for run in self._watches)

    def wait_until_told(self, container_id: str, timeout_s: float) -> bool:
        """Wait until no run of the container is watched and no callback for it runs; False when the time is over."""
        if threading.current_thread() is self._thread:
            return False
        with self._told:
            return self._told.wait_for(lambda: not self.is_watching(container_id), timeout_s)

    def forget(self, container_id: str) -> None:
        """Stop watching, without a callback."""
        with self._lock:
            for run in [run for run in self._watches if run.container_id == container_id]:
                watch = self._watches.pop(run)
                self._unregister(watch)
                _close(watch)
        self._notify()
        self._wake()

    def close(self) -> None:
        """End the thread; no further callback is begun."""
        with self._lock:
            self._closing = True
        self._wake()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(KILL_S)
        with self._lock:
            for watch in self._watches.values():
                _close(watch)
            self._watches.clear()
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="container-exits", daemon=True)
            self._thread.start()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wake_write, b"\0")

    def _run(self) -> None:
        while not self._closing:
            self._selector.select(self._timeout())
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_read, 4096)
            for watch in self._ended():
                self._call(watch)

    def _timeout(self) -> float:
        with self._lock:
            deadlines = [watch.deadline for watch in self._watches.values() if watch.deadline is not None]
        return min([_POLL_S, *(max(0.0, deadline - time.monotonic()) for deadline in deadlines)])

    def _ended(self) -> list[_Watch]:
        """Look at every watch: take up new ones, act on those half gone, and take out those that are wholly gone."""
        with self._lock:
            ended = {run: watch for run, watch in self._watches.items() if self._is_over(watch)}
            for run, watch in ended.items():
                del self._watches[run]
                self._calling.append(run.container_id)
                self._unregister(watch)
                _close(watch)
        return list(ended.values())

    def _is_over(self, watch: _Watch) -> bool:
        gone = {id(process): process.has_ended() for process in watch.descriptors()}
        for process in watch.descriptors():
            self._register(watch, process, wanted=not gone[id(process)])
        monitor_gone = watch.monitor is None or gone[id(watch.monitor)]
        init_gone = watch.init is None or gone[id(watch.init)]
        if monitor_gone and init_gone:
            return True
        if not monitor_gone and not init_gone:
            return False
        return self._press(
            watch, watch.init if monitor_gone else watch.monitor, wait_s=0.0 if monitor_gone else DRAIN_S
        )

    def _press(self, watch: _Watch, left: PidFd | None, *, wait_s: float) -> bool:
        """One of the two is gone: give the other its time, then kill it. True when it cannot even be killed."""
        now = time.monotonic()
        if watch.deadline is None:
            watch.deadline = now + wait_s
        if now >= watch.deadline and left is not None:
            logger.warning("container %s: pid %d is killed, its counterpart is gone", watch.container_id[:12], left.pid)
            left.signal(signal.SIGKILL)
            overdue = now >= watch.deadline + KILL_S
            watch.deadline = max(watch.deadline, now) if overdue else watch.deadline
            return overdue or left.wait(0.2)
        return False

    def _register(self, watch: _Watch, process: PidFd, *, wanted: bool) -> None:
        fd = process.fileno()
        if wanted and fd not in watch.registered:
            self._selector.register(fd, selectors.EVENT_READ)
            watch.registered.add(fd)
        elif not wanted and fd in watch.registered:
            self._selector.unregister(fd)
            watch.registered.discard(fd)

    def _unregister(self, watch: _Watch) -> None:
        for fd in watch.registered:
            self._selector.unregister(fd)
        watch.registered.clear()

    def _call(self, watch: _Watch) -> None:
        try:
            watch.on_end(watch.container_id)
        except Exception:  # the loop's edge: one bad callback may not end the watch over all others
            logger.exception("the end of container %s could not be told", watch.container_id[:12])
        finally:
            with self._lock:
                self._calling.remove(watch.container_id)
            self._notify()

    def _notify(self) -> None:
        with self._told:
            self._told.notify_all()


def _close(watch: _Watch) -> None:
    for process in watch.descriptors():
        process.close()
