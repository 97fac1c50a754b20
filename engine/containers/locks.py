"""One worker at a time for each container. In this process only: a second engine worker is kept out by its own lock
(settled.md 5), and the root file system has a lock of its own in the file system.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class ContainerLocks:
    """Locks by id; one that nobody holds or waits for takes no memory."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[str, tuple[threading.RLock, int]] = {}

    @contextlib.contextmanager
    def hold(self, container_id: str) -> Iterator[None]:
        """Wait for it. A thread that has it may take it again."""
        with self._entered(container_id) as lock, lock:
            yield

    @contextlib.contextmanager
    def try_hold(self, container_id: str) -> Iterator[bool]:
        """Take it only if nobody has it; says whether."""
        with self._entered(container_id) as lock:
            held = lock.acquire(blocking=False)
            try:
                yield held
            finally:
                if held:
                    lock.release()

    @contextlib.contextmanager
    def _entered(self, container_id: str) -> Iterator[threading.RLock]:
        with self._guard:
            lock, users = self._locks.get(container_id, (threading.RLock(), 0))
            self._locks[container_id] = (lock, users + 1)
        try:
            yield lock
        finally:
            with self._guard:
                _, users = self._locks[container_id]
                if users == 1:
                    del self._locks[container_id]
                else:
                    self._locks[container_id] = (lock, users - 1)
