"""What `run` and `create` ask for, as a value: from words, to words, to and from JSON."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from dashboard.grammar import mounts
from dashboard.grammar.hostflags import quota_of
from dashboard.grammar.limitvalues import write_swap
from dashboard.grammar.netvalues import NetworkChoice, choices
from dashboard.grammar.runvalues import write_duration
from dashboard.grammar.spans import write_span
from dashboard.grammar.values import write_cpus, write_size


@dataclass(frozen=True, slots=True)
class Stored:
    """How options stand in a row: plain JSON, every field; tuples as lists."""

    def to_json(self) -> dict[str, Any]:
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Of `to_json`'s data; unknown keys are dropped, so rows of a newer version can be read."""
        known = {field.name for field in fields(cls)} & data.keys()
        return cls(**{key: tuple(data[key]) if isinstance(data[key], list) else data[key] for key in known})


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerOptions(Stored):
    """None or "" means: not said, take the image's or the server's default.

    Only `entrypoint` tells the two apart: "" is Docker's `--entrypoint ""`, which drops the image's entrypoint.
    """

    image: str
    command: tuple[str, ...] = ()
    name: str = ""
    env: tuple[str, ...] = ()
    workdir: str = ""
    user: str = ""
    hostname: str = ""
    entrypoint: str | None = None
    interactive: bool = False
    tty: bool = False
    detach: bool = False
    auto_remove: bool = False
    memory_bytes: int | None = None
    nano_cpus: int | None = None
    pids_limit: int | None = None
    platform: str = ""
    userns: str = ""  # "host", where the host's policy allows it
    privileged: bool = False
    devices: tuple[str, ...] = ()  # path:place:rwm
    sysctls: tuple[str, ...] = ()  # name=value
    pid: str = ""  # "host", as the two below
    ipc: str = ""
    uts: str = ""
    cpu_period_us: int | None = None  # in which the processors are counted; `nano_cpus` says how much of it
    cpuset_mems: str = ""
    publish: tuple[str, ...] = ()  # as `dashboard.grammar.ports` spells them
    publish_all: bool = False
    expose: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()  # as typed after -v, --mount and --tmpfs; `mounts` reads them
    mounts: tuple[str, ...] = ()
    tmpfs: tuple[str, ...] = ()
    storage_bytes: int | None = None
    networks: tuple[str, ...] = ()  # as typed after --network; `netvalues` reads them
    network_aliases: tuple[str, ...] = ()  # in the first of them
    ip: str = ""
    labels: tuple[str, ...] = ()  # key=value
    hosts: tuple[str, ...] = ()  # name:address
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    domainname: str = ""
    groups: tuple[str, ...] = ()
    init: bool = False
    read_only: bool = False
    shm_bytes: int | None = None
    stop_signal: str = ""
    stop_timeout_s: int | None = None
    expire_s: int | None = None  # after its start; the three are Berth's own
    idle_stop_s: int | None = None
    keep: bool = False  # not stopped when nobody uses it
    health_cmd: str = ""
    health_interval_ms: int | None = None
    health_timeout_ms: int | None = None
    health_start_period_ms: int | None = None
    health_retries: int | None = None
    no_healthcheck: bool = False
    restart: str = ""  # always, unless-stopped, on-failure[:most]
    cap_add: tuple[str, ...] = ()  # CAP_NAME or ALL
    cap_drop: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    ulimit: tuple[str, ...] = ()  # name=soft:hard
    cpu_shares: int | None = None
    cpuset_cpus: str = ""
    memory_swap_bytes: int | None = None  # with the memory; -1 is no limit
    memory_reservation_bytes: int | None = None
    oom_score: int | None = None
    device_read_bps: tuple[str, ...] = ()  # path:size
    device_write_bps: tuple[str, ...] = ()
    device_read_iops: tuple[str, ...] = ()  # path:number
    device_write_iops: tuple[str, ...] = ()


def mounts_of(options: ContainerOptions) -> list[mounts.Mount]:
    """All that the options want mounted.

    Raises:
        ValueRefused: an item that cannot be read.
    """
    read = ((mounts.volume, options.volumes), (mounts.mount, options.mounts), (mounts.tmpfs, options.tmpfs))
    return [reader(item) for reader, items in read for item in items]


def networks_of(options: ContainerOptions) -> list[NetworkChoice]:
    """Where the container is to be, the first network first.

    Raises:
        ValueRefused: an item that cannot be read.
    """
    return choices(options.networks, options.network_aliases, options.ip)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecOptions(Stored):
    """What `exec` asks for. `command` () is the shell of the user, which no words can say; "" is the container's own."""

    command: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    workdir: str = ""
    user: str = ""
    interactive: bool = False
    tty: bool = False


def _switches(options: ContainerOptions) -> list[str]:
    table = (
        (options.detach, "-d"),
        (options.interactive, "-i"),
        (options.tty, "-t"),
        (options.auto_remove, "--rm"),
        (options.publish_all, "-P"),
        (options.init, "--init"),
        (options.read_only, "--read-only"),
        (options.keep, "--keep"),
        (options.no_healthcheck, "--no-healthcheck"),
        (options.keep, "--keep"),
        (options.privileged, "--privileged"),
    )
    return [word for is_set, word in table if is_set]


def _pairs(options: ContainerOptions) -> list[str]:
    said: list[tuple[str, str | None]] = [("--name", options.name or None)]
    said += [("-e", item) for item in options.env]
    said += [("-p", item) for item in options.publish]
    said += [("--expose", item) for item in options.expose]
    said += [
        ("-w", options.workdir or None),
        ("-u", options.user or None),
        ("-h", options.hostname or None),
        ("--entrypoint", options.entrypoint),
        ("-m", None if options.memory_bytes is None else write_size(options.memory_bytes)),
        *_processors(options),
        ("--pids-limit", None if options.pids_limit is None else str(options.pids_limit)),
        ("--platform", options.platform or None),
        ("--userns", options.userns or None),
        ("--storage-opt", None if options.storage_bytes is None else f"size={write_size(options.storage_bytes)}"),
    ]
    said += [("-v", item) for item in options.volumes]
    said += [("--mount", item) for item in options.mounts]
    said += [("--tmpfs", item) for item in options.tmpfs]
    said += [("--network", item) for item in options.networks]
    said += [("--network-alias", item) for item in options.network_aliases]
    said += [("--ip", options.ip or None)]
    said += [(flag, item) for flag, items in _lists(options) for item in items]
    said += _singles(options)
    return [word for flag, value in said if value is not None for word in (flag, value)]


def _lists(options: ContainerOptions) -> list[tuple[str, tuple[str, ...]]]:
    return [
        ("-l", options.labels),
        ("--add-host", options.hosts),
        ("--dns", options.dns),
        ("--dns-search", options.dns_search),
        ("--dns-option", options.dns_options),
        ("--group-add", options.groups),
        ("--cap-add", options.cap_add),
        ("--cap-drop", options.cap_drop),
        ("--device", options.devices),
        ("--sysctl", options.sysctls),
        ("--security-opt", options.security_opt),
        ("--ulimit", options.ulimit),
        ("--device-read-bps", options.device_read_bps),
        ("--device-write-bps", options.device_write_bps),
        ("--device-read-iops", options.device_read_iops),
        ("--device-write-iops", options.device_write_iops),
    ]


def _singles(options: ContainerOptions) -> list[tuple[str, str | None]]:
    return [
        ("--domainname", options.domainname or None),
        ("--shm-size", _size(options.shm_bytes)),
        ("--health-cmd", options.health_cmd or None),
        ("--health-interval", _duration(options.health_interval_ms)),
        ("--health-timeout", _duration(options.health_timeout_ms)),
        ("--health-start-period", _duration(options.health_start_period_ms)),
        ("--health-retries", _number(options.health_retries)),
        ("--restart", options.restart or None),
        ("--stop-signal", options.stop_signal or None),
        ("--stop-timeout", _number(options.stop_timeout_s)),
        ("--expire", None if options.expire_s is None else write_span(options.expire_s)),
        ("--idle-stop", None if options.idle_stop_s is None else write_span(options.idle_stop_s)),
        ("--cpu-shares", _number(options.cpu_shares)),
        ("--cpuset-cpus", options.cpuset_cpus or None),
        ("--cpuset-mems", options.cpuset_mems or None),
        ("--pid", options.pid or None),
        ("--ipc", options.ipc or None),
        ("--uts", options.uts or None),
        ("--memory-swap", None if options.memory_swap_bytes is None else write_swap(options.memory_swap_bytes)),
        ("--memory-reservation", _size(options.memory_reservation_bytes)),
        ("--oom-score-adj", _number(options.oom_score)),
    ]


def _processors(options: ContainerOptions) -> list[tuple[str, str | None]]:
    if options.cpu_period_us is None:
        return [("--cpus", None if options.nano_cpus is None else write_cpus(options.nano_cpus))]
    quota = None if options.nano_cpus is None else str(quota_of(options.nano_cpus, options.cpu_period_us))
    return [("--cpu-period", str(options.cpu_period_us)), ("--cpu-quota", quota)]


def _size(value: int | None) -> str | None:
    return None if value is None else write_size(value)


def _duration(value: int | None) -> str | None:
    return None if value is None else write_duration(value)


def _number(value: int | None) -> str | None:
    return None if value is None else str(value)


def to_line(options: ContainerOptions, *, program: str = "docker", verb: str = "run") -> str:
    """The line that a person would type: `docker run -i -t ubuntu:14.04`. `parse` reads the same options from it."""
    words = [program, verb, *_switches(options), *_pairs(options)]
    words += ["--"] if options.image.startswith("-") else []
    return shlex.join([*words, options.image, *options.command])
