"""The firewall's rules as text (pure). One transaction replaces both tables whole.

    inet TABLE     what may pass the host: containers to each other and out, nothing to the host, nothing in unasked
    bridge TABLE   what a port may say: its own hardware and IP address only, and no IPv6 (NET-03)

Fail closed (F44): packets of containers are routed only if they carry `MARK`, which only these rules set. When somebody
flushes the rules, the routing rule (see `links.ensure_mark_rule`) refuses them until the reconciler is back. Packets
towards containers carry it too while they are routed: a host that checks return paths (rp_filter) asks that routing rule
about the way back.

A published port is one element of a map. Callers keep their source address, but for those that the answer would not
find back to us: the host's loopback, and containers of this very bridge (their own published port: a hairpin). Nothing
that comes from outside for 127.0.0.0/8 is ever translated: before routing, it could still be forwarded (NET-02).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.network.published import EVERYWHERE, Published

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

MARK = 0x02000000


@dataclass(frozen=True, slots=True, order=True)
class Port:
    """One container's place on the bridge."""

    interface: str
    mac: str
    address: str

    @property
    def element(self) -> str:
        return f'"{self.interface}" . {self.mac} . {self.address}'


@dataclass(frozen=True, slots=True, order=True)
class Forward:
    """A published port and the address of the container that it leads to."""

    published: Published
    to: str

    @property
    def map_name(self) -> str:
        return "published_everywhere" if self.published.address == EVERYWHERE else "published"

    @property
    def key(self) -> str:
        one = self.published
        middle = "" if one.address == EVERYWHERE else f" . {one.address}"
        return f"{one.protocol}{middle} . {one.port}"

    @property
    def element(self) -> str:
        return f"{self.key} : {self.to} . {self.published.container_port}"


def _elements(elements: Iterable[str]) -> str:
    listed = ", ".join(elements)
    return f"\n    elements = {{ {listed} }}" if listed else ""


def ruleset(
    *,
    table: str,
    bridge: str,
    prefix: str,
    network: str,
    gateway: str,
    ports: Collection[Port],
    forwards: Collection[Forward],
) -> str:
    """Input for `nft -f -`; names of ports on the bridge start with `prefix`."""
    return f"""\
table inet {table}
delete table inet {table}
table inet {table} {{{_publishing(forwards)}{_translation(bridge, network)}{_filters(bridge, network, gateway)}}}
table bridge {table}
delete table bridge {table}
table bridge {table} {{
  set ports {{
    type ifname . ether_addr . ipv4_addr{_elements(port.element for port in sorted(ports))}
  }}
  chain from_ports {{
    type filter hook prerouting priority -300; policy accept;
    iifname "{prefix}*" ether type ip iifname . ether saddr . ip saddr @ports accept
    iifname "{prefix}*" ether type arp iifname . arp saddr ether . arp saddr ip @ports accept
    iifname "{prefix}*" drop
  }}
}}
"""


def _publishing(forwards: Collection[Forward]) -> str:
    some, everywhere = (
        _elements(one.element for one in sorted(forwards) if one.map_name == name)
        for name in ("published", "published_everywhere")
    )
    return f"""
  map published {{
    type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service{some}
  }}
  map published_everywhere {{
    type inet_proto . inet_service : ipv4_addr . inet_service{everywhere}
  }}
  chain to_containers {{
    dnat ip to meta l4proto . ip daddr . th dport map @published
    dnat ip to meta l4proto . th dport map @published_everywhere
  }}"""


def _translation(bridge: str, network: str) -> str:
    return f"""
  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
    fib daddr type local ip daddr != 127.0.0.0/8 jump to_containers
  }}
  chain output {{
    type nat hook output priority -100; policy accept;
    fib daddr type local jump to_containers
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname "{bridge}" ip saddr 127.0.0.0/8 masquerade
    oifname "{bridge}" ip saddr {network} ct status dnat masquerade
    ip saddr {network} oifname != "{bridge}" masquerade
  }}"""


def _filters(bridge: str, network: str, gateway: str) -> str:
    unmarked = f"meta mark set meta mark and {0xFFFFFFFF ^ MARK:#x}"
    return f"""
  chain raw {{
    type filter hook prerouting priority raw; policy accept;
    iifname "{bridge}" ip daddr 127.0.0.0/8 drop
    iifname "{bridge}" ip saddr != {network} drop
    iifname "{bridge}" meta nfproto ipv6 drop
    iifname != {{ "{bridge}", "lo" }} ip saddr {network} drop
    iifname "{bridge}" meta mark set meta mark or {MARK:#x}
  }}
  chain towards {{
    type filter hook prerouting priority dstnat + 1; policy accept;
    ip daddr {network} meta mark set meta mark or {MARK:#x}
  }}
  chain input {{
    type filter hook input priority filter - 10; policy accept;
    iifname "{bridge}" ct state established,related accept
    iifname "{bridge}" ip daddr {gateway} icmp type echo-request accept
    iifname "{bridge}" meta l4proto tcp reject with tcp reset
    iifname "{bridge}" meta l4proto udp reject with icmpx type admin-prohibited
    iifname "{bridge}" drop
  }}
  chain forward {{
    type filter hook forward priority filter - 10; policy accept;
    iifname "{bridge}" {unmarked}
    oifname "{bridge}" {unmarked}
    iifname "{bridge}" ip daddr 169.254.0.0/16 meta l4proto tcp reject with tcp reset
    iifname "{bridge}" ip daddr 169.254.0.0/16 drop
    iifname "{bridge}" oifname "{bridge}" accept
    oifname "{bridge}" ct state established,related accept
    oifname "{bridge}" ct status dnat accept
    oifname "{bridge}" drop
  }}
"""


def add(table: str, port: Port, forwards: Iterable[Forward]) -> str:
    """Let a port speak, and lead published ports to it."""
    lines = [f"add element bridge {table} ports {{ {port.element} }}"]
    lines += [f"add element inet {table} {one.map_name} {{ {one.element} }}" for one in forwards]
    return "\n".join(lines) + "\n"


def delete_port(table: str, port: Port) -> str:
    return f"delete element bridge {table} ports {{ {port.element} }}\n"


def delete_forwards(table: str, forwards: Iterable[Forward]) -> str:
    return "".join(f"delete element inet {table} {one.map_name} {{ {one.key} }}\n" for one in forwards)


def delete_tables(table: str) -> str:
    return "".join(f"table {kind} {table}\ndelete table {kind} {table}\n" for kind in ("inet", "bridge"))


_ELEMENTS = re.compile(r"\s*elements = \{(.*?)\}", re.DOTALL)
_PORT = re.compile(r'"([^"]+)" \. ([0-9a-f:]{17}) \. ([0-9.]+)')
_FORWARD = re.compile(r"(tcp|udp)(?: \. (\d+\.\d+\.\d+\.\d+))? \. (\d+) : (\d+\.\d+\.\d+\.\d+) \. (\d+)")


@dataclass(frozen=True, slots=True)
class Listing:
    """What nft lists of both tables, taken apart."""

    rules: str
    ports: frozenset[Port]
    forwards: frozenset[Forward]


def read_listing(text: str) -> Listing:
    elements = _ELEMENTS.findall(text)
    ports = {Port(*found) for one in elements for found in _PORT.findall(one)}
    forwards = {_forward(*found) for one in elements for found in _FORWARD.findall(one)}
    return Listing(_ELEMENTS.sub("", text), frozenset(ports), frozenset(forwards))


def _forward(protocol: str, address: str, port: str, to: str, container_port: str) -> Forward:
    published = Published(
        protocol=protocol, address=address or EVERYWHERE, port=int(port), container_port=int(container_port)
    )
    return Forward(published, to)
