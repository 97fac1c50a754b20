"""The OCI runtime spec of a container: a pure function of image config, request, policy and facts of the host.

Source: OCI runtime-spec 1.0.2, config.md and config-linux.md. With `SpecPaths.ids` the container gets the user namespace
that was made for it (runc wants both maps beside its path), and the groups that may ping are those that exist in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from engine.errors import RequestRefused
from engine.runtime import confinement, rights
from engine.runtime.access import device_rules
from engine.runtime.command import command_line, environment
from engine.runtime.shares import rlimits, with_shares

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.config import Limits
    from engine.ids import IdRange
    from engine.oci.image_config import ImageConfig
    from engine.runtime.access import Device
    from engine.runtime.host import HostFacts
    from engine.runtime.passwd import ResolvedUser
    from engine.runtime.policy import Policy
    from engine.runtime.request import ContainerRequest

CPU_PERIOD_US = 100_000
_BIND = ["bind", "rprivate", "nosuid", "nodev", "noexec"]

Spec = dict[str, Any]  # Any: JSON of the OCI runtime spec


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecPaths:
    """Where things of this container are: on the host, and (the `..._at`) in its root, already resolved there.

    `devices`: (major, minor) of those that have a rate; `nodes`: place in the container → the node that was made for it;
    `all_devices`: of the host, for a privileged one. `netns` None: the host's own.
    """

    rootfs: Path
    hosts: Path
    hostname: Path
    resolv_conf: Path
    hosts_at: str
    hostname_at: str
    resolv_conf_at: str
    working_dir: str
    netns: Path | None
    cgroup: str
    ids: IdRange | None = None
    userns: Path | None = None
    init: Path | None = None
    init_at: str = ""
    devices: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    nodes: Mapping[str, Path] = field(default_factory=dict)
    all_devices: Mapping[str, Device] = field(default_factory=dict)


def build_spec(
    *,
    image: ImageConfig,
    request: ContainerRequest,
    policy: Policy,
    host: HostFacts,
    user: ResolvedUser,
    paths: SpecPaths,
    limits: Limits,
    seccomp: Spec,
) -> Spec:
    """The spec that runc is given.

    Raises:
        RequestRefused: no command, or a limit that the host cannot give.
    """
    return {
        "ociVersion": "1.0.2",
        "process": _process(image, request, policy, host, user, paths),
        "root": {"path": str(paths.rootfs), "readonly": request.read_only},
        **({} if request.shares_namespace("uts") else {"hostname": request.effective_hostname}),
        "mounts": [
            *confinement.system_mounts(
                request.shm_bytes or confinement.SHM_BYTES,
                is_privileged=request.access.privileged,
                shares_ipc=request.shares_namespace("ipc"),
            ),
            *_file_mounts(paths, read_only=request.read_only),
            *_init_mounts(paths),
            *_device_mounts(paths),
        ],
        "linux": _linux(request, policy, host, paths, limits, seccomp),
    }


def arguments_of(image: ImageConfig, request: ContainerRequest) -> tuple[str, ...]:
    return command_line(
        image_entrypoint=image.entrypoint,
        image_command=image.cmd,
        entrypoint=request.entrypoint,
        command=request.command,
    )


def environment_of(image: ImageConfig, request: ContainerRequest, user: ResolvedUser) -> tuple[str, ...]:
    return environment(
        image_env=image.env or (),
        env=request.env,
        hostname=request.effective_hostname,
        home=user.home,
        tty=request.tty,
    )


def _process(  # noqa: PLR0917
    image: ImageConfig,
    request: ContainerRequest,
    policy: Policy,
    host: HostFacts,
    user: ResolvedUser,
    paths: SpecPaths,
) -> Spec:
    capabilities = list(held_capabilities(request, policy, host))
    # A user other than root starts with none, as with Docker; the bounding set lets setuid programs have them.
    held = capabilities if user.uid == 0 else []
    process: Spec = {
        "terminal": request.tty,
        "user": {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups)},
        "args": [*((confinement.INIT_PLACE, "--") if request.init else ()), *arguments_of(image, request)],
        "env": list(environment_of(image, request, user)),
        "cwd": paths.working_dir,
        # No inheritable and no ambient ones: CVE-2022-24769.
        "capabilities": {"bounding": capabilities, "effective": held, "permitted": held},
        "rlimits": rlimits(request.shares, host.shares),
        "noNewPrivileges": policy.no_new_privileges or request.rights.no_new_privileges,
        "oomScoreAdj": request.shares.oom_score or confinement.OOM_SCORE_ADJUSTMENT,
    }
    if request.tty:
        process["consoleSize"] = {"height": request.rows, "width": request.columns}
    return process


def held_capabilities(request: ContainerRequest, policy: Policy, host: HostFacts) -> tuple[str, ...]:
    """Of its bounding set; a privileged one has all that the kernel knows, whatever else was asked for, as with Docker.

    Raises:
        RequestRefused: one that the host's policy does not give.
    """
    if request.access.privileged:
        return tuple(name for name in confinement.KNOWN_CAPABILITIES if name in host.capabilities)
    return rights.capabilities(request.rights, policy)


def _device_mounts(paths: SpecPaths) -> list[Spec]:
    return [
        {"destination": place, "type": "bind", "source": str(node), "options": list(confinement.DEVICE_OPTIONS)}
        for place, node in paths.nodes.items()
    ]


def _init_mounts(paths: SpecPaths) -> list[Spec]:
    if paths.init is None:
        return []
    options = list(confinement.INIT_OPTIONS)
    return [{"destination": paths.init_at, "type": "bind", "source": str(paths.init), "options": options}]


def _file_mounts(paths: SpecPaths, *, read_only: bool) -> list[Spec]:
    places = (
        (paths.resolv_conf, paths.resolv_conf_at),
        (paths.hostname, paths.hostname_at),
        (paths.hosts, paths.hosts_at),
    )
    extra = ["ro"] if read_only else []
    return [
        {"destination": destination, "type": "bind", "source": str(source), "options": [*_BIND, *extra]}
        for source, destination in places
    ]


def _linux(  # noqa: PLR0917
    request: ContainerRequest, policy: Policy, host: HostFacts, paths: SpecPaths, limits: Limits, seccomp: Spec
) -> Spec:
    shared, privileged = request.access.namespaces, request.access.privileged
    namespaces: list[Spec] = [
        {"type": kind} for kind in confinement.NAMESPACES if kind != "network" and kind not in shared
    ]
    if paths.netns is not None:
        namespaces.append({"type": "network", "path": str(paths.netns)})
    linux: Spec = {
        "namespaces": namespaces,
        "cgroupsPath": paths.cgroup,
        "resources": with_shares(resources(request, policy, host, limits), request.shares, host.shares, paths.devices),
        "maskedPaths": [] if privileged else [*confinement.MASKED_PATHS, *host.masked],
        "readonlyPaths": [] if privileged else list(confinement.READONLY_PATHS),
        "sysctl": _sysctls(request, paths),
    }
    if not (request.rights.unconfined or privileged):  # whether that may be, the last look at the spec says
        linux["seccomp"] = seccomp
    if privileged:
        linux["devices"] = [_node(path, device) for path, device in paths.all_devices.items()]
    if paths.ids is not None:
        namespaces.append({"type": "user", "path": str(paths.userns)})
        mapping = {"containerID": 0, "hostID": paths.ids.first, "size": paths.ids.count}
        linux |= {"uidMappings": [mapping], "gidMappings": [dict(mapping)]}
    return linux


def _sysctls(request: ContainerRequest, paths: SpecPaths) -> Spec:
    base = confinement.SYSCTLS if paths.ids is None else confinement.SYSCTLS_OF_OWN_IDS
    return {**({} if paths.netns is None else base), **dict(request.access.sysctls)}


def _node(path: str, device: Device) -> Spec:
    return {
        "path": path,
        "type": device.kind,
        "major": device.major,
        "minor": device.minor,
        "fileMode": device.mode,
        "uid": device.uid,
        "gid": device.gid,
    }


def resources(request: ContainerRequest, policy: Policy, host: HostFacts, limits: Limits) -> Spec:
    """Memory, processor and process limits, always all three (RUN-13); the defaults shrink to what the host has.

    Raises:
        RequestRefused: less memory than anything starts with, more processors than there are, above a ceiling; or the
            host's kernel cannot hold a container to one of the three.
    """
    if missing := sorted({"cpu", "memory", "pids"} - host.controllers):
        msg = f"This kernel cannot limit a container: its control groups have no {', '.join(missing)} controller."
        raise RequestRefused(msg, subject=request.container_id)
    default = default_limits(policy, host, limits)
    memory = default.memory_bytes if request.memory_bytes is None else _memory(request.memory_bytes, policy, limits)
    nano_cpus = default.nano_cpus if request.nano_cpus is None else _nano_cpus(request.nano_cpus, policy, host)
    pids = default.pids if request.pids is None else request.pids
    if pids > policy.pids:
        msg = f"The host allows at most {policy.pids} processes in a container."
        raise RequestRefused(msg, subject=request.container_id)
    memory_rules: Spec = {"limit": memory}
    if host.swap_limit:
        memory_rules["swap"] = memory  # memory and swap together: no swap
    period = request.shares.cpu_period_us or CPU_PERIOD_US
    quota = max(1000, nano_cpus * period // 1_000_000_000)  # the kernel takes no less than 1 ms
    return {
        "memory": memory_rules,
        "cpu": {"quota": quota, "period": period},
        "pids": {"limit": pids},
        "devices": device_rules(request.access),
    }


def default_limits(policy: Policy, host: HostFacts, limits: Limits) -> Limits:
    """Of a container that names none: the settings', and no more than the host has and its policy allows."""
    cpus = host.cpus * 1_000_000_000
    return replace(
        limits,
        memory_bytes=min(limits.memory_bytes, host.memory_bytes, policy.memory_bytes or host.memory_bytes),
        nano_cpus=min(limits.nano_cpus, cpus, policy.nano_cpus or cpus),
        pids=min(limits.pids, policy.pids),
    )


def _memory(asked: int, policy: Policy, limits: Limits) -> int:
    if asked < limits.memory_minimum_bytes:
        msg = f"Minimum memory limit allowed is {limits.memory_minimum_bytes // (1024 * 1024)}MB"
        raise RequestRefused(msg)
    if policy.memory_bytes is not None and asked > policy.memory_bytes:
        msg = f"The host allows at most {policy.memory_bytes // (1024 * 1024)} MiB of memory for a container."
        raise RequestRefused(msg)
    return asked


def _nano_cpus(asked: int, policy: Policy, host: HostFacts) -> int:
    there = host.cpus * 1_000_000_000
    ceiling = there if policy.nano_cpus is None else min(there, policy.nano_cpus)
    if asked > there or asked < 10_000_000:
        msg = f"range of CPUs is from 0.01 to {host.cpus:.2f}, as there are only {host.cpus} CPUs available"
        raise RequestRefused(msg)
    if asked > ceiling:
        msg = f"The host allows at most {ceiling / 1_000_000_000:.2f} CPUs for a container."
        raise RequestRefused(msg)
    return asked
