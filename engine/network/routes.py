"""Which networks this host has a route to. Read from files that need no rights. Source: proc_pid_net(5), `route`,
`ipv6_route`.
"""

from __future__ import annotations

import ipaddress
import struct
from pathlib import Path

ROUTES = Path("/proc/thread-self/net/route")
ROUTES6 = Path("/proc/thread-self/net/ipv6_route")
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


def read_routes6(text: str) -> list[tuple[ipaddress.IPv6Network, str]]:
    """(network, interface) of each IPv6 route but default ones and those to groups, from the file's text."""
    found = []
    for line in text.splitlines():
        destination, length, *_rest, interface = line.split()
        network = ipaddress.IPv6Network((bytes.fromhex(destination), int(length, 16)))
        if network.prefixlen and not network.is_multicast:
            found.append((network, interface))
    return found


def overlapping6(network: ipaddress.IPv6Network, *, but: str) -> list[tuple[str, str]]:
    """As `overlapping`."""
    try:
        text = ROUTES6.read_text("ascii")
    except OSError:
        return []
    found = [(other, name) for other, name in read_routes6(text) if not name.startswith(but)]
    return [(str(other), name) for other, name in found if network.overlaps(other)]


def overlapping(network: ipaddress.IPv4Network, *, but: str) -> list[tuple[str, str]]:
    """(network, interface) of each of them that has addresses of this one."""
    return [(str(other), name) for other, name in routed_networks(but=but) if network.overlaps(other)]
