"""The last look at a spec before runc sees it (RUN-07): an allow-list of its own, sharing no code with the builder."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.errors import RequestRefused
from engine.ids import HOST_IDS
from engine.runtime import confinement

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from engine.ids import IdRange
    from engine.runtime.policy import Policy

_TOP = frozenset({"ociVersion", "process", "root", "hostname", "mounts", "linux"})
_PROCESS = frozenset(
    {
        "terminal",
        "consoleSize",
        "user",
        "args",
        "env",
        "cwd",
        "capabilities",
        "rlimits",
        "noNewPrivileges",
        "oomScoreAdj",
        "apparmorProfile",
    }
)
_LINUX = frozenset(
    {
        "namespaces",
        "resources",
        "cgroupsPath",
        "seccomp",
        "maskedPaths",
        "readonlyPaths",
        "sysctl",
        "uidMappings",
        "gidMappings",
        "devices",
    }
)
_RESOURCES = {
    "memory": {"limit", "swap", "reservation"},
    "cpu": {"quota", "period", "shares", "cpus", "mems"},
    "pids": {"limit"},
    "blockIO": {f"throttle{way}{unit}Device" for way in ("Read", "Write") for unit in ("Bps", "IOPS")},
}
_SEALED = frozenset({"bounding", "effective", "permitted"})
_SYSTEM = ("/proc", "/sys", "/dev")
_EVERY_DEVICE = ({"allow": True, "access": "rwm"},)
_BIND_FLAGS = frozenset({"bind", "rprivate", "rw", "ro", "nosuid", "nodev", "noexec"})


@dataclass(frozen=True, slots=True)
class Place:
    """Where this container's things lie: all that its spec may point to; and who its users are on the host.

    `made_before`: it has no ids of its own because it was made before Berth had user namespaces. `init`: the one
    program of the host that it may be given to run as its first. `hard_limits`: of the engine's own processes.
    `privileged`, `shared` (namespaces of the host), `nodes` (place in the container → node), `device_rules` (beyond the
    default ones): what was asked for, which the policy must allow.
    """

    rootfs: Path
    etc: Path
    netns: Path | None
    cgroup: str
    userns: Path | None = None
    ids: IdRange | None = None
    made_before: bool = False
    init: Path | None = None
    hard_limits: Mapping[str, int] = field(default_factory=dict)
    privileged: bool = False
    shared: frozenset[str] = frozenset()
    nodes: Mapping[str, Path] = field(default_factory=dict)
    device_rules: Sequence[Mapping[str, Any]] = ()


def check_spec(spec: dict[str, Any], policy: Policy, place: Place) -> None:
    """Refuse a spec that holds anything but what a container may have here.

    Raises:
        RequestRefused: with every complaint in one sentence; nothing was started.
    """
    _refuse(itertools.chain(_access_complaints(policy, place), _complaints(spec, policy, place)))


def check_resources(resources: dict[str, Any], policy: Policy, devices: Sequence[Mapping[str, Any]]) -> None:
    """As `check_spec`, of the resources that a container is given later; `devices`: the rules that it has.

    Raises:
        RequestRefused: with every complaint in one sentence; nothing was changed.
    """
    _refuse(_resource_complaints(resources, policy, devices))


def _refuse(found: Iterator[str]) -> None:
    complaints = list(found)
    if complaints:
        msg = f"The host's policy does not allow this container: {'; '.join(complaints)}."
        raise RequestRefused(msg)


def check_process(
    process: dict[str, Any], container: dict[str, Any], policy: Policy, *, is_privileged: bool = False
) -> None:
    """Refuse the process of a further command that would have more rights than `container`, its container's process.

    `is_privileged`: the container is, which the policy must still allow.

    Raises:
        RequestRefused: with every complaint in one sentence; nothing was started.
    """
    privileged = is_privileged and policy.privileged
    complaints = [*_process_complaints(process, policy, privileged=privileged), *_more_than(process, container)]
    if complaints:
        msg = f"The host's policy does not allow this command: {'; '.join(complaints)}."
        raise RequestRefused(msg)


def _more_than(process: dict[str, Any], container: dict[str, Any]) -> Iterator[str]:
    if extra := set(process) - _PROCESS:
        yield f"process holds {', '.join(sorted(extra))}"
    bounding = set(container.get("capabilities", {}).get("bounding", ()))
    capabilities = process.get("capabilities")
    if not isinstance(capabilities, dict) or set(capabilities) != _SEALED:  # runc would give it the container's own
        yield "no list of capabilities"
    elif extra := {name for names in capabilities.values() for name in names} - bounding:
        yield f"capabilities that the container lacks: {', '.join(sorted(extra))}"
    for name in ("rlimits", "noNewPrivileges", "oomScoreAdj", "apparmorProfile"):
        if process.get(name) != container.get(name):
            yield f"another {name} than the container's"


def _complaints(spec: dict[str, Any], policy: Policy, place: Place) -> Iterator[str]:
    process, linux = spec.get("process", {}), spec.get("linux", {})
    for name, found, known in (("spec", spec, _TOP), ("process", process, _PROCESS), ("linux", linux, _LINUX)):
        if extra := set(found) - known:
            yield f"{name} holds {', '.join(sorted(extra))}"
    if spec.get("root", {}).get("path") != str(place.rootfs):
        yield "another root file system"
    yield from _process_complaints(process, policy, privileged=place.privileged)
    yield from _limit_complaints(process.get("rlimits", []), place)
    yield from _mount_complaints(spec.get("mounts", []), place)
    yield from _linux_complaints(linux, policy, place)
    rules = [*confinement.device_rules(), *place.device_rules]
    yield from _resource_complaints(linux.get("resources", {}), policy, _EVERY_DEVICE if place.privileged else rules)


def _access_complaints(policy: Policy, place: Place) -> Iterator[str]:
    """What was asked for of the host, whether it may be had."""
    if place.privileged and not policy.privileged:
        yield "all rights (privileged)"
    if extra := place.shared - policy.host_namespaces:
        yield f"the host's {', '.join(sorted(extra))} namespace"
    if (place.privileged or place.shared) and place.ids is not None:
        yield "rights on the host for a user namespace"


def _process_complaints(process: dict[str, Any], policy: Policy, *, privileged: bool = False) -> Iterator[str]:
    capabilities = process.get("capabilities", {})
    if set(capabilities) - _SEALED:
        yield "inheritable or ambient capabilities"
    allowed = policy.capabilities | set(confinement.DEFAULT_CAPABILITIES)
    if privileged:
        allowed |= set(confinement.KNOWN_CAPABILITIES)
    for kind in sorted(_SEALED):
        if extra := set(capabilities.get(kind, ())) - allowed:
            yield f"capabilities {', '.join(sorted(extra))}"
    if policy.no_new_privileges and process.get("noNewPrivileges") is not True:
        yield "new privileges"
    if not isinstance(process.get("oomScoreAdj"), int) or process["oomScoreAdj"] <= 0:
        yield "no protection of the host from its memory use"
    if not str(process.get("cwd", "")).startswith("/") or _is_system(str(process.get("cwd"))):
        yield "a working directory of the system"


def _limit_complaints(limits: list[dict[str, Any]], place: Place) -> Iterator[str]:
    """Of processes: open files always, and none above what the engine's own could have."""
    if "RLIMIT_NOFILE" not in {entry.get("type") for entry in limits}:
        yield "open files without a limit"
    for entry in limits:
        name = str(entry.get("type")).removeprefix("RLIMIT_").lower()
        ceiling = place.hard_limits.get(name)
        if ceiling is None or (ceiling >= 0 and not 0 <= int(entry.get("hard", -1)) <= ceiling):
            yield f"the limit {name} above the host's"


def _mount_complaints(mounts: list[dict[str, Any]], place: Place) -> Iterator[str]:
    wanted = confinement.system_mounts(
        _shm_bytes(mounts), is_privileged=place.privileged, shares_ipc="ipc" in place.shared
    )
    system = {mount["destination"]: mount for mount in wanted}
    for mount in mounts:
        destination = str(mount.get("destination", ""))
        if destination in place.nodes and mount == _node_mount(place.nodes[destination], destination):
            continue
        if place.init is not None and mount == _init_mount(place.init, destination) and not _is_system(destination):
            continue
        if destination in system:
            if mount != system[destination]:
                yield f"another {destination}"
            continue
        source = str(mount.get("source", ""))
        ours = source.startswith(f"{place.etc}/") and ".." not in source
        if mount.get("type") != "bind" or not ours or not set(mount.get("options", ())) <= _BIND_FLAGS:
            yield f"a mount of {source} at {destination}"
        elif _is_system(destination) or ".." in destination:
            yield f"a mount at {destination}"
    if missing := set(system) - {mount.get("destination") for mount in mounts}:
        yield f"no {', '.join(sorted(missing))}"


def _shm_bytes(mounts: list[dict[str, Any]]) -> int:
    """Shared memory may have any size: what is written there counts as the container's memory."""
    options = [str(option) for mount in mounts if mount.get("destination") == "/dev/shm" for option in mount["options"]]  # noqa: S108
    sizes = [option.removeprefix("size=") for option in options if option.startswith("size=")]
    return int(sizes[0]) if len(sizes) == 1 and sizes[0].isdecimal() else confinement.SHM_BYTES


def _node_mount(node: Path, destination: str) -> dict[str, Any]:
    options = ["bind", "rprivate", "nosuid", "noexec"]
    return {"destination": destination, "type": "bind", "source": str(node), "options": options}


def _init_mount(program: Path, destination: str) -> dict[str, Any]:
    options = ["bind", "rprivate", "ro", "nosuid", "nodev"]
    return {"destination": destination, "type": "bind", "source": str(program), "options": options}


def _is_system(path: str) -> bool:
    return any(path == top or path.startswith(f"{top}/") for top in _SYSTEM)


def _linux_complaints(linux: dict[str, Any], policy: Policy, place: Place) -> Iterator[str]:
    namespaces = {str(entry.get("type")): entry.get("path") for entry in linux.get("namespaces", [])}
    yield from _namespace_complaints(namespaces, place)
    yield from _user_complaints(linux, namespaces, policy, place)
    if linux.get("cgroupsPath") != place.cgroup:
        yield "another control group"
    yield from _sysctl_complaints(linux.get("sysctl", {}), policy, place)
    if not place.privileged:
        yield from _confinement_complaints(linux, policy)


def _namespace_complaints(namespaces: dict[str, Any], place: Place) -> Iterator[str]:
    if missing := set(confinement.NAMESPACES) - set(namespaces) - place.shared:
        yield f"the host's {', '.join(sorted(missing))} namespace"
    if place.netns is None and "network" not in place.shared:
        yield "no network namespace of its own"
    if namespaces.get("network") != (None if place.netns is None else str(place.netns)):
        yield "another network namespace"
    if any(path for kind, path in namespaces.items() if kind not in ("network", "user")):
        yield "a namespace of somebody else"


def _confinement_complaints(linux: dict[str, Any], policy: Policy) -> Iterator[str]:
    """What every container has but a privileged one."""
    if "devices" in linux:
        yield "device nodes"
    if missing := set(confinement.MASKED_PATHS) - set(linux.get("maskedPaths", ())):
        yield f"unmasked {', '.join(sorted(missing))}"
    if missing := set(confinement.READONLY_PATHS) - set(linux.get("readonlyPaths", ())):
        yield f"writable {', '.join(sorted(missing))}"
    seccomp = linux.get("seccomp", {})
    if not seccomp and policy.seccomp_unconfined:
        return
    if seccomp.get("defaultAction") != "SCMP_ACT_ERRNO" or not seccomp.get("syscalls"):
        yield "no filter of system calls"


def _sysctl_complaints(sysctls: dict[str, Any], policy: Policy, place: Place) -> Iterator[str]:
    """Of its own network and IPC only, and of these what is harmless or the host allows."""
    ours = confinement.SYSCTLS if place.ids is None else confinement.SYSCTLS_OF_OWN_IDS
    allowed = confinement.SAFE_SYSCTLS | policy.sysctls
    for name, value in sysctls.items():
        kind = confinement.namespace_of(name)
        is_ours = ours.get(name) == value or name in allowed
        if kind is None or kind in place.shared or not is_ours:
            yield f"the kernel setting {name}"


def _user_complaints(linux: dict[str, Any], namespaces: dict[str, Any], policy: Policy, place: Place) -> Iterator[str]:
    """Root in a container is nobody on the host, but for what the host's own policy lets through (RUN-19)."""
    maps = [linux.get("uidMappings"), linux.get("gidMappings")]
    if place.ids is None:
        if "user" in namespaces or any(maps):
            yield "a user namespace of somebody else"
        may = place.made_before or policy.userns_host or (place.privileged and policy.privileged)
        if policy.user_namespaces or not may:
            yield "the host's user namespace (userns_host)"
        return
    if "user" not in namespaces or namespaces["user"] != str(place.userns):
        yield "no user namespace of its own"
    wanted = [{"containerID": 0, "hostID": place.ids.first, "size": place.ids.count}]
    if place.ids.first < HOST_IDS or any(found != wanted for found in maps):
        yield "users of the host"


def _resource_complaints(
    resources: dict[str, Any], policy: Policy, devices: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    for name, known in _RESOURCES.items():
        if extra := set(resources.get(name, ())) - known:
            yield f"resources {', '.join(sorted(extra))} of {name}"
    if extra := set(resources) - {"devices", *_RESOURCES}:
        yield f"resources {', '.join(sorted(extra))}"
    if resources.get("devices") != list(devices):
        yield "other devices"
    memory, cpu = resources.get("memory", {}), resources.get("cpu", {})
    if not _within(memory.get("limit"), policy.memory_bytes):
        yield "memory without a limit, or above the ceiling"
    elif "swap" in memory and not (_within(memory["swap"], policy.memory_bytes) and memory["swap"] >= memory["limit"]):
        yield "swap without a limit, or above the ceiling"
    quota, period = cpu.get("quota"), cpu.get("period") or 1
    if not _within(quota, None if policy.nano_cpus is None else policy.nano_cpus * period // 1_000_000_000):
        yield "processor time without a limit, or above the ceiling"
    if not _within(resources.get("pids", {}).get("limit"), policy.pids):
        yield "processes without a limit, or above the ceiling"


def _within(value: object, ceiling: int | None) -> bool:
    return isinstance(value, int) and value > 0 and (ceiling is None or value <= ceiling)
