"""Ports as Docker spells them: what `-p` and `--expose` take, and how `ps` and `port` print what came of it.

    [[address:][host port[-range]]:]container port[-range][/tcp|udp]

A range of host ports before a single container port means any free one of them. Source of the grammar:
github.com/docker/go-connections, nat/nat.go (behaviour); of the printed column: docker/cli, formatter/container.go.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dashboard.grammar.errors import ValueRefused

PORT_MAXIMUM = 65535
MOST_PORTS = 1000  # of one container: each is a rule, and a descriptor of the engine's
PROTOCOLS = ("tcp", "udp")
HTTPS = (443, 8443)
_DIGITS = re.compile(r"[0-9]{1,5}\Z")


def _refuse(message: str) -> ValueRefused:
    return ValueRefused(message)


@dataclass(frozen=True, slots=True, order=True)
class PortRange:
    first: int
    last: int

    @classmethod
    def read(cls, text: str, *, name: str) -> PortRange:
        """`80`, `8000-8010`. 0 only alone.

        Raises:
            ValueRefused: naming the part of the line that is wrong.
        """
        first, dash, last = text.partition("-")
        last = last if dash else first
        if not (_DIGITS.match(first) and _DIGITS.match(last)) or not int(first) <= int(last) <= PORT_MAXIMUM:
            msg = f"invalid {name}: {text}"
            raise _refuse(msg)
        return cls(int(first), int(last))

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


def _protocol(text: str) -> str:
    protocol = text.lower() or "tcp"
    if protocol == "sctp":
        msg = "sctp ports cannot be published here: the firewall of this engine translates tcp and udp"
        raise _refuse(msg)
    if protocol not in PROTOCOLS:
        msg = f"invalid proto: {text}"
        raise _refuse(msg)
    return protocol


def _read_container(text: str) -> tuple[PortRange, str]:
    ports, _slash, protocol = text.partition("/")
    found = PortRange.read(ports, name="containerPort")
    if found.first == 0:
        msg = f"invalid containerPort: {ports}"
        raise _refuse(msg)
    return found, _protocol(protocol)


def _read_address(text: str) -> str:
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        msg = f"invalid IP address: {text}"
        raise _refuse(msg) from None
    if getattr(address, "scope_id", None) or getattr(address, "ipv4_mapped", None):
        msg = f"nothing can be published on {text}. Name an address of this host as it is"
        raise _refuse(msg)
    return str(address)


def spelled_address(address: str) -> str:
    """As it stands before a port: `[::1]`."""
    return f"[{address}]" if ":" in address else address


@dataclass(frozen=True, slots=True, kw_only=True)
class PortSpec:
    """One `-p`. `address` "": the server's default. `host` None: any free port of the host.

    `host` is as long as `container`, or `container` is one port and any of `host` will do.
    """

    container: PortRange
    protocol: str = "tcp"
    host: PortRange | None = None
    address: str = ""

    @classmethod
    def read(cls, text: str) -> PortSpec:
        """One value of `-p`, Docker's long form (`published=8080,target=80`) too.

        Raises:
            ValueRefused: in Docker's words where it has some.
        """
        *before, container_text = _standard(text).split(":")
        address_text, host_text = ":".join(before[:-1]), before[-1] if before else ""
        if not container_text.partition("/")[0]:
            msg = f"no port specified: {text}<empty>"
            raise _refuse(msg)
        container, protocol = _read_container(container_text)
        host = PortRange.read(host_text, name="hostPort") if host_text else None
        if host is not None and host.first == 0:
            if len(host) > 1:
                msg = f"invalid hostPort: {host_text}"
                raise _refuse(msg)
            host = None
        if host is not None and len(container) not in {1, len(host)}:
            msg = f"invalid ranges specified for container and host Ports: {container} and {host}"
            raise _refuse(msg)
        address = _read_address(address_text) if address_text else ""
        return cls(container=container, protocol=protocol, host=host, address=address)

    def __str__(self) -> str:
        """The shortest spelling that reads the same."""
        host = "" if self.host is None else str(self.host)
        before = f"{spelled_address(self.address)}:{host}:" if self.address else f"{host}:" if host else ""
        return f"{before}{self.container}{'' if self.protocol == 'tcp' else '/' + self.protocol}"

    def bindings(self) -> Iterator[Binding]:
        """One for each container port."""
        for number in range(len(self.container)):
            host = self.host
            if host is not None and len(self.container) > 1:
                host = PortRange(host.first + number, host.first + number)
            yield Binding(self.protocol, self.container.first + number, self.address, host)


def _standard(text: str) -> str:
    if "=" not in text:
        return text
    said = {"published": "", "target": "", "protocol": "tcp"}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not equals or key not in said:
            msg = f"invalid publish opts format (should be name=value but got '{part}')"
            raise _refuse(msg)
        said[key] = value
    return f"{said['published']}:{said['target']}/{said['protocol']}"


@dataclass(frozen=True, slots=True)
class Binding:
    """One container port and what it may be on the host: any of `host`; None: any free one."""

    protocol: str
    container_port: int
    address: str
    host: PortRange | None

    @property
    def container(self) -> str:
        return f"{self.container_port}/{self.protocol}"


def read_publish(text: str) -> str:
    return str(PortSpec.read(text))


def read_exposed(text: str) -> str:
    """`80`, `3000-3010/udp`, as `--expose` and images write it.

    Raises:
        ValueRefused.
    """
    if ":" in text:
        msg = f"invalid port format for --expose: {text}"
        raise _refuse(msg)
    ports, protocol = _read_container(text)
    return f"{ports}/{protocol}"


def exposed_ports(texts: Iterable[str]) -> list[tuple[int, str]]:
    """(port, protocol) of each, in order, once. What cannot be published here (an image's sctp port) is left out."""
    found: set[tuple[int, str]] = set()
    for text in texts:
        try:
            ports, protocol = _read_container(text)
        except ValueRefused:
            continue
        found.update((number, protocol) for number in range(ports.first, ports.last + 1))
    return sorted(found)


def bindings(publish: Iterable[str], exposed: Iterable[tuple[int, str]] = ()) -> list[Binding]:
    """All that a container publishes, each once: what it names, and those of `exposed` that it does not name."""
    named = list(dict.fromkeys(one for text in publish for one in PortSpec.read(text).bindings()))
    there = {(one.container_port, one.protocol) for one in named}
    return named + [Binding(protocol, port, "", None) for port, protocol in exposed if (port, protocol) not in there]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPort:
    """A port of a running container. `address` "": exposed, and not published."""

    container_port: int
    protocol: str = "tcp"
    address: str = ""
    port: int = 0

    @property
    def place(self) -> str:
        """`0.0.0.0:8080`, `[::1]:8080`."""
        return f"{spelled_address(self.address)}:{self.port}"

    @property
    def is_same(self) -> bool:
        """It can stand in a range: both sides have the same number."""
        return not self.address or self.port == self.container_port


def shown_ports(ports: Iterable[ShownPort]) -> str:
    """The PORTS column: `0.0.0.0:8080->80/tcp`; neighbours with the same number on both sides are one range."""
    ordered = sorted(ports, key=lambda one: (one.container_port, one.address, one.port, one.protocol))
    done: list[str] = []
    open_ranges: dict[tuple[str, str], list[int]] = {}
    for one in (one for one in ordered if one.is_same):
        key = (one.address, one.protocol)
        if key in open_ranges and open_ranges[key][1] + 1 == one.container_port:
            open_ranges[key][1] = one.container_port
            continue
        if key in open_ranges:
            done.append(_shown_range(key, open_ranges[key]))
        open_ranges.setdefault(key, [0, 0])[:] = [one.container_port, one.container_port]
    done += [_shown_range(key, ends) for key, ends in open_ranges.items()]
    done += [f"{one.place}->{one.container_port}/{one.protocol}" for one in ordered if not one.is_same]
    return ", ".join(done)


def _shown_range(key: tuple[str, str], ends: list[int]) -> str:
    address, protocol = key
    ports = str(PortRange(*ends))
    return f"{spelled_address(address)}:{ports}->{ports}/{protocol}" if address else f"{ports}/{protocol}"


def port_lines(ports: Iterable[ShownPort], wanted: tuple[int, str] | None = None) -> list[str]:
    """What `port` prints: `80/tcp -> 0.0.0.0:8080`; for one container port only where it is on the host."""
    published = sorted(
        (one for one in ports if one.address), key=lambda one: (one.container_port, one.protocol, one.address, one.port)
    )
    if wanted is None:
        return [f"{one.container_port}/{one.protocol} -> {one.place}" for one in published]
    return [one.place for one in published if (one.container_port, one.protocol) == wanted]


def read_private(text: str) -> tuple[int, str]:
    """`80`, `53/udp`: the argument of `port`.

    Raises:
        ValueRefused.
    """
    ports, protocol = _read_container(text)
    if len(ports) != 1:
        msg = f"invalid containerPort: {text}"
        raise _refuse(msg)
    return ports.first, protocol


def link_to(port: ShownPort, page_host: str) -> str | None:
    """Where a browser that shows a page of `page_host` finds a published port; None where it cannot.

    A port on the host's loopback is found by who came to the page by loopback too, as through an SSH tunnel.
    """
    if not port.address or port.protocol != "tcp":
        return None
    address = ipaddress.ip_address(port.address)
    if address.is_loopback and not _is_loopback(page_host):
        return None
    host = spelled_address(port.address)
    if address.is_unspecified:
        host = f"[{page_host}]" if ":" in page_host else page_host
    scheme = "https" if port.container_port in HTTPS else "http"
    return f"{scheme}://{host}:{port.port}/" if host else None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
