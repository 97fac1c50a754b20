"""The resolv.conf that containers get.

A resolver on the host's loopback, or on any address of the host, cannot be reached from a container (NET-01): it is
replaced by its upstreams where systemd-resolved names them.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.network.definition import Endpoint

HOST_FILE = Path("/etc/resolv.conf")
UPSTREAM_FILE = Path("/run/systemd/resolve/resolv.conf")
PUBLIC = ("8.8.8.8", "8.8.4.4")
_LIMIT = 3


@dataclass(frozen=True, slots=True)
class Resolvers:
    """`source`: the file that named the servers, or None when they are the public ones of last resort."""

    servers: tuple[str, ...]
    others: tuple[str, ...]
    source: Path | None


def resolv_conf(
    endpoints: Sequence[Endpoint] = (),
    *,
    servers: Sequence[str] = (),
    search: Sequence[str] = (),
    options: Sequence[str] = (),
) -> str:
    """Text of the file: what is given here, and the rest from the host's own as it is now. `search` (".",): none.

    In a network with names it names that network's name server, which asks `servers`: the first one's with a way out, as
    that also answers for the others.
    """
    found = resolvers()
    lines = [f"nameserver {server}" for server in servers or found.servers]
    own = {line.partition(" ")[0]: line for line in found.others}
    named = [one.network for one in endpoints if one.network.has_names]
    if named:
        outward = [network for network in named if not network.is_internal]
        lines = [f"nameserver {(outward or named)[0].subnet.gateway}"]
        own = _asking(own, has_way_out=bool(outward))
    elif found.source is None and not servers:
        lines.insert(0, "# No resolver of this host can be reached from a container; these are public ones.")
    if search:
        own["search"] = "" if tuple(search) == (".",) else " ".join(("search", *search))
    if options:
        own["options"] = " ".join(("options", *options))
    return "\n".join([*lines, *filter(None, own.values())]) + "\n"


def _asking(own: dict[str, str], *, has_way_out: bool) -> dict[str, str]:
    """A question that falls into a reload of the name server is asked again soon. Without a way out, no other names are
    tried: each takes as long as the resolver waits.
    """
    if not has_way_out:
        return {"options": "options timeout:1 attempts:2"}
    others = own.get("options", "").removeprefix("options").strip()
    return own | {"options": f"options timeout:2 attempts:3 {others}".strip()}


def resolvers() -> Resolvers:
    from engine.network import links  # it takes a library that only the engine worker needs

    own = links.host_addresses()
    for file in (HOST_FILE, UPSTREAM_FILE):
        servers, others = parse(_read(file))
        usable = tuple(server for server in servers if is_reachable(server, own))[:_LIMIT]
        if usable:
            return Resolvers(usable, others, file)
    return Resolvers(PUBLIC, parse(_read(HOST_FILE))[1], None)


def name_servers() -> set[str]:
    """IPv4 addresses of all that this host itself may ask."""
    named = {server for file in (HOST_FILE, UPSTREAM_FILE) for server in parse(_read(file))[0]}
    return {server for server in named if is_reachable(server, set())}


def parse(text: str) -> tuple[list[str], tuple[str, ...]]:
    """(nameservers, the `search` and `options` lines that hold: the last of each). Source: resolv.conf(5)."""
    servers: list[str] = []
    others: dict[str, str] = {}
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith(("#", ";")):
            continue
        if words[0] == "nameserver" and len(words) > 1:
            servers.append(words[1])
        elif words[0] in {"search", "domain"}:
            others["search"] = " ".join(["search", *words[1:]])
        elif words[0] == "options":
            others["options"] = " ".join(words)
    return servers, tuple(others.values())


def is_reachable(server: str, own: set[str]) -> bool:
    """IPv4 (containers have no other), not this host itself, and not the cloud's own service (NET-06)."""
    try:
        address = ipaddress.IPv4Address(server)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified or address.is_link_local or server in own)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
