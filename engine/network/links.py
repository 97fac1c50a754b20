"""Interfaces, addresses and routes, by netlink. All functions can be repeated."""

from __future__ import annotations

import errno
import functools
import os
from dataclasses import dataclass
from pathlib import Path
from socket import AF_INET, AF_INET6
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from engine.errors import NetworkError
from engine.kernel import namespaces
from engine.network import addresses6, ipv6, ports
from engine.network.addresses import bridge_mac
from engine.network.netlink import set_value, tolerating
from engine.network.ruleset import MARK, Port

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import Any

    from engine.network.definition import NetworkDefinition

P = ParamSpec("P")
T = TypeVar("T")
_RULE_PRIORITY = 100
_IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")


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


def sysctl_value(interface: str, name: str) -> str:
    try:
        return Path(f"/proc/sys/net/ipv4/conf/{interface}/{name}").read_text("ascii").strip()
    except OSError:
        return ""


@_speaking
def ensure_bridge(name: str, network: NetworkDefinition, *, loopback: bool) -> None:
    """The bridge, up, with the gateway's addresses and a fixed MAC; without IPv6 where the network has none.

    `loopback`: answers of containers may go to the host's 127.0.0.1.
    """
    subnet = network.subnet
    with IPRoute() as ipr:
        if _find(ipr, name) is None:
            with tolerating(errno.EEXIST):
                ipr.link("add", ifname=name, kind="bridge", address=bridge_mac(name))
        index = _index(ipr, name)
        if network.subnet6 is None:
            set_value(name, "disable_ipv6", 1, family="ipv6")
        else:
            ipv6.speak(name)
        for key, value in (("rp_filter", 1), ("accept_redirects", 0), ("send_redirects", 0)):
            set_value(name, key, value)
        set_value(name, "route_localnet", int(loopback))
        with tolerating(errno.EEXIST):
            ipr.addr("add", index=index, address=subnet.gateway, prefixlen=subnet.prefix_length)
        if network.subnet6 is not None:
            ipv6.give_address(ipr, index, network.gateway6, prefixlen=network.subnet6.network.prefixlen)
        ipr.link("set", index=index, state="up")


@_speaking
def route_loopback(bridge: str, *, loopback: bool) -> None:
    """Whether the bridge takes packets from and to 127.0.0.0/8. Only while a port is published there: the firewall
    keeps containers from the host's loopback, but while somebody has flushed it nothing else would.
    """
    set_value(bridge, "route_localnet", int(loopback))


@_speaking
def write_down_neighbours(bridge: str, found: Collection[Port]) -> None:
    """Exactly these have IPv6 addresses on that bridge. Idempotent."""
    with IPRoute() as ipr:
        ipv6.write_down_all(ipr, _index(ipr, bridge), {port.address6: port.mac for port in found if port.address6})


@_speaking
def ensure_ports(tag: str, bridge_of: Callable[[str], str | None], *, reflecting: Collection[str]) -> None:
    """Put every port of ours on its bridge, and remove those without an alias or a network: their worker died between
    two steps, or their network is gone.

    `bridge_of` says which bridge an address belongs to; `reflecting`: containers that may reach themselves through it.
    """
    links = ports.all_links()
    indexes = {link.name: link.index for link in links}
    known = set()
    with IPRoute() as ipr:
        for port in ports.attached_among(links, tag):
            index = indexes.get(bridge_of(port.address) or "")
            if index is None:
                continue
            known.add(port.index)
            if port.master != index:
                ipr.link("set", index=port.index, master=index, state="up")
            if port.container_id in reflecting:
                ipr.brport("set", index=port.index, mode=1)
        for link in links:
            if link.name.startswith(ports.port_prefix(tag)) and link.index not in known:
                with tolerating(errno.ENODEV):
                    ipr.link("del", index=link.index)


@dataclass(frozen=True, slots=True)
class HostSide:
    """What the kernel has now: `bridges` are up, with their addresses; `marked` have the routing rule; `others` are the
    names of all interfaces that are no bridges of ours.
    """

    attached: tuple[ports.Attached, ...]
    bridges: Mapping[str, frozenset[str]]
    indexes: Mapping[str, int]
    marked: frozenset[str]
    others: tuple[str, ...] = ()

    def has_bridge(self, name: str, gateways: Collection[str], *, loopback: bool) -> bool:
        """Whether it is as `ensure_bridge` and `ensure_mark_rule` make it."""
        return (
            self.bridges.get(name, frozenset()).issuperset(gateways)
            and name in self.marked
            and sysctl_value("all", "src_valid_mark") == "1"
            and sysctl_value(name, "route_localnet") == str(int(loopback))
        )

    def strays(self, wanted: Collection[str], prefix: str) -> list[str]:
        """Interfaces that are named as ours and belong to nothing: bridges of no network without a port, ports of nobody."""
        used = {port.master for port in self.attached}
        bridges = [name for name, index in self.indexes.items() if name not in wanted and index not in used]
        known = {port.name for port in self.attached}
        return bridges + [name for name in self.others if name.startswith(prefix) and name not in known]

    def is_on(self, port: ports.Attached, bridge: str | None) -> bool:
        return bridge is not None and port.master == self.indexes.get(bridge)


@_speaking
def host_side(tag: str, prefix: str) -> HostSide:
    """One look at everything of ours; `prefix` is what the bridges' names start with."""
    links = ports.all_links()
    ours = {link.index: link for link in links if link.name.startswith(prefix)}
    addresses: dict[str, set[str]] = {link.name: set() for link in ours.values() if link.is_up}
    with IPRoute() as ipr:
        for address in ipr.get_addr():
            link = ours.get(address["index"])
            if link is not None and link.is_up:
                addresses[link.name].add(address.get_attr("IFA_ADDRESS"))
        marked = set.intersection(
            *(
                {rule.get_attr("FRA_IIFNAME") for rule in ipr.get_rules(family=family, priority=_RULE_PRIORITY)}
                for family in _families()
            )
        )
    return HostSide(
        attached=tuple(ports.attached_among(links, tag)),
        bridges={name: frozenset(found) for name, found in addresses.items()},
        indexes={link.name: link.index for link in ours.values()},
        marked=frozenset(filter(None, marked)),
        others=tuple(link.name for link in links if link.index not in ours),
    )


def remove_strays(tag: str, prefix: str, bridges: Collection[str]) -> None:
    """What a worker that died between two steps has left: bridges of no network, and ports of no container."""
    for name in host_side(tag, prefix).strays(bridges, ports.port_prefix(tag)):
        remove_bridge(name)


def attached(tag: str) -> list[ports.Attached]:
    """Our ports; those of one container in the order of its interfaces."""
    return ports.attached_among(ports.all_links(), tag)


@_speaking
def ensure_mark_rule(bridge: str) -> None:
    """Refuse to route what comes from the bridge without the firewall's mark.

    Return paths are checked with the packet's own mark then: with rp_filter, the kernel asks how an answer would be
    routed that comes from the bridge, and without the mark that is "not at all". No container would get an answer.
    """
    set_value("all", "src_valid_mark", 1)
    with IPRoute() as ipr:
        for family in _families():
            if not _has_mark_rule(ipr, bridge, family):
                ipr.rule("add", family=family, **_mark_rule(bridge))


def _families() -> tuple[int, ...]:
    return (AF_INET, AF_INET6) if addresses6.is_there() else (AF_INET,)


def _mark_rule(bridge: str) -> dict[str, Any]:
    return {
        "priority": _RULE_PRIORITY,
        "iifname": bridge,
        "fwmark": 0,
        "fwmask": MARK,
        "action": "prohibit",
        "table": 0,
    }


def _has_mark_rule(ipr: IPRoute, bridge: str, family: int) -> bool:
    rules = ipr.get_rules(family=family, priority=_RULE_PRIORITY)
    return any(rule.get_attr("FRA_IIFNAME") == bridge for rule in rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """A pair of interfaces to be: `port` on the bridge, `inside` in the container.

    `reflects`: what it sends may come back by the same port, as when it calls a port that it publishes.
    """

    bridge: str
    port: Port
    inside: str
    alias: str
    reflects: bool


@_speaking
def connect(joint: Joint, netns: Path) -> None:
    """Make it. The inner end is not yet up."""
    disconnect(joint.port.interface)
    with IPRoute() as ipr:
        bridge_index = _index(ipr, joint.bridge)
        namespace = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
        try:
            peer = {"ifname": joint.inside, "net_ns_fd": namespace, "address": joint.port.mac}
            ipr.link("add", ifname=joint.port.interface, kind="veth", peer=peer)
        finally:
            os.close(namespace)
        index = _index(ipr, joint.port.interface)
        ipr.link("set", index=index, ifalias=joint.alias)
        if joint.port.address6:
            ipv6.write_down(ipr, bridge_index, joint.port.address6, joint.port.mac)
        set_value(joint.port.interface, "disable_ipv6", 1, family="ipv6")
        ipr.link("set", index=index, master=bridge_index, state="up")
        if joint.reflects:
            ipr.brport("set", index=index, mode=1)


@dataclass(frozen=True, slots=True)
class Inside:
    """One interface of a container."""

    name: str
    address: str
    network: NetworkDefinition
    bridge: str

    @property
    def leads_out(self) -> bool:
        return not self.network.is_internal


@_speaking
def configure_inside(netns: Path, interfaces: Sequence[Inside]) -> None:
    """In a new container's namespace: loopback, the addresses, the way out, and `ping` and low ports without rights."""

    def configure() -> None:
        set_value("default", "disable_ipv6", 1, family="ipv6")
        Path("/proc/sys/net/ipv4/ping_group_range").write_text("0 2147483647", "ascii")
        Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("0", "ascii")
        with IPRoute() as ipr:
            ipr.link("set", index=_index(ipr, "lo"), state="up")
            _bring_up(ipr, interfaces)
            _lead_out(ipr, interfaces)

    namespaces.in_netns(netns, configure)


@_speaking
def reconfigure_inside(netns: Path, interfaces: Sequence[Inside], *, new: Sequence[Inside] = ()) -> None:
    """After a change: `new` ones get their address, and what has no way out any more gets another."""

    def configure() -> None:
        with IPRoute() as ipr:
            _bring_up(ipr, new)
            _lead_out(ipr, interfaces)

    namespaces.in_netns(netns, configure)


def _bring_up(ipr: IPRoute, interfaces: Sequence[Inside]) -> None:
    for one in interfaces:
        has_six = one.network.subnet6 is not None
        if not has_six:
            set_value(one.name, "disable_ipv6", 1, family="ipv6")
        index = _index(ipr, one.name)
        ipr.addr("add", index=index, address=one.address, prefixlen=one.network.subnet.prefix_length)
        if has_six:
            ipv6.speak(one.name)
        ipr.link("set", index=index, state="up")
        if has_six:
            ipv6.settle(ipr, index, one.network, one.address, router=bridge_mac(one.bridge))


def _lead_out(ipr: IPRoute, interfaces: Sequence[Inside]) -> None:
    """By the first network that has a way out, unless there is one already."""
    if not ipr.get_default_routes(family=AF_INET) and (leading := [one for one in interfaces if one.leads_out]):
        ipr.route("add", dst="default", gateway=leading[0].network.subnet.gateway)
    ipv6.lead_out(ipr, [(_index(ipr, one.name), one.network) for one in interfaces if one.leads_out])


@_speaking
def disconnect(name: str) -> None:
    """Remove an interface (its other end goes with it)."""
    with IPRoute() as ipr:
        link = _find(ipr, name)
        if link is not None:
            with tolerating(errno.ENODEV):
                ipr.link("del", index=link["index"])


@_speaking
def remove_bridge(bridge: str) -> None:
    """The bridge and its routing rule; ports must be gone."""
    with IPRoute() as ipr:
        for family in _families():
            if _has_mark_rule(ipr, bridge, family):
                ipr.rule("del", family=family, **_mark_rule(bridge))
    disconnect(bridge)


@_speaking
def host_addresses() -> set[str]:
    """All IP addresses of this host's interfaces."""
    with IPRoute() as ipr:
        return {address.get_attr("IFA_ADDRESS") for address in ipr.get_addr()}


def is_forwarding() -> bool:
    return _IP_FORWARD.read_text("ascii").strip() == "1"


def enable_forwarding() -> None:
    if not is_forwarding():
        try:
            _IP_FORWARD.write_text("1", "ascii")
        except OSError as error:
            msg = f"Forwarding (net.ipv4.ip_forward) could not be switched on: {error.strerror}."
            raise NetworkError(msg) from error
