"""A container's share of processors, memory and devices, and limits of its processes, beyond the three that all have."""

from __future__ import annotations

import functools
import os
import resource
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from engine.errors import RequestRefused
from engine.kernel import cgroups
from engine.runtime import confinement

if TYPE_CHECKING:
    from engine.config import Limits
    from engine.runtime.policy import Policy

Spec = dict[str, Any]  # Any: JSON of the OCI runtime spec
MIB = 1024 * 1024
UNLIMITED = -1
_INFINITY = 2**64 - 1  # RLIM_INFINITY as runc takes it
_LEAST_SHARES, _MOST_SHARES = 2, 262_144
_LEAST_OOM, _MOST_OOM = 1, 1000
_LEAST_PERIOD_US, _MOST_PERIOD_US = 1000, 1_000_000
_NODES = Path("/sys/devices/system/node/online")
RATES = {
    "read_bps": "throttleReadBpsDevice",
    "write_bps": "throttleWriteBpsDevice",
    "read_iops": "throttleReadIOPSDevice",
    "write_iops": "throttleWriteIOPSDevice",
}
ULIMITS = tuple(
    name.removeprefix("RLIMIT_").lower()
    for name in dir(resource)
    if name.startswith("RLIMIT_") and name != "RLIMIT_OFILE"
)


@dataclass(frozen=True, slots=True)
class ShareFacts:
    """Of this host: processors that containers may run on, hard limits of our own processes (`-1`: none), and what its
    control groups can do.
    """

    cpus: frozenset[int] = frozenset({0, 1})
    memory_nodes: frozenset[int] = frozenset({0})
    pins: bool = True
    hard_limits: Mapping[str, int] = field(default_factory=dict)
    swap: bool = True
    reservation: bool = True
    rates: bool = True


@functools.lru_cache(maxsize=1)
def share_facts() -> ShareFacts:
    """Needs no rights."""
    limits = {name: resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))[1] for name in ULIMITS}
    return ShareFacts(
        cpus=frozenset(os.sched_getaffinity(0)),
        memory_nodes=_memory_nodes(),
        pins=_has("cpuset", "cpuset.cpus"),
        hard_limits=limits,
        swap=_has("memory", "memory.memsw.limit_in_bytes"),
        reservation=_has("memory", "memory.soft_limit_in_bytes"),
        rates=_has("blkio", "blkio.throttle.read_bps_device") or _has("io", ""),
    )


def _memory_nodes() -> frozenset[int]:
    """A kernel without NUMA has one."""
    try:
        return cpus_of(_NODES.read_text("ascii").strip())
    except (OSError, RequestRefused):
        return frozenset({0})


def _has(controller: str, file: str) -> bool:
    """Whether the kernel has this control; version 2 has all of them where it has the controller."""
    for hierarchy in cgroups.hierarchies():
        if controller in hierarchy.controllers:
            return hierarchy.version == 2 or (hierarchy.mount / file).exists()
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class SharesRequest:
    """`memory_swap_bytes`: memory and swap together. `ulimits`: (name, soft, hard), -1 is none. `rates`: (kind, path of
    the device, a second); the kinds are those of `RATES`.
    """

    cpu_shares: int | None = None
    cpus: str = ""
    memory_nodes: str = ""
    cpu_period_us: int | None = None
    memory_swap_bytes: int | None = None
    memory_reservation_bytes: int | None = None
    oom_score: int | None = None
    ulimits: tuple[tuple[str, int, int], ...] = ()
    rates: tuple[tuple[str, str, int], ...] = ()

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Self:  # Any: JSON
        """From what `dataclasses.asdict` made of one.

        Raises:
            TypeError, ValueError: fields missing, unknown, or of the wrong kind.
        """
        ulimits = tuple((str(name), int(soft), int(hard)) for name, soft, hard in fields.pop("ulimits"))
        rates = tuple((str(kind), str(path), int(rate)) for kind, path, rate in fields.pop("rates"))
        return cls(ulimits=ulimits, rates=rates, **fields)


def refuse_unfit_shares(
    shares: SharesRequest, memory_bytes: int | None, policy: Policy, facts: ShareFacts, limits: Limits
) -> None:
    """Go on only if this host can give all of it. `memory_bytes`: the memory limit that was asked for.

    Raises:
        RequestRefused: with the sentence for the person who asked.
    """
    _refuse_shares(shares, facts)
    _refuse_placement(shares, facts)
    _refuse_swap(shares.memory_swap_bytes, memory_bytes, policy, facts)
    _refuse_reservation(shares.memory_reservation_bytes, memory_bytes, facts, limits)
    if shares.oom_score is not None and not _LEAST_OOM <= shares.oom_score <= _MOST_OOM:
        msg = "A container ends before the host's own services when memory runs out: its oom score is 1 to 1000 here."
        raise RequestRefused(msg)
    rlimits(shares, facts)
    block_devices(shares)
    if shares.rates and not facts.rates:
        msg = "This kernel cannot limit the rate of a device (no blkio throttling in its control groups)."
        raise RequestRefused(msg)


def _refuse_placement(shares: SharesRequest, facts: ShareFacts) -> None:
    if shares.cpu_period_us is not None and not _LEAST_PERIOD_US <= shares.cpu_period_us <= _MOST_PERIOD_US:
        msg = "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"
        raise RequestRefused(msg)
    if shares.memory_nodes and not facts.pins:
        msg = "This kernel cannot keep a container on some processors (no cpuset in its control groups)."
        raise RequestRefused(msg)
    if shares.memory_nodes and not cpus_of(shares.memory_nodes) <= facts.memory_nodes:
        available = ",".join(map(str, sorted(facts.memory_nodes)))
        msg = f"Requested memory nodes are not available - requested {shares.memory_nodes}, available: {available}"
        raise RequestRefused(msg)


def _refuse_shares(shares: SharesRequest, facts: ShareFacts) -> None:
    if shares.cpu_shares and not _LEAST_SHARES <= shares.cpu_shares <= _MOST_SHARES:
        word = "minimum" if shares.cpu_shares < _LEAST_SHARES else "maximum"
        bound = _LEAST_SHARES if shares.cpu_shares < _LEAST_SHARES else _MOST_SHARES
        msg = f"The {word} allowed cpu-shares is {bound}"
        raise RequestRefused(msg)
    if shares.cpus and not facts.pins:
        msg = "This kernel cannot keep a container on some processors (no cpuset in its control groups)."
        raise RequestRefused(msg)
    if shares.cpus and not cpus_of(shares.cpus) <= facts.cpus:
        available = ",".join(map(str, sorted(facts.cpus)))
        msg = f"Requested CPUs are not available - requested {shares.cpus}, available: {available}"
        raise RequestRefused(msg)


def cpus_of(text: str) -> frozenset[int]:
    """`0-2,5`.

    Raises:
        RequestRefused: it is no such list.
    """
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or len(part) > 9 or int(last or first) < int(first):
            msg = f"Invalid value {text[:80]} for cpuset cpus"
            raise RequestRefused(msg)
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def _refuse_swap(swap: int | None, memory: int | None, policy: Policy, facts: ShareFacts) -> None:
    if not swap:
        return
    if swap == UNLIMITED:
        msg = "A container always has a limit here. Name one for its memory and swap together (--memory-swap)."
        raise RequestRefused(msg)
    if memory is None:
        msg = "You should always set the Memory limit when using Memoryswap limit, see usage"
        raise RequestRefused(msg)
    if swap < memory:
        msg = "Minimum memoryswap limit should be larger than memory limit, see usage"
        raise RequestRefused(msg)
    if not facts.swap and swap != memory:
        msg = "This kernel cannot limit swap, so containers have none."
        raise RequestRefused(msg)
    if policy.memory_bytes is not None and swap > policy.memory_bytes:
        msg = f"The host allows at most {policy.memory_bytes // MIB} MiB of memory for a container."
        raise RequestRefused(msg)


def _refuse_reservation(reserved: int | None, memory: int | None, facts: ShareFacts, limits: Limits) -> None:
    if not reserved:
        return
    if not facts.reservation:
        msg = "This kernel cannot reserve memory for a container."
        raise RequestRefused(msg)
    if reserved < limits.memory_minimum_bytes:
        msg = f"Minimum memory reservation allowed is {limits.memory_minimum_bytes // MIB}MB"
        raise RequestRefused(msg)
    if memory is not None and memory < reserved:
        msg = "Minimum memory limit can not be less than memory reservation limit, see usage"
        raise RequestRefused(msg)


def rlimits(shares: SharesRequest, facts: ShareFacts) -> list[Spec]:
    """As in the spec; open files are always limited. Nobody gets more than the engine itself could have.

    Raises:
        RequestRefused: more than that, or no such limit.
    """
    soft, hard = confinement.OPEN_FILES
    most = facts.hard_limits.get("nofile", UNLIMITED)
    hard = hard if most == UNLIMITED else min(hard, most)
    found = {"nofile": (min(soft, hard), hard)}
    for name, wanted_soft, wanted_hard in shares.ulimits:
        if name not in facts.hard_limits:
            msg = f"invalid ulimit type: {name[:40]}"
            raise RequestRefused(msg)
        ceiling = facts.hard_limits[name]
        if ceiling != UNLIMITED and (wanted_hard == UNLIMITED or wanted_hard > ceiling):
            msg = f"The host allows at most {ceiling} for the limit {name} of a container."
            raise RequestRefused(msg)
        found[name] = (wanted_soft, wanted_hard)
    return [
        {"type": f"RLIMIT_{name.upper()}", "soft": _number(pair[0]), "hard": _number(pair[1])}
        for name, pair in sorted(found.items())
    ]


def _number(value: int) -> int:
    return _INFINITY if value == UNLIMITED else value


def block_devices(shares: SharesRequest) -> dict[str, tuple[int, int]]:
    """Major and minor number of each device that a rate names.

    Raises:
        RequestRefused: it is no block device of this host.
    """
    found = {}
    for _kind, path, _rate in shares.rates:
        try:
            status = Path(path).stat() if path.startswith("/dev/") else None
        except OSError:
            status = None
        if status is None or not stat.S_ISBLK(status.st_mode):
            msg = f"{path[:200]} is not a block device of this host."
            raise RequestRefused(msg)
        found[path] = (os.major(status.st_rdev), os.minor(status.st_rdev))
    return found


def with_shares(
    resources: Spec, shares: SharesRequest, facts: ShareFacts, devices: Mapping[str, tuple[int, int]]
) -> Spec:
    """`linux.resources` with them. `devices` as `block_devices` says. Pure."""
    memory, cpu = dict(resources["memory"]), dict(resources["cpu"])
    if shares.memory_swap_bytes and facts.swap:
        memory["swap"] = shares.memory_swap_bytes
    if shares.memory_reservation_bytes:
        memory["reservation"] = shares.memory_reservation_bytes
    if shares.cpu_shares:
        cpu["shares"] = shares.cpu_shares
    if shares.cpus:
        cpu["cpus"] = shares.cpus
    if shares.memory_nodes:
        cpu["mems"] = shares.memory_nodes
    found = resources | {"memory": memory, "cpu": cpu}
    rates: Spec = {}
    for kind, path, rate in shares.rates:
        major, minor = devices[path]
        rates.setdefault(RATES[kind], []).append({"major": major, "minor": minor, "rate": rate})
    return found | {"blockIO": rates} if rates else found
