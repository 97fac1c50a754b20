"""Where the engine keeps things and within which limits it works. Values only; reading them has no side effect.

Names: `tag` is the first 8 hex digits of the sha256 of the data folder's path. It is in the name of everything that
lives outside the data folder (run folder, bridge, nft table, cgroup, network namespaces), so that several Berths, the
tests and the bench can share one host (settled.md 3).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from engine.ids import IdPool

# From 0x70000000 on: neither systemd's containers nor the usual ranges of /etc/subuid come that far.
DEFAULT_IDS = IdPool(base=0x7000_0000, ranges=4096)
MIB = 1024 * 1024
GIB = 1024 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one container when the request names none, and of the logs. All are always set (RUN-13), but for the
    size of its writable layer: 0 is no limit. `archive_…`: what a volume's backup may hold, either way.
    """

    memory_bytes: int = 2 * GIB
    nano_cpus: int = 2_000_000_000
    pids: int = 512
    memory_minimum_bytes: int = 6 * MIB
    log_segment_bytes: int = 16 * MIB
    log_segments: int = 3
    reserve_bytes: int = 512 * MIB
    layer_bytes: int = 64 * GIB
    layer_entries: int = 2_000_000
    writable_bytes: int = 0
    writable_minimum_bytes: int = 16 * MIB
    archive_bytes: int = 256 * GIB
    archive_entries: int = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """One engine. `uid`/`gid` are those of the unprivileged user (`berth`) that the web and images processes run as."""

    data: Path
    uid: int
    gid: int
    run_parent: Path = Path("/run")
    subnet: str | None = None
    mirrors: dict[str, str] = field(default_factory=dict)
    plain_http: frozenset[str] = frozenset()
    runc: Path = Path("/usr/sbin/runc")
    conmon: Path = Path("/usr/bin/conmon")
    init: Path = Path("/usr/bin/tini-static")
    seccomp_base: Path = Path("/usr/share/containers/seccomp.json")
    policy_file: Path = Path("/etc/berth/engine.toml")
    aardvark: Path = Path("/usr/lib/podman/aardvark-dns")
    socat: Path = Path("/usr/bin/socat")
    limits: Limits = Limits()
    pull_parallel: int = 3
    ids: IdPool = DEFAULT_IDS

    @property
    def tag(self) -> str:
        return hashlib.sha256(str(self.data.resolve()).encode()).hexdigest()[:8]

    @property
    def run(self) -> Path:
        """Volatile state (tmpfs): sockets, runc state, admin token."""
        return self.run_parent / f"berth-{self.tag}"

    @property
    def blobs(self) -> Path:
        return self.data / "blobs"

    @property
    def ingest(self) -> Path:
        return self.data / "ingest"

    @property
    def incoming(self) -> Path:
        """Layer files written by the unprivileged worker, waiting to be adopted by the engine worker."""
        return self.data / "incoming"

    @property
    def transfers(self) -> Path:
        """Archives on their way out or in, one file each; the unprivileged user's."""
        return self.data / "transfers"

    @property
    def layers(self) -> Path:
        """Adopted layer files: `<diff-id hex>.sqfs`, or `.<first id>.sqfs` (`layer_file`), root, 0440."""
        return self.data / "layers"

    @property
    def containers(self) -> Path:
        return self.data / "containers"

    @property
    def volumes(self) -> Path:
        """0700 root: `<name>/_data` each."""
        return self.data / "volumes"

    def layer_file(self, diff_id_hex: str, first_id: int = 0) -> Path:
        """A layer's file. Its name says how owners are written in it: moved up by `first_id`, or as they are."""
        return self.layers / (f"{diff_id_hex}.{first_id}.sqfs" if first_id else f"{diff_id_hex}.sqfs")

    def container(self, container_id: str) -> Path:
        return self.containers / container_id

    def io(self, container_id: str) -> Path:
        """0750 root:berth: `ctr.log` and its older segments, `attach`, `ctl`, `resizes`, `exit/`."""
        return self.container(container_id) / "io"

    def exec_folder(self, container_id: str, exec_id: str) -> Path:
        """Of one further command in a container; its `io` is as the container's own."""
        return self.container(container_id) / "execs" / exec_id

    @property
    def bridge(self) -> str:
        """Name of the default bridge: at most 15 characters (IFNAMSIZ)."""
        return f"br-{self.tag}"

    @property
    def table(self) -> str:
        """Name of the nft table (family inet)."""
        return f"berth_{self.tag}"

    @property
    def cgroup(self) -> str:
        return f"/berth-{self.tag}"

    @property
    def network(self) -> str:
        """The default network, in CIDR. Without a setting it follows from the tag, so that engines do not collide."""
        if self.subnet is not None:
            return self.subnet
        first, second = bytes.fromhex(self.tag)[:2]
        return f"10.{100 + first % 100}.{second & 0xF0}.0/20"
