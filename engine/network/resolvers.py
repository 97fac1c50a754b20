"""The resolv.conf that containers get.

A resolver on the host's loopback, or on any address of the host, cannot be reached from a container (NET-01): it is
replaced by its upstreams where systemd-resolved names them.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.network import links

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def resolv_conf(*, servers: Sequence[str] = (), search: Sequence[str] = (), options: Sequence[str] = ()) -> str:
    """Text of the file: what is given here, and the rest from the host's own as it is now. `search` (".",): none."""
    found = resolvers()
    lines = [f"nameserver {server}" for server in servers or found.servers]
    if found.source is None and not servers:
        lines.insert(0, "# No resolver of this host can be reached from a container; these are public ones.")
    own = {line.partition(" ")[0]: line for line in found.others}
    if search:
        own["search"] = "" if tuple(search) == (".",) else " ".join(("search", *search))
    if options:
        own["options"] = " ".join(("options", *options))
    return "\n".join([*lines, *filter(None, own.values())]) + "\n"


def resolvers() -> Resolvers:
    own = links.host_addresses()
    for file in (HOST_FILE, UPSTREAM_FILE):
        servers, others = parse(_read(file))
        usable = tuple(server for server in servers if is_reachable(server, own))[:_LIMIT]
        if usable:
            return Resolvers(usable, others, file)
    return Resolvers(PUBLIC, parse(_read(HOST_FILE))[1], None)


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
    """IPv4 (containers have no other), and not this host itself."""
    try:
        address = ipaddress.IPv4Address(server)
    except ValueError:
        return False
    return not address.is_loopback and not address.is_unspecified and server not in own


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
