"""`inspect` of a container, in Docker's shape; and its line in `ps`."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from dashboard import gateway
from dashboard.containers import health, lifelimits, mounting, networking, ports, states
from dashboard.containers.creation import effective_command
from dashboard.containers.enginerequest import access_of, labels_of
from dashboard.containers.limits import limits_in_force
from dashboard.containers.lookup import find
from dashboard.containers.models import Container, ContainerState, ExecState, IdMode
from dashboard.core.filters import anything, refuse_unknown
from dashboard.core.gate import Requester
from dashboard.grammar import ContainerOptions
from dashboard.grammar.errors import ValueRefused
from dashboard.grammar.hostflags import quota_of
from dashboard.grammar.limitvalues import parse_rate, parse_ulimit
from dashboard.grammar.listing import ContainerLine
from dashboard.grammar.ports import bindings, exposed_ports, read_exposed, shown_ports
from dashboard.grammar.requests import Ps
from dashboard.grammar.units import rfc3339

UNKNOWN_CODE = -1
SHM_BYTES = 64 * 1024 * 1024
OOM_SCORE = 200
_WORDS = {
    ContainerState.STARTING: "created",
    ContainerState.STOPPING: "running",
}


def _is_port(value: str) -> bool:
    try:
        read_exposed(value)
    except ValueRefused:
        return False
    return True


_STATUSES = frozenset({"created", "running", "paused", "restarting", "removing", "exited", "dead"})
_FILTERS = {
    "status": lambda value: value in _STATUSES,
    "name": anything,
    "id": anything,
    "ancestor": anything,
    "volume": anything,
    "network": anything,
    "label": anything,
    "health": lambda value: value in {"starting", "healthy", "unhealthy", "none"},
    "exited": lambda value: value.removeprefix("-").isdecimal(),
    "publish": _is_port,
    "expose": _is_port,
    "before": anything,
    "since": anything,
}
_RUNS = frozenset({"running", "paused", "restarting"})  # as with Docker
_HOSTS_IDS = frozenset({IdMode.HOST, IdMode.BEFORE})


def docker_state(container: Container) -> str:
    """Docker has fewer words for states than we have."""
    if container.is_restarting:
        return "restarting"
    state = ContainerState(container.state)
    return str(_WORDS.get(state, state))


def _state(container: Container) -> dict[str, Any]:
    word = docker_state(container)
    return {
        "Status": word,
        "Running": word in _RUNS,
        "Paused": word == "paused",
        "Restarting": word == "restarting",
        "OOMKilled": container.oom_killed,
        "Dead": word == "dead",
        "Pid": container.pid or 0,
        "ExitCode": docker_exit_code(container),
        "Error": container.error,
        "StartedAt": rfc3339(container.started_at),
        "FinishedAt": rfc3339(container.finished_at),
        **health.shape(container),
    }


def docker_exit_code(container: Container) -> int:
    """0 for one that has not ended yet, as in Docker; -1 for one whose end nobody saw."""
    if container.exit_code is not None:
        return container.exit_code
    return 0 if container.finished_at is None else UNKNOWN_CODE


def _config(container: Container, options: ContainerOptions) -> dict[str, Any]:
    said = container.image.config.get("config") or {}
    own_entrypoint = [options.entrypoint] if options.entrypoint else None
    return {
        "Hostname": options.hostname or container.short_id,
        "Domainname": options.domainname,
        "User": options.user or said.get("User", ""),
        "Tty": container.tty,
        "OpenStdin": container.open_stdin,
        "StdinOnce": container.open_stdin and not options.detach,
        "Env": [*(said.get("Env") or ()), *options.env],
        "Cmd": list(options.command) or (said.get("Cmd") if options.entrypoint is None else None),
        "Image": container.image_reference,
        "WorkingDir": options.workdir or said.get("WorkingDir", ""),
        "Entrypoint": said.get("Entrypoint") if options.entrypoint is None else own_entrypoint,
        "Labels": labels_of(container.image.config, options),
        **_healthcheck(container, options),
        "ExposedPorts": _exposed(container, options),
        "StopSignal": options.stop_signal or said.get("StopSignal") or "SIGTERM",
        **({} if options.stop_timeout_s is None else {"StopTimeout": options.stop_timeout_s}),
    }


def _healthcheck(container: Container, options: ContainerOptions) -> dict[str, Any]:
    if options.no_healthcheck:
        return {"Healthcheck": {"Test": ["NONE"]}}
    found = health.check(container)
    return {} if found is None else {"Healthcheck": found.shape()}


def _id_maps(container: Container) -> dict[str, list[str]] | None:
    """As podman writes them: `container:host:count`. None: its users are the host's own, or it was never started."""
    if container.first_id is None:
        return None
    line = f"0:{container.first_id}:{gateway.IdRange(container.first_id).count}"
    return {"UidMap": [line], "GidMap": [line]}


def _host_config(container: Container, options: ContainerOptions) -> dict[str, Any]:
    limits = limits_in_force(options)
    return {
        "NetworkMode": networking.mode(options),
        "AutoRemove": options.auto_remove,
        **_access(options),
        "UsernsMode": "host" if container.id_mode in _HOSTS_IDS else "",
        "IDMappings": _id_maps(container),
        "ReadonlyRootfs": options.read_only,
        "Init": options.init or None,
        "ShmSize": options.shm_bytes or SHM_BYTES,
        "Dns": list(options.dns),
        "DnsOptions": list(options.dns_options),
        "DnsSearch": list(options.dns_search),
        "ExtraHosts": list(options.hosts) or None,
        "GroupAdd": list(options.groups) or None,
        "Memory": limits.memory_bytes.value,
        "NanoCpus": limits.nano_cpus.value,
        "PidsLimit": limits.pids.value,
        **_rights(options),
        **_shares(options, limits.memory_bytes.value),
        "RestartPolicy": {
            "Name": container.restart_policy.name,
            "MaximumRetryCount": container.restart_policy.most,
        },
        "Binds": list(options.volumes) or None,
        "StorageOpt": {"size": str(options.storage_bytes)} if options.storage_bytes else None,
        "PortBindings": _port_bindings(options),
        "PublishAllPorts": options.publish_all,
    }


def _access(options: ContainerOptions) -> dict[str, Any]:
    """What it has of the host."""
    access = access_of(options)
    return {
        "Privileged": options.privileged,
        "PidMode": options.pid,
        "IpcMode": options.ipc or "private",
        "UTSMode": options.uts,
        "CgroupnsMode": "private",
        "Devices": [
            {"PathOnHost": path, "PathInContainer": place, "CgroupPermissions": access}
            for path, place, access in access.devices
        ],
        "Sysctls": dict(access.sysctls),
    }


def _rights(options: ContainerOptions) -> dict[str, Any]:
    return {
        "CapAdd": list(options.cap_add) or None,
        "CapDrop": list(options.cap_drop) or None,
        "SecurityOpt": list(options.security_opt) or None,
    }


def _shares(options: ContainerOptions, memory_bytes: int) -> dict[str, Any]:
    def rates(items: tuple[str, ...], *, is_bytes: bool) -> list[dict[str, Any]] | None:
        found = (parse_rate(item, is_bytes=is_bytes) for item in items)
        return [{"Path": one.path, "Rate": one.rate} for one in found] or None

    ulimits = map(parse_ulimit, options.ulimit)
    return {
        "CpuShares": options.cpu_shares or 0,
        "CpusetCpus": options.cpuset_cpus,
        "CpusetMems": options.cpuset_mems,
        "CpuPeriod": options.cpu_period_us or 0,
        "CpuQuota": quota_of(options.nano_cpus, options.cpu_period_us)
        if options.cpu_period_us and options.nano_cpus
        else 0,
        "MemorySwap": options.memory_swap_bytes or memory_bytes,
        "MemoryReservation": options.memory_reservation_bytes or 0,
        "OomScoreAdj": options.oom_score or OOM_SCORE,
        "Ulimits": [{"Name": one.name, "Hard": one.hard, "Soft": one.soft} for one in ulimits] or None,
        "BlkioDeviceReadBps": rates(options.device_read_bps, is_bytes=True),
        "BlkioDeviceWriteBps": rates(options.device_write_bps, is_bytes=True),
        "BlkioDeviceReadIOps": rates(options.device_read_iops, is_bytes=False),
        "BlkioDeviceWriteIOps": rates(options.device_write_iops, is_bytes=False),
    }


def _exposed(container: Container, options: ContainerOptions) -> dict[str, Any]:
    named = [(one.container_port, one.protocol) for one in bindings(options.publish)]
    found = sorted({*ports.exposed_of(container.image, options), *named})
    return {f"{port}/{protocol}": {} for port, protocol in found}


def _port_bindings(options: ContainerOptions) -> dict[str, Any]:
    """What was asked for; `NetworkSettings.Ports` has what came of it."""
    asked: dict[str, Any] = {}
    for one in bindings(options.publish):
        said = {"HostIp": one.address, "HostPort": "" if one.host is None else str(one.host)}
        asked.setdefault(one.container, []).append(said)
    return asked


def _ports(container: Container) -> dict[str, Any]:
    there: dict[str, Any] = {}
    for one in ports.shown(container):
        held = there.setdefault(f"{one.container_port}/{one.protocol}", [] if one.address else None)
        if held is not None:
            held.append({"HostIp": one.address, "HostPort": str(one.port)})
    return there


def inspect_sizes(container: Container, written_bytes: int | None) -> dict[str, Any]:
    """What `inspect --size` adds; null where it could not be counted."""
    whole = None if written_bytes is None else written_bytes + container.image.size_bytes
    return {"SizeRw": written_bytes, "SizeRootFs": whole}


def inspect(container: Container) -> dict[str, Any]:
    """One element of what `inspect` prints."""
    options = ContainerOptions.from_json(container.options)
    words = effective_command(container.image, options)
    folder = gateway.engine_config().container(container.container_id)
    return {
        "Id": container.container_id,
        "Created": rfc3339(container.created_at),
        "Path": words[0] if words else "",
        "Args": list(words[1:]),
        "State": _state(container),
        "Image": container.image.image_id,
        "ResolvConfPath": str(folder / "etc" / "resolv.conf"),
        "HostnamePath": str(folder / "etc" / "hostname"),
        "HostsPath": str(folder / "etc" / "hosts"),
        "LogPath": str(folder / "io" / "ctr.log"),
        "Name": f"/{container.name}",
        "RestartCount": container.restart_count,
        "ExecIDs": [row.exec_id for row in container.execs.all() if row.state != ExecState.EXITED] or None,
        "Driver": "overlay",
        "Platform": container.image.os,
        "HostConfig": _host_config(container, options),
        "Mounts": mounting.shapes(container, options),
        "Config": _config(container, options),
        "NetworkSettings": {"Ports": _ports(container), **networking.shapes(container)},
        **lifelimits.shape(container),
    }


def _labels(container: Container) -> dict[str, str]:
    return labels_of(container.image.config, ContainerOptions.from_json(container.options))


def _health(container: Container) -> str:
    """Empty for one that is asked nothing, or does not run."""
    row = health.of(container)
    return str(row.status) if row is not None and container.state in states.RUNS else ""


def _ends_at(container: Container) -> datetime | None:
    """Of one that runs and is near its end."""
    life = getattr(container, "life", None)
    return life.ends_at if life is not None and container.state in states.RUNS else None


def has_labels(container: Container, values: list[str]) -> bool:
    """All of them: `key`, or `key=value`."""
    found = _labels(container)
    wanted = (value.partition("=") for value in values)
    return all(key in found and (not sign or found[key] == value) for key, sign, value in wanted)


def _image_shown(container: Container) -> str:
    return container.image_reference


def container_line(container: Container, written_bytes: int | None) -> ContainerLine:
    """What `ps` prints about it. `written_bytes` None: not counted."""
    return ContainerLine(
        container_id=container.container_id,
        name=container.name,
        image=_image_shown(container),
        command=container.command_shown,
        state=docker_state(container),
        created_at=container.created_at,
        started_at=container.started_at,
        finished_at=container.finished_at,
        exit_code=container.exit_code,
        image_bytes=container.image.size_bytes,
        health=_health(container),
        ends_at=_ends_at(container),
        labels=",".join(f"{key}={value}" for key, value in sorted(_labels(container).items())),
        written_bytes=written_bytes,
        ports=shown_ports(ports.shown(container)),
        mounts=mounting.names(container),
        networks=networking.network_names(container),
    )


def _has_port(container: Container, values: list[str], *, is_published: bool) -> bool:
    """By the container's port, as Docker does: `80`, `80-90/udp`."""
    wanted = {one for value in values for one in exposed_ports([read_exposed(value)])}
    return any(
        (one.container_port, one.protocol) in wanted and (one.address or not is_published)
        for one in ports.shown(container)
    )


def _is_of_image(container: Container, values: list[str]) -> bool:
    ids = container.image.image_id.removeprefix("sha256:")
    return any(value in {container.image_reference, f"sha256:{ids}"} or ids.startswith(value) for value in values)


def _fits_name(wanted: str, name: str) -> bool:
    """A part of it; `^` and `$` mark its ends, as in the expressions that Docker takes here."""
    part = wanted.removeprefix("^").removeprefix("/").removesuffix("$")
    at_begin, at_end = wanted.startswith("^"), wanted.endswith("$")
    if at_begin and at_end:
        return name == part
    return (part in name) and (not at_begin or name.startswith(part)) and (not at_end or name.endswith(part))


def _has_volume(container: Container, values: list[str]) -> bool:
    return any(value in {use.volume.name, use.target} for use in container.volume_uses.all() for value in values)


def _is_in_network(container: Container, values: list[str]) -> bool:
    found = [endpoint.network for endpoint in container.endpoints.all()]
    return any(value == one.name or one.network_id.startswith(value) for one in found for value in values)


_KEEPS: dict[str, Callable[[Container, list[str]], bool]] = {
    "status": lambda container, values: docker_state(container) in values,
    "name": lambda container, values: any(_fits_name(value, container.name) for value in values),
    "id": lambda container, values: any(container.container_id.startswith(value) for value in values),
    "ancestor": _is_of_image,
    "volume": _has_volume,
    "network": _is_in_network,
    "label": has_labels,
    "health": lambda container, values: (_health(container) or "none") in values,
    "exited": lambda row, values: row.state == ContainerState.EXITED and str(row.exit_code) in values,
    "publish": lambda container, values: _has_port(container, values, is_published=True),
    "expose": lambda container, values: _has_port(container, values, is_published=False),
}
_BESIDE = {"before": operator.lt, "since": operator.gt}  # another container, by when they were made


def _made(container: Container) -> tuple[datetime, int]:
    return container.created_at, container.pk


def _keeps(container: Container, name: str, values: list[str]) -> bool:
    return _KEEPS[name](container, values)


def chosen_containers(containers: Iterable[Container], request: Ps, user: Requester = None) -> list[Container]:
    """Those that `ps` lists, newest first, as its flags and filters choose.

    Raises:
        DashboardError: a filter that `ps` does not know, whether there are containers or not; it names a container that
            is not there.
    """
    refuse_unknown(request.filters, _FILTERS)
    rows = list(containers)
    shows_all = request.all or request.last >= 0 or any(name in {"status", "exited"} for name, _ in request.filters)
    if not shows_all:
        rows = [row for row in rows if docker_state(row) in _RUNS]
    for name in {name for name, _ in request.filters}:
        values = [value for other, value in request.filters if other == name]
        if name in _BESIDE:
            others = [_made(find(value, user)) for value in values]
            rows = [row for row in rows if any(_BESIDE[name](_made(row), other) for other in others)]
        else:
            rows = [row for row in rows if _keeps(row, name, values)]
    if request.last > 0:
        rows = rows[: request.last]
    return rows
