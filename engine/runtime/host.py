"""Facts of this host that a spec depends on, read once."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from functools import lru_cache

from engine.kernel import cgroups
from engine.kernel.features import features
from engine.runtime import confinement


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """`swap_limit`: the kernel can limit memory and swap together. `masked`: host-dependent paths to mask."""

    machine: str
    kernel: tuple[int, int]
    cpus: int
    memory_bytes: int
    open_files_hard: int
    cgroup_version: int
    controllers: frozenset[str]
    swap_limit: bool
    apparmor: bool
    seccomp: bool
    masked: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def host_facts() -> HostFacts:
    found = features()
    cpus = len(os.sched_getaffinity(0))
    version = 2 if found.cgroup_mode is cgroups.Mode.V2 else 1
    thermal = confinement.thermal_paths(os.cpu_count() or cpus)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return HostFacts(
        machine=os.uname().machine,
        kernel=found.kernel_version,
        cpus=cpus,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        open_files_hard=confinement.OPEN_FILES[1] if hard == resource.RLIM_INFINITY else hard,
        cgroup_version=version,
        controllers=found.cgroup_controllers,
        swap_limit=_has_swap_limit(),
        apparmor=found.apparmor,
        seccomp=found.seccomp,
        masked=tuple(path for path in (*confinement.MASKED_WHEN_THERE, *thermal) if os.path.lexists(path)),
    )


def _has_swap_limit() -> bool:
    for hierarchy in cgroups.hierarchies():
        if "memory" in hierarchy.controllers:
            if hierarchy.version == 2:
                return True
            return (hierarchy.mount / "memory.memsw.limit_in_bytes").exists()
    return False
