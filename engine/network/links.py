"""Interfaces, addresses and routes, by netlink. All functions can be repeated."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from engine.errors import NetworkError
from engine.kernel import namespaces
from engine.network import ports
from engine.network.addresses import bridge_mac, container_mac
from engine.network.ruleset import MARK, Port

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from typing import Any

    from engine.network import ports
from engine.network.addresses import Subnet

P = ParamSpec("P")
T = TypeVar("T")
_RULE_PRIORITY = 100
_UP = 1
INSIDE = "eth0"


def _speaking(function: Callable[P, T]) -> Callable[P, T]:
    """Netlink's errors as ours."""

    @functools.wraps(function)
    def speaking(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except (NetlinkError, OSError) as error:
            said = os.strerror(error.code) if isinstance(error, NetlinkError) else error.strerror or str(error)
            msg = f"The network could not be set up ({function.__name__.replace('_', ' ')}): {said}."
            raise NetworkError(msg) from error

    return speaking


@contextlib.contextmanager
def _tolerating(*numbers: int) -> Iterator[None]:
    try:
        yield
    except NetlinkError as error:
        if error.code not in numbers:
            raise


def _find(ipr: IPRoute, name: str) -> Any:  # pyroute2's messages are dictionaries of its own
    try:
        found = list(ipr.link("get", ifname=name))
    except NetlinkError as error:
        if error.code == errno.ENODEV:
            return None
        raise
    return found[0] if found else None


def _index(ipr: IPRoute, name: str) -> int:
    link = _find(ipr, name)
    if link is None:  # somebody has deleted it; `ensure` makes it again
        raise OSError(errno.ENODEV, f"there is no interface {name}")
    return int(link["index"])


def _sysctl(interface: str, name: str, value: int, *, family: str = "ipv4") -> None:
    path = Path(f"/proc/sys/net/{family}/conf/{interface}/{name}")
    if path.exists() and path.read_text("ascii").strip() != str(value):
        path.write_text(str(value), "ascii")


def sysctl_value(interface: str, name: str) -> str:
    try:
        return Path(f"/proc/sys/net/ipv4/conf/{interface}/{name}").read_text("ascii").strip()
    except OSError:
        return ""


@_speaking
def ensure_bridge(name: str, subnet: Subnet, *, loopback: bool) -> None:
    """The bridge, up, with the gateway's address, a fixed MAC and no IPv6.

    `loopback`: answers of containers may go to the host's 127.0.0.1.
    """
    with IPRoute() as ipr:
        if _find(ipr, name) is None:
            with _tolerating(errno.EEXIST):
                ipr.link("add", ifname=name, kind="bridge", address=bridge_mac(name))
        index = _index(ipr, name)
        _sysctl(name, "disable_ipv6", 1, family="ipv6")
        for key, value in (("rp_filter", 1), ("accept_redirects", 0), ("send_redirects", 0)):
            _sysctl(name, key, value)
        _sysctl(name, "route_localnet", int(loopback))
        with _tolerating(errno.EEXIST):
            ipr.addr("add", index=index, address=subnet.gateway, prefixlen=subnet.prefix_length)
        ipr.link("set", index=index, state="up")


@_speaking
def route_loopback(bridge: str, *, loopback: bool) -> None:
    """Whether the bridge takes packets from and to 127.0.0.0/8. Only while a port is published there: the firewall
    keeps containers from the host's loopback, but while somebody has flushed it nothing else would.
    """
    _sysctl(bridge, "route_localnet", int(loopback))


@_speaking
def ensure_ports(bridge: str, tag: str, *, reflecting: Collection[str]) -> None:
    """Put every port of ours on the bridge, and remove those without an alias: their worker died between two steps.

    `reflecting`: containers that may reach themselves through the bridge.
    """
    links = ports.all_links()
    found = ports.attached_among(links, tag)
    known = {port.index for port in found}
    with IPRoute() as ipr:
        index = _index(ipr, bridge)
        for port in found:
            if port.master != index:
                ipr.link("set", index=port.index, master=index, state="up")
            if port.container_id in reflecting:
                ipr.brport("set", index=port.index, mode=1)
        for link in links:
            if link.name.startswith(ports.port_prefix(tag)) and link.index not in known:
                with _tolerating(errno.ENODEV):
                    ipr.link("del", index=link.index)


@_speaking
def is_bridge_intact(name: str, subnet: Subnet) -> bool:
    with IPRoute() as ipr:
        link = _find(ipr, name)
        if link is None or not link["flags"] & _UP:
            return False
        addresses = {address.get_attr("IFA_ADDRESS") for address in ipr.get_addr(index=link["index"])}
        return subnet.gateway in addresses


@_speaking
def attached(tag: str, bridge: str) -> list[tuple[ports.Attached, bool]]:
    """Our ports, each with whether it is on the bridge."""
    links = ports.all_links()
    index = next((link.index for link in links if link.name == bridge), -1)
    return [(port, port.master == index) for port in ports.attached_among(links, tag)]


@_speaking
def ensure_mark_rule(bridge: str) -> None:
    """Refuse to route what comes from the bridge without the firewall's mark.

    Return paths are checked with the packet's own mark then: with rp_filter, the kernel asks how an answer would be
    routed that comes from the bridge, and without the mark that is "not at all". No container would get an answer.
    """
    _sysctl("all", "src_valid_mark", 1)
    with IPRoute() as ipr:
        if not _has_mark_rule(ipr, bridge):
            ipr.rule("add", priority=_RULE_PRIORITY, iifname=bridge, fwmark=0, fwmask=MARK, action="prohibit", table=0)


@_speaking
def has_mark_rule(bridge: str) -> bool:
    with IPRoute() as ipr:
        return _has_mark_rule(ipr, bridge) and sysctl_value("all", "src_valid_mark") == "1"


def _has_mark_rule(ipr: IPRoute, bridge: str) -> bool:
    return any(rule.get_attr("FRA_IIFNAME") == bridge for rule in ipr.get_rules(priority=_RULE_PRIORITY))


@_speaking
def connect(
    *, tag: str, bridge: str, netns: Path, address: str, offset: int, container_id: str, reflects: bool
) -> Port:
    """A pair of interfaces: one on the bridge, and `eth0` in the network namespace, not yet up there.

    `reflects`: what it sends may come back by the same port, as when it calls a port that it publishes.

    The name comes from the address, so two containers can never hold one.
    """
    port = Port(f"{ports.port_prefix(tag)}{offset:x}", container_mac(address), address)
    disconnect(port.interface)
    with IPRoute() as ipr:
        bridge_index = _index(ipr, bridge)
        namespace = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
        try:
            peer = {"ifname": INSIDE, "net_ns_fd": namespace, "address": port.mac}
            ipr.link("add", ifname=port.interface, kind="veth", peer=peer)
        finally:
            os.close(namespace)
        index = _index(ipr, port.interface)
        ipr.link("set", index=index, ifalias=ports.alias(tag, container_id, address))
        _sysctl(port.interface, "disable_ipv6", 1, family="ipv6")
        ipr.link("set", index=index, master=bridge_index, state="up")
        if reflects:
            ipr.brport("set", index=index, mode=1)
    return port


@_speaking
def configure_inside(netns: Path, address: str, subnet: Subnet) -> None:
    """In the container's namespace: loopback, the address, the way out, and `ping` and low ports without rights."""
    namespaces.in_netns(netns, lambda: _configure_inside(address, subnet))


def _configure_inside(address: str, subnet: Subnet) -> None:
    _sysctl("default", "disable_ipv6", 1, family="ipv6")
    _sysctl(INSIDE, "disable_ipv6", 1, family="ipv6")
    Path("/proc/sys/net/ipv4/ping_group_range").write_text("0 2147483647", "ascii")
    Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("0", "ascii")
    with IPRoute() as ipr:
        ipr.link("set", index=_index(ipr, "lo"), state="up")
        index = _index(ipr, INSIDE)
        ipr.addr("add", index=index, address=address, prefixlen=subnet.prefix_length)
        ipr.link("set", index=index, state="up")
        ipr.route("add", dst="default", gateway=subnet.gateway)


@_speaking
def disconnect(name: str) -> None:
    """Remove an interface (its other end goes with it)."""
    with IPRoute() as ipr:
        link = _find(ipr, name)
        if link is not None:
            with _tolerating(errno.ENODEV):
                ipr.link("del", index=link["index"])


@_speaking
def remove_bridge(bridge: str) -> None:
    """The bridge and its routing rule; ports must be gone."""
    with IPRoute() as ipr:
        for rule in list(ipr.get_rules(priority=_RULE_PRIORITY)):
            if rule.get_attr("FRA_IIFNAME") == bridge:
                ipr.rule(
                    "del", priority=_RULE_PRIORITY, iifname=bridge, fwmark=0, fwmask=MARK, action="prohibit", table=0
                )
    disconnect(bridge)


@_speaking
def host_addresses() -> set[str]:
    """All IP addresses of this host's interfaces."""
    with IPRoute() as ipr:
        return {address.get_attr("IFA_ADDRESS") for address in ipr.get_addr()}


@_speaking
def routed_networks(*, except_interface: str) -> list[tuple[str, str]]:
    """(destination in CIDR, interface) of each IPv4 route but default ones and those of one interface."""
    with IPRoute() as ipr:
        names = {link.index: link.name for link in ports.all_links()}
        found = []
        for route in ipr.get_routes(family=2, table=254):
            destination, interface = route.get_attr("RTA_DST"), names.get(route.get_attr("RTA_OIF"), "")
            if destination is not None and interface != except_interface:
                found.append((f"{destination}/{route['dst_len']}", interface))
        return found
