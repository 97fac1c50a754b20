"""What this host is like for Berth: each fact with what it means and what to do.

`name` is stable, for the system page and its translations. `blocks` says that no container can run until it is mended;
everything else is advice. Nothing here changes the host.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from engine.containers import hosttools
from engine.containers.hosttools import Trust
from engine.errors import EngineError
from engine.ids import RANGE_IDS
from engine.kernel import features
from engine.kernel.cgroups import Mode
from engine.kernel.features import OverlayMethod
from engine.kernel.process import MINIMAL_ENVIRONMENT, run
from engine.network import Network, firewall, resolvers
from engine.runtime.policy import load_policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.config import EngineConfig

Level = Literal["ok", "warning", "error"]
NEEDED_CONTROLLERS = ("cpu", "memory", "pids")
TESTED_KERNEL = (6, 1)
LOW_SPACE_BYTES = 5 * 1024**3
_GIB = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    name: str
    level: Level
    summary: str
    meaning: str
    blocks: bool = False


def check_host(config: EngineConfig) -> tuple[Finding, ...]:
    """All findings, in the order of the system page. Needs root; takes about 0.2 s; never raises for what it finds."""
    return tuple(finding for check in _CHECKS for finding in _guarded(check, config))


def _guarded(check: Callable[[EngineConfig], Iterator[Finding]], config: EngineConfig) -> list[Finding]:
    try:
        return list(check(config))
    except (EngineError, OSError) as error:
        name = check.__name__.strip("_")
        meaning = "This could not be looked at. Berth needs to be root on this host for it."
        return [Finding(name=name, level="warning", summary=str(error), meaning=meaning)]


def _runc(config: EngineConfig) -> Iterator[Finding]:
    line = hosttools.first_line(config.runc, "--version")
    version = None if line is None else hosttools.parse_version(line)
    if line is None or version is None:
        meaning = f"Berth starts containers with runc. Install it (apt-get install runc) so that {config.runc} works."
        yield Finding(name="runc", level="error", summary="runc was not found", meaning=meaning, blocks=True)
        return
    levels: dict[Trust, tuple[Level, str]] = {
        Trust.GREEN: ("ok", "No known way out of a container is open in this version."),
        Trust.AMBER: (
            "warning",
            "One minor hole is known in this version (CVE-2026-41579). Install runc 1.3.6, 1.4.3, 1.5.0 or later.",
        ),
        Trust.RED: (
            "error",
            "This version has known ways out of a container (CVE-2025-31133, 52565, 52881). Run only images that you trust.",
        ),
    }
    level, meaning = levels[hosttools.runc_trust(version)]
    yield Finding(name="runc", level=level, summary=line, meaning=meaning)


def _conmon(config: EngineConfig) -> Iterator[Finding]:
    line = hosttools.first_line(config.conmon, "--version")
    version = None if line is None else hosttools.parse_version(line)
    if line is None or version is None or version < hosttools.CONMON_FLOOR:
        summary = "conmon was not found" if line is None else f"{line} is too old"
        meaning = (
            "conmon holds each container's terminal and log. Install version 2.1 or later (apt-get install conmon)."
        )
        yield Finding(name="conmon", level="error", summary=summary, meaning=meaning, blocks=True)
        return
    yield Finding(name="conmon", level="ok", summary=line, meaning="Holds each container's terminal and log.")


def _kernel(_config: EngineConfig) -> Iterator[Finding]:
    found = features.features()
    if found.kernel_version < TESTED_KERNEL:
        meaning = "Berth is made for Linux 6.1 and later; older ones have not been tried."
        yield Finding(name="kernel", level="warning", summary=f"Linux {found.kernel}", meaning=meaning)
    else:
        meaning = "New enough for everything that Berth does now."
        yield Finding(name="kernel", level="ok", summary=f"Linux {found.kernel}", meaning=meaning)
    missing = [name for name, number in _CAPABILITIES if not found.has_capability(number)]
    if missing:
        meaning = "The engine worker needs these rights to mount and to make networks. Start Berth as root."
        summary = f"missing {', '.join(missing)}"
        yield Finding(name="capabilities", level="error", summary=summary, meaning=meaning, blocks=True)


_CAPABILITIES = (("CAP_SYS_ADMIN", features.CAP_SYS_ADMIN), ("CAP_NET_ADMIN", features.CAP_NET_ADMIN))


def _cgroups(_config: EngineConfig) -> Iterator[Finding]:
    found = features.features()
    missing = [name for name in NEEDED_CONTROLLERS if name not in found.cgroup_controllers]
    summary = f"cgroups {found.cgroup_mode.value}: {', '.join(sorted(found.cgroup_controllers)) or 'no controllers'}"
    if found.cgroup_mode is Mode.NONE or missing:
        meaning = (
            f"Limits cannot be enforced without {', '.join(missing) or 'control groups'}. Mount /sys/fs/cgroup with these"
            " controllers (on some systems: cgroup_enable=memory on the kernel's command line)."
        )
        yield Finding(name="cgroups", level="error", summary=summary, meaning=meaning, blocks=True)
        return
    meaning = "Memory, processor and process limits of containers are enforced."
    yield Finding(name="cgroups", level="ok", summary=summary, meaning=meaning)


_OVERLAY_MEANINGS = {
    OverlayMethod.FDS: "Layers are stacked by descriptor: up to 500, and none of them has a path.",
    OverlayMethod.PATHS: "This kernel wants paths of layers (before Linux 6.13); Berth attaches them for a moment. Up to 500.",
    OverlayMethod.OPTIONS: "This kernel takes layers as one line of 4096 bytes (before Linux 6.8); some hundred fit.",
}


def _overlay(config: EngineConfig) -> Iterator[Finding]:
    found = features.features()
    if found.overlay is OverlayMethod.NONE:
        meaning = "Containers need overlayfs for their own writable layer. Load the kernel module 'overlay'."
        summary = f"overlayfs cannot be mounted: {found.overlay_problem}"
        yield Finding(name="overlay", level="error", summary=summary, meaning=meaning, blocks=True)
        return
    summary = f"overlayfs, layers by {found.overlay.value}"
    yield Finding(name="overlay", level="ok", summary=summary, meaning=_OVERLAY_MEANINGS[found.overlay])
    if config.data.is_dir() and (problem := features.overlay_problem_on(config.data)):
        meaning = (
            "The data folder's file system cannot hold the writable layers of containers. Move BERTH_DATA to a local"
            " ext4, XFS or btrfs."
        )
        summary = f"overlayfs refuses {config.data}: {problem}"
        yield Finding(name="data-folder", level="error", summary=summary, meaning=meaning, blocks=True)


def _layer_files(_config: EngineConfig) -> Iterator[Finding]:
    found = features.features()
    for name, present, need in (
        ("squashfs", found.squashfs, "Load the kernel module 'squashfs': image layers are squashfs files."),
        (
            "loop",
            found.loop,
            "Load the kernel module 'loop' (in a container: give it /dev): layers are mounted by loop.",
        ),
    ):
        if present:
            meaning = "Image layers can be mounted."
            yield Finding(name=name, level="ok", summary=f"{name} is there", meaning=meaning)
        else:
            yield Finding(name=name, level="error", summary=f"{name} is missing", meaning=need, blocks=True)
    if shutil.which("tar2sqfs", path=MINIMAL_ENVIRONMENT["PATH"]) is None:
        meaning = "Pulls write layers with tar2sqfs. Install it (apt-get install squashfs-tools-ng)."
        yield Finding(name="tar2sqfs", level="error", summary="tar2sqfs was not found", meaning=meaning)


def _user_namespaces(config: EngineConfig) -> Iterator[Finding]:
    found, ids = features.features(), config.ids
    if not found.user_namespaces:
        meaning = (
            "Containers need user namespaces, so that root in one is nobody on this host. Allow them (sysctl"
            " user.max_user_namespaces), or start Berth with more rights."
        )
        summary = f"no user namespaces: {found.ids_problem}"
        yield Finding(name="user-namespaces", level="error", summary=summary, meaning=meaning, blocks=True)
    elif found.idmapped_layers:
        meaning = "Root in a container is nobody on this host, and each container has ids of its own."
        summary = f"user namespaces are on: ids {ids.base} to {ids.base + ids.ranges * RANGE_IDS - 1}"
        yield Finding(name="user-namespaces", level="ok", summary=summary, meaning=meaning)
    elif not found.ids_are_known:
        meaning = (
            "No container is made until this can be tried: it would share its ids with all others for good. Berth tries"
            " again every half minute."
        )
        summary = f"ids of containers could not be tried: {found.ids_problem}"
        yield Finding(name="user-namespaces", level="error", summary=summary, meaning=meaning)
    else:
        meaning = (
            "Root in a container is nobody on this host, but all containers share one range of ids: this kernel cannot"
            " show a layer with other owners (Linux 6.2 and later can). Images that were pulled under another kernel must"
            " be pulled again."
        )
        summary = f"user namespaces are on, with shared ids {ids.base} to {ids.shared.end - 1}"
        yield Finding(name="user-namespaces", level="warning", summary=summary, meaning=meaning)
    yield from _policy_on_users(config)


def _policy_on_users(config: EngineConfig) -> Iterator[Finding]:
    for ceiling in load_policy(config.policy_file).lifted:
        if ceiling == "host_paths":  # nobody's root reaches more there than everybody on the host
            continue
        meaning = "Containers of teams whose run policy says so, too, can reach this host by it."
        if ceiling == "userns_host":
            meaning = "This host's policy lets people ask for containers whose root is the host's root (--userns host)."
        summary = f"{ceiling} is on in {config.policy_file}"
        yield Finding(name=ceiling.replace("_", "-"), level="warning", summary=summary, meaning=meaning)


def _seccomp(config: EngineConfig) -> Iterator[Finding]:
    problem = "" if features.features().seccomp else "this kernel has no seccomp filters"
    if not problem:
        try:
            json.loads(config.seccomp_base.read_bytes())
        except (OSError, ValueError):
            problem = f"{config.seccomp_base} cannot be read"
    if problem:
        meaning = (
            "Containers are started only with a filter of system calls. Install the base list (apt-get install"
            " golang-github-containers-common)."
        )
        yield Finding(name="seccomp", level="error", summary=problem, meaning=meaning, blocks=True)
        return
    meaning = "System calls of containers are filtered: the distribution's list, tightened by Berth's."
    yield Finding(name="seccomp", level="ok", summary=str(config.seccomp_base), meaning=meaning)


def _firewall(_config: EngineConfig) -> Iterator[Finding]:
    if shutil.which("nft", path=MINIMAL_ENVIRONMENT["PATH"]) is None:
        meaning = "Containers get no network without a firewall around it. Install nftables (apt-get install nftables)."
        yield Finding(name="nft", level="error", summary="nft was not found", meaning=meaning, blocks=True)
        return
    listed = run(["nft", "list", "tables"], timeout_s=10, check=False)
    if listed.returncode != 0:
        meaning = "The kernel's nf_tables cannot be used; load its module or start Berth as root."
        yield Finding(name="nft", level="error", summary=listed.stderr_text.strip(), meaning=meaning, blocks=True)
        return
    yield Finding(name="nft", level="ok", summary="nftables works", meaning="Holds the rules around containers.")
    chain = firewall.foreign_chain()
    if chain is not None:
        meaning = f"Another firewall drops what is forwarded; Berth lets its own bridge pass in the chain {chain}."
        yield Finding(name="other-firewall", level="ok", summary=f"iptables has {chain}", meaning=meaning)
    if b"table inet firewalld" in listed.stdout:
        meaning = "It may drop what containers send out. If so: firewall-cmd --zone=trusted --add-interface=<bridge>."
        yield Finding(name="firewalld", level="warning", summary="firewalld is running", meaning=meaning)


def _network(config: EngineConfig) -> Iterator[Finding]:
    network = Network(config)
    collisions = [f"{text} ({interface})" for text, interface in network.collisions()]
    if collisions:
        meaning = "Containers could not reach those addresses, nor be reached. Choose another network (BERTH_SUBNET)."
        summary = f"{network.subnet} overlaps {', '.join(collisions)}"
        yield Finding(name="subnet", level="error", summary=summary, meaning=meaning)
    else:
        meaning = "Addresses of containers; no route of this host overlaps them."
        yield Finding(name="subnet", level="ok", summary=network.subnet, meaning=meaning)
    if Path("/proc/sys/net/ipv4/ip_forward").read_text("ascii").strip() == "1":
        meaning = "Needed for the way out of containers. It also lets other networks of this host reach each other."
        yield Finding(name="ip-forward", level="ok", summary="forwarding is on", meaning=meaning)
    else:
        meaning = (
            "Containers have no way out. The engine switches it on when it starts, and again when somebody did not."
        )
        yield Finding(name="ip-forward", level="warning", summary="forwarding is off", meaning=meaning)


def _resolvers(_config: EngineConfig) -> Iterator[Finding]:
    found = resolvers.resolvers()
    if found.source is None:
        meaning = (
            "No name server of this host can be reached from a container, so they ask public ones. Name others in"
            " /etc/resolv.conf if these must not be asked."
        )
        yield Finding(name="resolvers", level="warning", summary=", ".join(found.servers), meaning=meaning)
        return
    meaning = f"Name servers that containers ask, from {found.source}."
    yield Finding(name="resolvers", level="ok", summary=", ".join(found.servers), meaning=meaning)


def _names(config: EngineConfig) -> Iterator[Finding]:
    line = hosttools.first_line(config.aardvark, "--version")
    if line is None:
        meaning = "Containers are in the default network only, until it is there (apt-get install aardvark-dns)."
        yield Finding(name="aardvark-dns", level="warning", summary="aardvark-dns was not found", meaning=meaning)
        return
    meaning = "Containers find each other by name in networks of their own."
    yield Finding(name="aardvark-dns", level="ok", summary=line, meaning=meaning)


def _relays(config: EngineConfig) -> Iterator[Finding]:
    if not config.socat.exists():
        meaning = "Nothing can be published on an IPv6 address, until it is there (apt-get install socat)."
        yield Finding(name="socat", level="warning", summary="socat was not found", meaning=meaning)


def _disk(config: EngineConfig) -> Iterator[Finding]:
    place = next(folder for folder in (config.data, *config.data.parents) if folder.is_dir())
    usage = shutil.disk_usage(place)
    summary = f"{usage.free / _GIB:.1f} GiB of {usage.total / _GIB:.1f} GiB free at {config.data}"
    if usage.free <= config.limits.reserve_bytes:
        meaning = "The reserve is reached: pulls and starts are refused until something is removed."
        yield Finding(name="disk", level="error", summary=summary, meaning=meaning)
    elif usage.free < LOW_SPACE_BYTES:
        meaning = "Not many more images fit. Remove some that are not used."
        yield Finding(name="disk", level="warning", summary=summary, meaning=meaning)
    else:
        yield Finding(name="disk", level="ok", summary=summary, meaning="Room for images, writable layers and logs.")


_CHECKS: tuple[Callable[[EngineConfig], Iterator[Finding]], ...] = (
    _runc,
    _conmon,
    _kernel,
    _cgroups,
    _overlay,
    _layer_files,
    _user_namespaces,
    _seccomp,
    _firewall,
    _network,
    _resolvers,
    _names,
    _relays,
    _disk,
)
