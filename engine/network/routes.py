"""Which networks this host has a route to. Read from a file that needs no rights. Source: proc_pid_net(5), `route`."""

from __future__ import annotations

import ipaddress
import struct
from pathlib import Path

ROUTES = Path("/proc/thread-self/net/route")
_UP = 1


def read_routes(text: str) -> list[tuple[ipaddress.IPv4Network, str]]:
    """(network, interface) of each IPv4 route but default ones, from the file's text. Numbers are in the host's order."""
    found = []
    for line in text.splitlines()[1:]:
        interface, destination, _gateway, flags, _refs, _use, _metric, mask = line.split()[:8]
        address, netmask = (struct.unpack(">I", struct.pack("=I", int(word, 16)))[0] for word in (destination, mask))
        if int(flags, 16) & _UP and netmask:
            found.append((ipaddress.IPv4Network((address, netmask.bit_count())), interface))
    return found


def routed_networks(*, but: str) -> list[tuple[ipaddress.IPv4Network, str]]:
    """As of now in the calling thread's network namespace, without interfaces whose names begin with `but`."""
    try:
        text = ROUTES.read_text("ascii")
    except OSError:
        return []
    return [(network, interface) for network, interface in read_routes(text) if not interface.startswith(but)]


def overlapping(network: ipaddress.IPv4Network, *, but: str) -> list[tuple[str, str]]:
    """(network, interface) of each of them that has addresses of this one."""
    return [(str(other), name) for other, name in routed_networks(but=but) if network.overlaps(other)]
