"""Noticing that containers end: one thread, two pidfds each, and a few threads that tell it.

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
import queue
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
_CALLERS = 8  # what a callback waits for is mostly the kernel, which takes mounts and networks apart


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
    """Calls back once for each watched run, in a thread of its own, when nothing of it lives any more.

    Callbacks of one container come one after another, in the order in which its runs ended.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._watches: dict[_Run, _Watch] = {}
        self._told = threading.Condition()
        self._calling: dict[str, list[_Watch]] = {}  # by container; the first of each is being told
        self._to_call: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._callers: set[threading.Thread] = set()
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
        if threading.current_thread() in self._callers:
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
        if self._thread is not None:
            self._thread.join(KILL_S)
        for caller in self._callers - {threading.current_thread()}:
            caller.join(KILL_S)
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
            self._callers |= {
                threading.Thread(target=self._call_all, name=f"container-exit-{number}", daemon=True)
                for number in range(_CALLERS)
            }
            for thread in (self._thread, *self._callers):
                thread.start()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wake_write, b"\0")

    def _run(self) -> None:
        while not self._closing:
            self._selector.select(self._timeout())
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_read, 4096)
            for container_id in self._ended():
                self._to_call.put(container_id)
        for _caller in self._callers:
            self._to_call.put("")  # the end

    def _timeout(self) -> float:
        with self._lock:
            deadlines = [watch.deadline for watch in self._watches.values() if watch.deadline is not None]
        return min([_POLL_S, *(max(0.0, deadline - time.monotonic()) for deadline in deadlines)])

    def _ended(self) -> list[str]:
        """Look at every watch: take up new ones, act on those half gone, and take out those that are wholly gone.

        Containers whose callbacks nobody makes yet.
        """
        idle = []
        with self._lock:
            ended = {run: watch for run, watch in self._watches.items() if self._is_over(watch)}
            for run, watch in ended.items():
                del self._watches[run]
                if run.container_id not in self._calling:
                    idle.append(run.container_id)
                self._calling.setdefault(run.container_id, []).append(watch)
                self._unregister(watch)
                _close(watch)
        return idle

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

    def _call_all(self) -> None:
        """A caller's thread."""
        while container_id := self._to_call.get():
            is_more = True
            while is_more and not self._closing:
                is_more = self._call(container_id)

    def _call(self, container_id: str) -> bool:
        """Make a container's first callback; whether another waits."""
        with self._lock:
            watch = self._calling[container_id][0]
        try:
            watch.on_end(container_id)
        except Exception:  # the loop's edge: one bad callback may not end the watch over all others
            logger.exception("the end of container %s could not be told", container_id[:12])
        with self._lock:
            left = self._calling[container_id]
            left.pop(0)
            if not left:
                del self._calling[container_id]
        self._notify()
        return bool(left)

    def _notify(self) -> None:
        with self._told:
            self._told.notify_all()


def _close(watch: _Watch) -> None:
    for process in watch.descriptors():
        process.close()
