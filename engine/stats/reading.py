"""One reading of one control group. Source: Linux admin-guide/cgroup-v2.rst and cgroup-v1/{cpuacct,memory,blkio,pids}.rst.

Memory is what Docker shows: without the page cache that the kernel gives back first (`inactive_file`).

Everything is read every second, so files stay open: with 100 containers, opening them is half of the work. A descriptor
of a group that is gone says ENODEV, also when a new one has its name.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.kernel import cgroups

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_BYTES = 64 * 1024
_UNLIMITED = 1 << 62  # what v1 says of no limit is a little below 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """`at_ns` is monotonic. Counts are since the group was made. `memory_limit_bytes` None: without a limit."""

    at_ns: int
    cpu_ns: int
    memory_bytes: int
    memory_limit_bytes: int | None
    processes: int
    read_bytes: int
    written_bytes: int


class Group:
    """A control group whose files are held open. Close it."""

    def __init__(self, path: str) -> None:
        self._files: dict[str, int] = {}
        self._folders = {
            controller: hierarchy.folder(path)
            for hierarchy in cgroups.hierarchies()
            for controller in hierarchy.controllers
        }
        versions = {name: hierarchy.version for hierarchy in cgroups.hierarchies() for name in hierarchy.controllers}
        self._is_v2 = versions.get("memory") == 2

    def close(self) -> None:
        for fd in self._files.values():
            os.close(fd)
        self._files.clear()

    def read(self) -> Reading:
        """Raises OSError when the group is gone."""
        return _read_v2(self._content) if self._is_v2 else _read_v1(self._content)

    def _content(self, controller: str, name: str) -> bytes:
        """Empty where this host has no such controller."""
        fd = self._files.get(name)
        if fd is None:
            folder = self._folders.get(controller)
            if folder is None:
                return b""
            try:
                fd = os.open(folder / name, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                if not folder.is_dir():
                    raise
                return b""
            self._files[name] = fd
        return os.pread(fd, _MOST_BYTES, 0)


def read(path: str) -> Reading | None:
    """One reading; None when there is no such group (any more)."""
    group = Group(path)
    with contextlib.suppress(OSError):
        try:
            return group.read()
        finally:
            group.close()
    return None


def _read_v1(content: Callable[[str, str], bytes]) -> Reading:
    usage = _number(content("memory", "memory.usage_in_bytes"))
    limit = _number(content("memory", "memory.limit_in_bytes"))
    traffic = content("blkio", "blkio.throttle.io_service_bytes_recursive").split()
    return Reading(
        at_ns=time.monotonic_ns(),
        cpu_ns=_number(content("cpuacct", "cpuacct.usage")),
        memory_bytes=_without_cache(usage, content("memory", "memory.stat"), b"total_inactive_file "),
        memory_limit_bytes=limit if 0 < limit < _UNLIMITED else None,
        processes=_number(content("pids", "pids.current")),
        read_bytes=_sum_after(traffic, b"Read"),
        written_bytes=_sum_after(traffic, b"Write"),
    )


def _read_v2(content: Callable[[str, str], bytes]) -> Reading:
    usage = _number(content("memory", "memory.current"))
    limit = content("memory", "memory.max").strip()
    traffic = content("io", "io.stat").replace(b"=", b" ").split()
    return Reading(
        at_ns=time.monotonic_ns(),
        cpu_ns=_after(content("cpu", "cpu.stat"), b"usage_usec ") * 1000,
        memory_bytes=_without_cache(usage, content("memory", "memory.stat"), b"inactive_file "),
        memory_limit_bytes=int(limit) if limit.isdigit() else None,
        processes=_number(content("pids", "pids.current")),
        read_bytes=_sum_after(traffic, b"rbytes"),
        written_bytes=_sum_after(traffic, b"wbytes"),
    )


def _number(text: bytes) -> int:
    text = text.strip()
    return int(text) if text.isdigit() else 0


def _after(text: bytes, name: bytes) -> int:
    """The number behind a name at the start of a line; 0 when it is not there."""
    start = 0 if text.startswith(name) else text.find(b"\n" + name) + 1
    if not text.startswith(name, start):
        return 0
    return _number(text[start + len(name) :].partition(b"\n")[0])


def _without_cache(usage: int, stat: bytes, name: bytes) -> int:
    cache = _after(stat, name)
    return usage - cache if cache < usage else usage


def _sum_after(words: list[bytes], name: bytes) -> int:
    """The numbers behind each word of that name: one for each device."""
    return sum(int(words[at + 1]) for at, word in enumerate(words[:-1]) if word == name and words[at + 1].isdigit())
