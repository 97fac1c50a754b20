"""Which addresses a network has, and which of them are given to whom."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator

from django.conf import settings
from django.utils.translation import gettext as _

from dashboard import gateway
from dashboard.core.errors import DashboardError
from dashboard.networks.models import Network
from dashboard.networks.predefined import BRIDGE

SUBNET_PREFIX = 24


def subnet_of(network: Network) -> gateway.Subnet:
    """Of any network but `none`."""
    if network.name == BRIDGE:
        return gateway.Subnet.parse(gateway.engine_config().network)
    return gateway.Subnet.parse(network.subnet, network.gateway or "")


def definition_of(network: Network) -> gateway.NetworkDefinition:
    """What the engine is to know of it."""
    return gateway.NetworkDefinition(
        number=network.number or 0,
        subnet=subnet_of(network),
        is_internal=network.is_internal,
        subnet6=gateway.Subnet6.parse(network.subnet6) if network.subnet6 else None,
    )


def address6_of(network: Network, address: str | None) -> str:
    """The IPv6 address that goes with a container's; "" where there is none."""
    return definition_of(network).address6(address) if address and network.subnet6 else ""


def subnet6_for(number: int, asked: str) -> str:
    """What a new network with IPv6 gets: the one that was asked for, or its own.

    Raises:
        DashboardError: none that a network can have (400); another network or a route of the host has it (409).
    """
    try:
        if not asked:
            return str(gateway.Subnet6.of(gateway.engine_config().tag, number))
        found = gateway.Subnet6.parse(asked)
    except gateway.EngineError as error:
        raise DashboardError(str(error)) from error
    if Network.objects.filter(subnet6=str(found)).exists():
        msg = "Pool overlaps with other one on this address space"
        raise DashboardError(msg, status=409)
    if gateway.has_route6(found):
        msg = f"This host has a route that overlaps {found}. Choose another subnet."
        raise DashboardError(msg, status=409)
    return str(found)


def range_of(network: Network) -> ipaddress.IPv4Network:
    """Where addresses are given out from, unless one is asked for."""
    return ipaddress.IPv4Network(network.ip_range) if network.ip_range else subnet_of(network).network


def _candidates(network: Network) -> Iterator[str]:
    whole, within = subnet_of(network), range_of(network)
    if within == whole.network:
        yield from whole.usable()
        return
    ends = {str(whole.network[0]), str(whole.network[-1]), whole.gateway}
    yield from (text for text in map(str, within) if text not in ends)


def free_address(network: Network, used: Collection[str]) -> str:
    """The lowest one that nobody has.

    Raises:
        DashboardError: the network is full (503).
    """
    for address in _candidates(network):
        if address not in used:
            return address
    if network.name == BRIDGE:
        msg = _("All addresses of the containers' network are in use. Remove a container that you no longer need.")
    else:
        msg = f"no available IPv4 addresses on this network's address pools: {network.name} ({network.network_id})"
    raise DashboardError(msg, status=503)


def asked_address(network: Network, address: str, used: Collection[str]) -> str:
    """The one that somebody asked for.

    Raises:
        DashboardError: it is not one of the network's for a container (400), or another has it (409).
    """
    try:
        subnet_of(network).check(address)
    except gateway.EngineError as error:
        msg = f"invalid endpoint settings: {error}"
        raise DashboardError(msg) from error
    if address in used:
        msg = "Address already in use"
        raise DashboardError(msg, status=409)
    return address


def overlapping(subnet: ipaddress.IPv4Network, taken: Collection[ipaddress.IPv4Network]) -> bool:
    return any(subnet.overlaps(other) for other in taken)


def taken_subnets() -> list[ipaddress.IPv4Network]:
    """Of all networks, used or not."""
    rows = Network.objects.exclude(subnet="").values_list("subnet", flat=True)
    return [ipaddress.IPv4Network(gateway.engine_config().network), *map(ipaddress.IPv4Network, rows)]


def _is_fit(network: ipaddress.IPv4Network) -> bool:
    try:
        gateway.refuse_subnet(network)
    except gateway.EngineError:
        return False
    return True


def choose_subnet() -> gateway.Subnet:
    """The next of the pool that nothing on this host has. Where in the pool it begins follows from the data folder: two
    Berths on one host seldom choose the same one, and the engine refuses a network that the other already has.

    Raises:
        DashboardError: the pool is used up (503).
    """
    pool = ipaddress.IPv4Network(settings.BERTH_NETWORK_POOL)
    count = 1 << max(0, SUBNET_PREFIX - pool.prefixlen)
    first = int(gateway.engine_config().tag, 16) % count
    taken = [*taken_subnets(), *gateway.routed_networks()]
    for number in range(count):
        base = int(pool[0]) + ((first + number) % count << (32 - SUBNET_PREFIX))
        found = ipaddress.IPv4Network((base, SUBNET_PREFIX))
        if not overlapping(found, taken) and _is_fit(found):
            return gateway.Subnet.parse(str(found))
    msg = "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network"
    raise DashboardError(msg, status=503)
