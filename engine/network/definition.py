"""What a network is, and a container's place in one: values (pure), and the small files that keep them.

Networks are the dashboard's to make and to remove; here one begins when its first container comes. Its definition is
then kept in the run folder, which ends with the boot as bridges do, so that everything can be made anew from there (F44).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import NetworkError, RequestRefused
from engine.network.addresses import Subnet
from engine.network.addresses6 import Subnet6

if TYPE_CHECKING:
    from pathlib import Path

MOST_NETWORKS = 0xFFFF
MOST_NAMES = 100
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkDefinition:
    """One network. Its number, which is its own on this engine, is in its bridge's name; 0 is the default network's.

    `is_internal`: no way out of it, and none in. `subnet6`: it has IPv6 addresses, too. Names are answered in every
    network but the default one.

    Raises:
        RequestRefused: no such number.
    """

    number: int
    subnet: Subnet
    is_internal: bool = False
    subnet6: Subnet6 | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.number <= MOST_NETWORKS:
            msg = f"The number of a network is 0 to {MOST_NETWORKS}."
            raise RequestRefused(msg)

    @property
    def has_names(self) -> bool:
        return self.number > 0

    def address6(self, address: str) -> str:
        """The IPv6 address that goes with one of its IPv4 addresses; "" where it has none."""
        return "" if self.subnet6 is None else self.subnet6.at(self.subnet.offset(address))

    @property
    def gateway6(self) -> str:
        return self.address6(self.subnet.gateway)

    def bridge(self, tag: str) -> str:
        """Its bridge's name: at most 15 characters (IFNAMSIZ)."""
        return f"{bridge_prefix(tag)}{self.number:04x}" if self.number else bridge_prefix(tag)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A container's place in a network: its address there, and the names by which the others there find it.

    `servers`: who is asked for its other names, in place of the host's own name servers.

    Raises:
        NetworkError: an address that is not the network's for a container.
        RequestRefused: a name that no name server could answer for.
    """

    network: NetworkDefinition
    address: str
    names: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.network.subnet.check(self.address)
        if len(self.names) > MOST_NAMES or not all(map(_NAME.match, self.names)):
            msg = f"A container has at most {MOST_NAMES} names in a network, of letters, digits, '_', '.' and '-'."
            raise RequestRefused(msg)

    @property
    def address6(self) -> str:
        return self.network.address6(self.address)

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.address, self.address6)))


def bridge_prefix(tag: str) -> str:
    """What the names of all our bridges begin with."""
    return f"br-{tag}"


class DefinitionFiles:
    """`<folder>/<number>`: what was defined of each network that has a bridge. Root's alone, and one process's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[int, NetworkDefinition] | None = None

    def save(self, network: NetworkDefinition) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        said = {
            "subnet": str(network.subnet),
            "gateway": network.subnet.gateway,
            "is_internal": network.is_internal,
            "subnet6": "" if network.subnet6 is None else str(network.subnet6),
        }
        partial = self._folder / f".{network.number}"
        partial.write_text(json.dumps(said), "ascii")
        partial.replace(self._folder / str(network.number))
        self._known = None

    def forget(self, number: int) -> None:
        (self._folder / str(number)).unlink(missing_ok=True)
        self._known = None

    def all(self) -> list[NetworkDefinition]:
        """In order; without those whose file a power cut has left broken."""
        if self._known is None:
            names = [path.name for path in self._folder.iterdir()] if self._folder.is_dir() else []
            read = map(self._of, sorted(int(name) for name in names if name.isdecimal()))
            self._known = {network.number: network for network in read if network is not None}
        return list(self._known.values())

    def _of(self, number: int) -> NetworkDefinition | None:
        try:
            said = json.loads((self._folder / str(number)).read_bytes())
            subnet = Subnet.parse(str(said["subnet"]), str(said["gateway"]))
            subnet6 = Subnet6.parse(str(said["subnet6"])) if said.get("subnet6") else None
            return NetworkDefinition(
                number=number, subnet=subnet, is_internal=said["is_internal"] is True, subnet6=subnet6
            )
        except (OSError, ValueError, TypeError, KeyError, NetworkError, RequestRefused):
            return None
