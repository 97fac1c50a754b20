"""The firewall's rules as text (pure). One transaction replaces both tables whole.

    inet TABLE     what may pass the host: containers of one network to each other and out, nothing from one network to
                   another, nothing to the host but the question for a name, nothing in unasked; from elsewhere
                   nothing to the addresses that the host has in networks, where the name server listens
    bridge TABLE   what a port may say: its own hardware and IP addresses only, and nothing about who has which IPv6 address:
                   neighbours of IPv6 are written down, not asked for, so that nobody can answer wrongly (NET-03)

Fail closed (F44): packets of containers are routed only if they carry `MARK`, which only these rules set. When somebody
flushes the rules, the routing rule (see `links.ensure_mark_rule`) refuses them until the reconciler is back. Packets
towards containers carry it too while they are routed: a host that checks return paths (rp_filter) asks that routing rule
about the way back.

A published port is one element of a map. Callers keep their source address, but for those that the answer would not
find back to us: the host's loopback, and containers of that very bridge (their own published port: a hairpin). Nothing
that comes from outside for 127.0.0.0/8 is ever translated: before routing, it could still be forwarded (NET-02). Not
even by a published port does one network reach another (NET-04).

The name server is away for some milliseconds whenever it reads its files anew. Who asks then must not be told so, which
a program takes for an answer, but be left to ask again: hence the chain `answers`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.network.addresses import container_mac
from engine.network.published import EVERYWHERE, Published

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

MARK = 0x02000000
QUESTIONS = "200/second burst 500 packets"
_ABOUT_NEIGHBOURS = (
    "nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, nd-redirect,"
    " mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report"
)


@dataclass(frozen=True, slots=True, order=True)
class Port:
    """One container's place on the bridge."""

    interface: str
    mac: str
    address: str
    address6: str = ""

    @classmethod
    def of(cls, interface: str, address: str, address6: str = "") -> Port:
        return cls(interface, container_mac(address), address, address6)

    @property
    def element(self) -> str:
        return f'"{self.interface}" . {self.mac} . {self.address}'

    @property
    def element6(self) -> str:
        return f'"{self.interface}" . {self.mac} . {self.address6}'


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


@dataclass(frozen=True, slots=True, order=True)
class Home:
    """One bridge and the network behind it."""

    bridge: str
    subnet: str
    gateway: str
    is_internal: bool
    has_names: bool
    subnet6: str = ""
    gateway6: str = ""


def ruleset(
    *,
    table: str,
    bridges: str,
    prefix: str,
    homes: Collection[Home],
    ports: Collection[Port],
    forwards: Collection[Forward],
) -> str:
    """Input for `nft -f -`; names of bridges start with `bridges`, those of ports on them with `prefix`."""
    return f"""\
table inet {table}
delete table inet {table}
table inet {table} {{{_networks(sorted(homes))}{_publishing(forwards)}{_translation(bridges)}{_marking(bridges)}{_filters(bridges)}}}
table bridge {table}
delete table bridge {table}
table bridge {table} {{
  set ports {{
    type ifname . ether_addr . ipv4_addr{_elements(port.element for port in sorted(ports))}
  }}
  set ports6 {{
    type ifname . ether_addr . ipv6_addr{_elements(port.element6 for port in sorted(ports) if port.address6)}
  }}
  chain from_ports {{
    type filter hook prerouting priority -300; policy accept;
    iifname "{prefix}*" ether type ip iifname . ether saddr . ip saddr @ports accept
    iifname "{prefix}*" icmpv6 type {{ {_ABOUT_NEIGHBOURS} }} drop
    iifname "{prefix}*" ether type ip6 iifname . ether saddr . ip6 saddr @ports6 accept
    iifname "{prefix}*" ether type arp iifname . arp saddr ether . arp saddr ip @ports accept
    iifname "{prefix}*" drop
  }}
}}
"""


def _networks(homes: Collection[Home]) -> str:
    """`same`: what stays within one network though it is routed, as a call of one's own published port."""
    pairs = _elements(f'"{home.bridge}" . {home.subnet}' for home in homes)
    gateways = _elements(f'"{home.bridge}" . {home.gateway}' for home in homes)
    named = _elements(f'"{home.bridge}" . {home.gateway}' for home in homes if home.has_names)
    same = _elements(f'"{home.bridge}" . "{home.bridge}"' for home in homes)
    internal = _elements(f'"{home.bridge}"' for home in homes if home.is_internal)
    with_six = [home for home in homes if home.subnet6]
    pairs6 = _elements(f'"{home.bridge}" . {home.subnet6}' for home in with_six)
    gateways6 = _elements(f'"{home.bridge}" . {home.gateway6}' for home in with_six)
    return f"""
  set networks {{
    type ipv4_addr
    flags interval{_elements(home.subnet for home in homes)}
  }}
  set homes {{
    type ifname . ipv4_addr
    flags interval{pairs}
  }}
  set gateways {{
    type ifname . ipv4_addr{gateways}
  }}
  set networks6 {{
    type ipv6_addr
    flags interval{_elements(home.subnet6 for home in with_six)}
  }}
  set homes6 {{
    type ifname . ipv6_addr
    flags interval{pairs6}
  }}
  set gateways6 {{
    type ifname . ipv6_addr{gateways6}
  }}
  set named {{
    type ifname . ipv4_addr{named}
  }}
  set same {{
    type ifname . ifname{same}
  }}
  set internal {{
    type ifname{internal}
  }}
  set asking {{
    type ipv4_addr
    flags dynamic,timeout
    timeout 1m
  }}"""


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


def _translation(bridges: str) -> str:
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
    oifname "{bridges}*" ip saddr 127.0.0.0/8 masquerade
    oifname "{bridges}*" ip saddr @networks ct status dnat masquerade
    ip saddr @networks oifname != "{bridges}*" masquerade
    ip6 saddr @networks6 oifname != "{bridges}*" masquerade
  }}"""


def _marking(bridges: str) -> str:
    """Nothing has an address that is another's, and what may be routed carries the mark."""
    return f"""
  chain raw {{
    type filter hook prerouting priority raw; policy accept;
    iifname "{bridges}*" ip daddr 127.0.0.0/8 drop
    iifname "{bridges}*" iifname . ip saddr != @homes drop
    iifname != "lo" ip saddr @networks iifname . ip saddr != @homes drop
    iifname "{bridges}*" iifname . ip6 saddr != @homes6 drop
    iifname != "lo" ip6 saddr @networks6 iifname . ip6 saddr != @homes6 drop
    iifname "{bridges}*" meta mark set meta mark or {MARK:#x}
  }}
  chain towards {{
    type filter hook prerouting priority dstnat + 1; policy accept;
    ip daddr @networks meta mark set meta mark or {MARK:#x}
    ip6 daddr @networks6 meta mark set meta mark or {MARK:#x}
  }}"""


def _filters(bridges: str) -> str:
    """In this order: a reject must not be passed by, and what is internal stays so whatever else would let it through."""
    unmarked = f"meta mark set meta mark and {0xFFFFFFFF ^ MARK:#x}"
    return f"""
  chain input {{
    type filter hook input priority filter - 10; policy accept;
    iifname "{bridges}*" ct state established,related accept
    iifname . ip daddr @gateways icmp type echo-request accept
    iifname . ip6 daddr @gateways6 icmpv6 type echo-request accept
    iifname . ip daddr @named udp dport 53 update @asking {{ ip saddr limit rate over {QUESTIONS} }} drop
    iifname . ip daddr @named udp dport 53 accept
    iifname "{bridges}*" meta l4proto tcp reject with tcp reset
    iifname "{bridges}*" meta l4proto udp reject with icmpx type admin-prohibited
    iifname "{bridges}*" drop
    iifname != "lo" ip daddr @networks drop
    iifname != "lo" ip6 daddr @networks6 drop
  }}
  chain answers {{
    type filter hook output priority filter - 10; policy accept;
    oifname "{bridges}*" icmp type destination-unreachable icmp code port-unreachable drop
  }}
  chain forward {{
    type filter hook forward priority filter - 10; policy accept;
    iifname "{bridges}*" {unmarked}
    oifname "{bridges}*" {unmarked}
    iifname "{bridges}*" ip daddr 169.254.0.0/16 meta l4proto tcp reject with tcp reset
    iifname "{bridges}*" ip daddr 169.254.0.0/16 drop
    iifname "{bridges}*" ip6 daddr {{ fe80::/10, fd00:ec2::/32 }} meta l4proto tcp reject with tcp reset
    iifname "{bridges}*" ip6 daddr {{ fe80::/10, fd00:ec2::/32 }} drop
    iifname . oifname @same accept
    iifname "{bridges}*" oifname "{bridges}*" meta l4proto tcp reject with tcp reset
    iifname "{bridges}*" oifname "{bridges}*" drop
    iifname @internal meta l4proto tcp reject with tcp reset
    iifname @internal drop
    oifname @internal drop
    oifname "{bridges}*" ct state established,related accept
    oifname "{bridges}*" ct status dnat accept
    oifname "{bridges}*" drop
  }}
"""


def add(table: str, port: Port) -> str:
    """Let a port speak."""
    return _about(table, port, "add")


def lead(table: str, forwards: Iterable[Forward]) -> str:
    """Lead published ports to it."""
    return "".join(f"add element inet {table} {one.map_name} {{ {one.element} }}\n" for one in forwards)


def delete_port(table: str, port: Port) -> str:
    return _about(table, port, "delete")


def _about(table: str, port: Port, verb: str) -> str:
    six = f"{verb} element bridge {table} ports6 {{ {port.element6} }}\n" if port.address6 else ""
    return f"{verb} element bridge {table} ports {{ {port.element} }}\n{six}"


def delete_forwards(table: str, forwards: Iterable[Forward]) -> str:
    return "".join(f"delete element inet {table} {one.map_name} {{ {one.key} }}\n" for one in forwards)


def delete_tables(table: str) -> str:
    return "".join(f"table {kind} {table}\ndelete table {kind} {table}\n" for kind in ("inet", "bridge"))


_SET = re.compile(r"(set|map) (\w+) \{.*?\n\s*\}", re.DOTALL)
_ELEMENTS = re.compile(r"\s*elements = \{(.*?)\}", re.DOTALL)
_PORT = re.compile(r'"([^"]+)" \. ([0-9a-f:]{17}) \. ([0-9a-f.:]+)')
_FORWARD = re.compile(r"(tcp|udp)(?: \. (\d+\.\d+\.\d+\.\d+))? \. (\d+) : (\d+\.\d+\.\d+\.\d+) \. (\d+)")
_CHANGING = frozenset({"ports", "ports6", "published", "published_everywhere", "asking"})


@dataclass(frozen=True, slots=True)
class Listing:
    """What nft lists of both tables, taken apart. `rules` has also what is in the sets of networks, in one order."""

    rules: str
    ports: frozenset[Port]
    forwards: frozenset[Forward]


def read_listing(text: str) -> Listing:
    elements = {found[2]: " ".join(_ELEMENTS.findall(found[0])) for found in _SET.finditer(text)}
    six = {found[:2]: found[2] for found in _PORT.findall(elements.get("ports6", ""))}
    four = _PORT.findall(elements.get("ports", ""))
    ports = {Port(name, mac, address, six.pop((name, mac), "")) for name, mac, address in four}
    ports |= {Port(interface, mac, "", address6) for (interface, mac), address6 in six.items()}
    maps = elements.get("published", "") + " " + elements.get("published_everywhere", "")
    forwards = {_forward(*found) for found in _FORWARD.findall(maps)}
    kept = [f"{name}: {_in_order(listed)}" for name, listed in sorted(elements.items()) if name not in _CHANGING]
    return Listing("\n".join([_ELEMENTS.sub("", text), *kept]), frozenset(ports), frozenset(forwards))


def _in_order(elements: str) -> str:
    """In one: nft lists a set in the kernel's, which may change."""
    return ", ".join(sorted(" ".join(one.split()) for one in elements.split(",")))


def _forward(protocol: str, address: str, port: str, to: str, container_port: str) -> Forward:
    published = Published(
        protocol=protocol, address=address or EVERYWHERE, port=int(port), container_port=int(container_port)
    )
    return Forward(published, to)
