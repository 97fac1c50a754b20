"""Which ports of ours the kernel has.

A container's port on a bridge carries, as its alias, whose it is and what its other end is called in the container:
`berth-<tag> <container id> <address> <eth…> [<IPv6 address>]`. The kernel is so the only record of what is attached, and it
ends with the interface. An alias of three words is of an earlier version, which had one network.

The list is read every two seconds and at each start; pyroute2 takes 1 ms a link for it, this 0.03. Source: rtnetlink(7).
"""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.network.addresses import address_code
from engine.network.ruleset import Port

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from engine.network.definition import NetworkDefinition

_GETLINK, _NEWLINK, _DONE, _ERROR = 18, 16, 3, 2
_REQUEST_DUMP, _INTERRUPTED = 0x301, 0x10
_IFNAME, _MASTER, _IFALIAS, _EXT_MASK = 3, 10, 20, 29
_SKIP_STATISTICS = 1 << 3
_NLMSG, _IFINFO, _ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=BxHiII"), struct.Struct("=HH")
_BUFFER_BYTES = 1 << 17
_TRIES = 10
_UP = 1
_ID_LENGTH = 64
FIRST = "eth0"  # the interface of a container's first network


@dataclass(frozen=True, slots=True)
class Link:
    """One interface of the calling thread's network namespace."""

    index: int
    name: str
    master: int
    alias: str
    is_up: bool


@dataclass(frozen=True, slots=True)
class Attached:
    """One port of ours, found by its alias."""

    index: int
    name: str
    master: int
    container_id: str
    address: str
    inside: str
    address6: str = ""

    @property
    def number(self) -> int:
        """Of the interface in the container."""
        return int(self.inside.removeprefix("eth"))

    @property
    def port(self) -> Port:
        return Port.of(self.name, self.address, self.address6)


def port_prefix(tag: str) -> str:
    """What the names of our ports start with; at most 6 hexadecimal digits follow (15 characters in all)."""
    return f"v{tag}"


def port_name(tag: str, network: NetworkDefinition, address: str) -> str:
    """It comes from the address, so two containers can never hold one; networks do not overlap."""
    code = address_code(address) if network.number else f"{network.subnet.offset(address):x}"
    return f"{port_prefix(tag)}{code}"


def alias(tag: str, container_id: str, address: str, inside: str, address6: str = "") -> str:
    return f"berth-{tag} {container_id} {address} {inside} {address6}".rstrip()


def attached_among(links: list[Link], tag: str) -> list[Attached]:
    """Our ports; those of one container in the order of its interfaces."""
    found = []
    for link in links:
        words = link.alias.split(" ")
        if len(words) in (3, 4, 5) and words[0] == f"berth-{tag}" and len(words[1]) == _ID_LENGTH:
            found.append(Attached(link.index, link.name, link.master, *words[1:3], *(words[3:] or [FIRST])))
    return sorted(found, key=lambda port: port.number)


def whereabouts(ports: Iterable[Attached], networks: Sequence[NetworkDefinition]) -> dict[str, dict[int, str]]:
    """Addresses by container id and number of the network."""
    found: dict[str, dict[int, str]] = {}
    for port in ports:
        for network in networks:
            if network.subnet.contains(port.address):
                found.setdefault(port.container_id, {})[network.number] = port.address
    return found


def counted() -> dict[str, tuple[int, int]]:
    """Bytes that came in by each interface and went out, by name. Source: proc_pid_net(5), `dev`."""
    found = {}
    for line in Path("/proc/net/dev").read_text("ascii").splitlines()[2:]:
        name, _, rest = line.partition(":")
        fields = rest.split()
        found[name.strip()] = int(fields[0]), int(fields[8])
    return found


def all_links() -> list[Link]:
    """Every interface. Repeated when some came or went in between.

    Raises:
        OSError: what the kernel answered.
    """
    for _ in range(_TRIES):
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as netlink:
            netlink.bind((0, 0))
            netlink.send(_request())
            links: list[Link] = []
            if _collect(netlink, links):
                return links
    return links


def _request() -> bytes:
    body = (
        _IFINFO.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + _ATTRIBUTE.pack(8, _EXT_MASK) + struct.pack("=I", _SKIP_STATISTICS)
    )
    return _NLMSG.pack(_NLMSG.size + len(body), _GETLINK, _REQUEST_DUMP, 1, 0) + body


def _collect(netlink: socket.socket, links: list[Link]) -> bool:
    """Read one dump; False when it was interrupted by a change."""
    whole = True
    while True:
        data = netlink.recv(_BUFFER_BYTES)
        for kind, flags, body in _messages(data):
            whole = whole and not flags & _INTERRUPTED
            if kind == _DONE:
                return whole
            if kind == _ERROR:
                number = -int(struct.unpack_from("=i", body)[0])
                raise OSError(number, os.strerror(number))
            if kind == _NEWLINK:
                links.append(_link(body))


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while at + _NLMSG.size <= len(data):
        length, kind, flags, _, _ = _NLMSG.unpack_from(data, at)
        yield kind, flags, data[at + _NLMSG.size : at + length]
        at += (length + 3) & ~3


def _link(body: bytes) -> Link:
    _, _, index, flags, _ = _IFINFO.unpack_from(body)
    name, master, text, at = "", 0, "", _IFINFO.size
    while at + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        value = body[at + _ATTRIBUTE.size : at + length]
        if kind == _IFNAME:
            name = value.rstrip(b"\0").decode("utf-8", "replace")
        elif kind == _MASTER:
            master = struct.unpack("=I", value)[0]
        elif kind == _IFALIAS:
            text = value.rstrip(b"\0").decode("utf-8", "replace")
        at += (max(length, _ATTRIBUTE.size) + 3) & ~3
    return Link(index, name, master, text, bool(flags & _UP))
