"""What `run` and `create` ask for, as a value: from words, to words, to and from JSON."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from dashboard.grammar import mounts
from dashboard.grammar.netvalues import NetworkChoice, choices
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
        ("--cpus", None if options.nano_cpus is None else write_cpus(options.nano_cpus)),
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
    return [word for flag, value in said if value is not None for word in (flag, value)]


def to_line(options: ContainerOptions, *, program: str = "docker", verb: str = "run") -> str:
    """The line that a person would type: `docker run -i -t ubuntu:14.04`. `parse` reads the same options from it."""
    words = [program, verb, *_switches(options), *_pairs(options)]
    words += ["--"] if options.image.startswith("-") else []
    return shlex.join([*words, options.image, *options.command])
