"""Facts of this host that a spec depends on, read once."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from engine.kernel import cgroups
from engine.kernel.features import features
from engine.runtime import confinement
from engine.runtime.shares import ShareFacts, share_facts


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """`swap_limit`: the kernel can limit memory and swap together. `masked`: host-dependent paths to mask.
    `capabilities`: those that the engine itself could have, so at most the kernel's.
    """

    machine: str
    kernel: tuple[int, int]
    cpus: int
    memory_bytes: int
    cgroup_version: int
    controllers: frozenset[str]
    swap_limit: bool
    apparmor: bool
    seccomp: bool
    masked: tuple[str, ...] = ()
    shares: ShareFacts = field(default_factory=ShareFacts)
    capabilities: frozenset[str] = frozenset(confinement.KERNEL_CAPABILITIES)


_OWN_STATUS = Path("/proc/self/status")


def _capabilities() -> frozenset[str]:
    (bounding,) = (
        line for line in _OWN_STATUS.read_text("ascii", "replace").splitlines() if line.startswith("CapBnd:")
    )
    held = int(bounding.split()[1], 16)
    return frozenset(name for number, name in enumerate(confinement.KERNEL_CAPABILITIES) if held >> number & 1)


@lru_cache(maxsize=1)
def host_facts() -> HostFacts:
    found = features()
    cpus = len(os.sched_getaffinity(0))
    version = 2 if found.cgroup_mode is cgroups.Mode.V2 else 1
    thermal = confinement.thermal_paths(os.cpu_count() or cpus)
    return HostFacts(
        machine=os.uname().machine,
        kernel=found.kernel_version,
        cpus=cpus,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        cgroup_version=version,
        controllers=found.cgroup_controllers,
        swap_limit=share_facts().swap,
        apparmor=found.apparmor,
        seccomp=found.seccomp,
        shares=share_facts(),
        capabilities=_capabilities(),
        masked=tuple(path for path in (*confinement.MASKED_WHEN_THERE, *thermal) if os.path.lexists(path)),
    )
