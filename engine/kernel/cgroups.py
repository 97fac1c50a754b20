"""Control groups of all versions: one path, made in each hierarchy that the host has.

v1 and hybrid hosts have one hierarchy a controller, the named one of systemd and perhaps an empty v2; pure v2 hosts
have one. Source: Linux `admin-guide/cgroup-v2.rst`, `admin-guide/cgroup-v1/`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path

from engine.kernel import mounts
from engine.kernel.pidfd import PidFd

_CONTROLLERS = frozenset(
    {"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "hugetlb", "net_cls", "net_prio"}
    | {"perf_event", "rdma", "misc"}
)


class Mode(Enum):
    V1 = "v1"
    HYBRID = "hybrid"
    V2 = "v2"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One mounted cgroup file system; `controllers` is empty for `name=systemd`."""

    mount: Path
    version: int
    controllers: frozenset[str]

    def folder(self, path: str) -> Path:
        return self.mount / path.lstrip("/")


@lru_cache(maxsize=1)
def hierarchies() -> tuple[Hierarchy, ...]:
    """Each hierarchy once, from mountinfo; read once a process."""
    return parse_hierarchies(mounts.mountinfo())


def parse_hierarchies(found: list[mounts.Mount]) -> tuple[Hierarchy, ...]:
    result: dict[object, Hierarchy] = {}
    for mount in found:
        if mount.kind == "cgroup":
            options = frozenset(mount.super_options.split(","))
            key: object = options & _CONTROLLERS or mount.super_options
            result.setdefault(key, Hierarchy(mount.target, 1, options & _CONTROLLERS))
        elif mount.kind == "cgroup2":
            result.setdefault("v2", Hierarchy(mount.target, 2, _v2_controllers(mount.target)))
    return tuple(result.values())


def _v2_controllers(mount: Path) -> frozenset[str]:
    try:
        return frozenset((mount / "cgroup.controllers").read_text("ascii").split())
    except OSError:
        return frozenset()


def mode() -> Mode:
    versions = {hierarchy.version for hierarchy in hierarchies()}
    return {frozenset({1}): Mode.V1, frozenset({2}): Mode.V2, frozenset({1, 2}): Mode.HYBRID}.get(
        frozenset(versions), Mode.NONE
    )


def controllers() -> frozenset[str]:
    """Controllers that limits can be set with, whatever their version (a hybrid's v2 may have some too)."""
    return frozenset().union(*(hierarchy.controllers for hierarchy in hierarchies()))


def create(path: str) -> None:
    """Make the group in every hierarchy. Idempotent."""
    for hierarchy in hierarchies():
        _make(hierarchy, path)


def _make(hierarchy: Hierarchy, path: str) -> None:
    folder = hierarchy.mount
    for part in Path(path.lstrip("/")).parts:
        parent, folder = folder, folder / part
        folder.mkdir(mode=0o755, exist_ok=True)
        if hierarchy.version == 1 and "cpuset" in hierarchy.controllers:
            _inherit_cpuset(parent, folder)


def _inherit_cpuset(parent: Path, folder: Path) -> None:
    """A v1 cpuset starts empty, and nothing can be moved into it until it has processors and memory nodes."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not (folder / name).read_text("ascii").strip():
            (folder / name).write_text((parent / name).read_text("ascii"), "ascii")


def move(pid: int, path: str) -> None:
    """Put a process (all its threads) into the group, which must have been made, in every hierarchy.

    Raises:
        ProcessLookupError: it has ended.
    """
    for hierarchy in hierarchies():
        (hierarchy.folder(path) / "cgroup.procs").write_text(str(pid), "ascii")


def pids(path: str) -> set[int]:
    """Processes in the group and in groups below it, in any hierarchy. Empty when there is no such group."""
    found: set[int] = set()
    for hierarchy in hierarchies():
        for file in _tree(hierarchy.folder(path)):
            with contextlib.suppress(OSError):
                found.update(map(int, (file / "cgroup.procs").read_text("ascii").split()))
    return found - {0}


def exists(path: str) -> bool:
    return any(hierarchy.folder(path).is_dir() for hierarchy in hierarchies())


def children(path: str) -> set[str]:
    """Names of the groups right below, in any hierarchy."""
    names: set[str] = set()
    for hierarchy in hierarchies():
        with contextlib.suppress(OSError), os.scandir(hierarchy.folder(path)) as entries:
            names.update(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    return names


def _tree(folder: Path) -> list[Path]:
    """The folder and all below it, parents first."""
    if not folder.is_dir():
        return []
    return [folder, *(Path(place) / name for place, names, _ in os.walk(folder) for name in names)]


def is_frozen(path: str) -> bool:
    """Whether the group's processes are held, or are about to be."""
    for hierarchy in hierarchies():
        name, words = ("cgroup.freeze", {"1"}) if hierarchy.version == 2 else ("freezer.state", {"FROZEN", "FREEZING"})
        with contextlib.suppress(OSError):
            if (hierarchy.folder(path) / name).read_text("ascii").strip() in words:
                return True
    return False


def kill_all(path: str, *, timeout_s: float = 5.0) -> bool:
    """SIGKILL every process of the group and below until there is none; False when some did not end in time."""
    deadline = time.monotonic() + timeout_s
    for hierarchy in hierarchies():
        switch = hierarchy.folder(path) / "cgroup.kill"
        if hierarchy.version == 2 and switch.exists():
            with contextlib.suppress(OSError):
                switch.write_text("1", "ascii")
        thaw = hierarchy.folder(path) / "freezer.state"
        if thaw.exists():  # a frozen process does not die
            with contextlib.suppress(OSError):
                thaw.write_text("THAWED", "ascii")
    while found := pids(path):
        _kill_members(found, path)
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def _kill_members(found: set[int], path: str) -> None:
    for pid in found:
        with contextlib.suppress(ProcessLookupError), PidFd(pid) as process:
            if pid in pids(path):  # the descriptor now pins the process that is in the group
                process.signal(signal.SIGKILL)


def remove(path: str, *, timeout_s: float = 2.0) -> bool:
    """Remove the group and those below it from every hierarchy; False when processes are (still) in it. Idempotent."""
    deadline = time.monotonic() + timeout_s
    done = True
    for hierarchy in hierarchies():
        for folder in reversed(_tree(hierarchy.folder(path))):
            done = _remove_folder(folder, deadline) and done
    return done


def _remove_folder(folder: Path, deadline: float) -> bool:
    while True:
        try:
            folder.rmdir()
        except FileNotFoundError:
            return True
        except OSError as error:  # busy for a moment after its last process ended
            if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
                raise
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        else:
            return True


def oom_kills(path: str) -> int | None:
    """How many processes of the group the kernel killed for want of memory; None when it cannot be known."""
    for hierarchy in hierarchies():
        name = "memory.oom_control" if hierarchy.version == 1 else "memory.events"
        with contextlib.suppress(OSError):
            for line in (hierarchy.folder(path) / name).read_text("ascii").splitlines():
                key, _, value = line.partition(" ")
                if key == "oom_kill":
                    return int(value)
    return None
