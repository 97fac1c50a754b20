"""Addresses that no network may take, whoever asks for it: this host would call a container in place of who has them.

A network's addresses are the host's to reach by its bridge. A route of the host is in nobody's way (`routes`); what it
reaches by its default route is: the world's addresses, the cloud's own service (169.254.169.254), its name servers.
"""

from __future__ import annotations

import ipaddress

from engine.errors import NetworkError
from engine.network.resolvers import name_servers

# RFC 1918, RFC 6598 (shared), RFC 2544 (benchmarks): those that are nobody's in the world.
PRIVATE = tuple(
    map(ipaddress.IPv4Network, ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15"))
)


def refuse_foreign(network: ipaddress.IPv4Network) -> None:
    """Go on only if nobody whom this host calls by itself can have an address in it. Needs no rights.

    Raises:
        NetworkError: with whose they are.
    """
    if not any(network.subnet_of(private) for private in PRIVATE):
        listed = ", ".join(map(str, PRIVATE))
        msg = f"The addresses of {network} are not private ones, so they may be somebody else's. Choose a subnet of {listed}."
        raise NetworkError(msg)
    inside = sorted(server for server in name_servers() if ipaddress.IPv4Address(server) in network)
    if inside:
        msg = f"The name server of this host ({inside[0]}) has an address of {network}. Choose another subnet."
        raise NetworkError(msg)
