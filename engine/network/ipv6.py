"""IPv6 on one interface, by netlink: addresses, and neighbours that are written down and not asked for (NET-03, ADR 16).

A container has a single address and sends everything by its network's bridge, whose hardware address it knows; the
bridge knows those of its containers. Nobody asks who has an address, so nobody can answer wrongly, and the firewall lets
no container say anything about it. Callers turn netlink's errors into ours.
"""

from __future__ import annotations

import errno
from socket import AF_INET6
from typing import TYPE_CHECKING

from engine.errors import NetworkError
from engine.network.addresses6 import CONF
from engine.network.netlink import set_value, tolerating

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyroute2 import IPRoute

    from engine.network.definition import NetworkDefinition

_PERMANENT = 0x80  # NUD_PERMANENT, linux/neighbour.h
_NO_DETECTION = 0x02  # IFA_F_NODAD, linux/if_addr.h: addresses are given out, never found
# Values of conf/<interface>/…; addr_gen_mode 1: no link-local address either. Source: ip-sysctl.rst.
_QUIET = {
    "addr_gen_mode": 1,
    "accept_ra": 0,
    "autoconf": 0,
    "accept_redirects": 0,
    "router_solicitations": 0,
    "accept_dad": 0,
    "disable_ipv6": 0,
}


def speak(interface: str) -> None:
    """Have it speak IPv6, and believe nobody."""
    for name, value in _QUIET.items():
        set_value(interface, name, value, family="ipv6")


def is_forwarding() -> bool:
    """Never, on a host whose kernel has no IPv6."""
    try:
        return (CONF / "all" / "forwarding").read_text("ascii").strip() == "1"
    except OSError:
        return False


def enable_forwarding() -> None:
    """Idempotent. A host that forwards takes no routes from its routers any more, unless it is told to: interfaces that
    did go on doing so. Source: ip-sysctl.rst, accept_ra.

    Raises:
        NetworkError: the kernel refused.
    """
    if is_forwarding():
        return
    try:
        for interface in sorted(path.name for path in CONF.iterdir()):
            if interface != "all" and (CONF / interface / "accept_ra").read_text("ascii").strip() == "1":
                set_value(interface, "accept_ra", 2, family="ipv6")
        set_value("all", "forwarding", 1, family="ipv6")
    except OSError as error:
        msg = f"Forwarding (net.ipv6.conf.all.forwarding) could not be switched on: {error.strerror}."
        raise NetworkError(msg) from error


def give_address(ipr: IPRoute, index: int, address: str, *, prefixlen: int) -> None:
    with tolerating(errno.EEXIST):
        ipr.addr("add", family=AF_INET6, index=index, address=address, prefixlen=prefixlen, flags=_NO_DETECTION)


def settle(ipr: IPRoute, index: int, network: NetworkDefinition, address: str, *, router: str) -> None:
    """A container's interface: its address, and everything else by the bridge, whose hardware address is `router`."""
    give_address(ipr, index, network.address6(address), prefixlen=128)
    write_down(ipr, index, network.gateway6, router)
    for destination, gateway in ((f"{network.gateway6}/128", None), (str(network.subnet6), network.gateway6)):
        way = {} if gateway is None else {"gateway": gateway}
        with tolerating(errno.EEXIST):
            ipr.route("add", family=AF_INET6, dst=destination, oif=index, **way)


def lead_out(ipr: IPRoute, leading: Sequence[tuple[int, NetworkDefinition]]) -> None:
    """By the first interface whose network has a way out and IPv6, unless there is one already."""
    found = [(index, network) for index, network in leading if network.subnet6 is not None]
    if found and not ipr.get_default_routes(family=AF_INET6):
        index, network = found[0]
        ipr.route("add", family=AF_INET6, dst="default", gateway=network.gateway6, oif=index)


def write_down(ipr: IPRoute, index: int, address: str, mac: str) -> None:
    """Who has that address, for ever."""
    ipr.neigh("replace", family=AF_INET6, dst=address, lladdr=mac, ifindex=index, state=_PERMANENT)


def write_down_all(ipr: IPRoute, index: int, wanted: Mapping[str, str]) -> None:
    """Exactly these, by address."""
    found = {
        one.get_attr("NDA_DST"): one.get_attr("NDA_LLADDR")
        for one in ipr.get_neighbours(family=AF_INET6, ifindex=index)
        if one["state"] & _PERMANENT
    }
    for address in found.keys() - wanted.keys():
        with tolerating(errno.ENOENT):
            ipr.neigh("del", family=AF_INET6, dst=address, ifindex=index)
    for address, mac in wanted.items():
        if found.get(address) != mac:
            write_down(ipr, index, address, mac)
