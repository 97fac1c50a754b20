"""From readings to figures: two readings of a group, a while apart, tell how much of the processors it takes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.stats.reading import Group, Reading

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """`cpu_percent`: 100 is one processor; 0.0 at the first look. The limit is the host's memory where there is none."""

    cpu_percent: float
    memory_bytes: int
    memory_limit_bytes: int
    processes: int
    read_bytes: int
    written_bytes: int
    received_bytes: int = 0
    sent_bytes: int = 0


class Sampler:
    """Looks at the same groups again and again. Not thread-safe. Holds a few descriptors for each; close it."""

    def __init__(self) -> None:
        self._groups: dict[str, Group] = {}
        self._last: dict[str, Reading] = {}
        self._host_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

    def sample(self, paths: Iterable[str]) -> dict[str, Figures]:
        """Figures by path; without groups that are gone."""
        wanted = set(paths)
        for path in set(self._groups) - wanted:
            self._forget(path)
        found = {}
        for path in wanted:
            reading = self._read(path)
            if reading is not None:
                found[path] = self._figures(reading, self._last.get(path))
                self._last[path] = reading
        return found

    def close(self) -> None:
        for path in list(self._groups):
            self._forget(path)

    def _read(self, path: str) -> Reading | None:
        """A second try where the group was made anew under its name."""
        for _attempt in range(2):
            group = self._groups.get(path) or self._groups.setdefault(path, Group(path))
            try:
                return group.read()
            except OSError:
                self._forget(path)
        return None

    def _forget(self, path: str) -> None:
        self._groups.pop(path).close()
        self._last.pop(path, None)

    def _figures(self, now: Reading, before: Reading | None) -> Figures:
        cpu = 0.0
        if before is not None and now.at_ns > before.at_ns:
            cpu = 100.0 * max(0, now.cpu_ns - before.cpu_ns) / (now.at_ns - before.at_ns)
        limit = now.memory_limit_bytes
        return Figures(
            cpu_percent=round(cpu, 2),
            memory_bytes=now.memory_bytes,
            memory_limit_bytes=self._host_bytes if limit is None else min(limit, self._host_bytes),
            processes=now.processes,
            read_bytes=now.read_bytes,
            written_bytes=now.written_bytes,
        )
