"""Published ports: values (pure), and the small files that say which container publishes what.

The kernel keeps an alias of 255 bytes with an interface; a range of ports does not fit. So each container that publishes
has a file in the run folder, which ends with the boot as interfaces do. It is written before the rules that follow from
it and removed after them, so rules can always be made anew from these files (F44).
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from engine.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

EVERYWHERE = "0.0.0.0"
EVERYWHERE6 = "::"
PROTOCOLS = ("tcp", "udp")
PORT_MAXIMUM = 65535


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Published:
    """One port of the host that leads to one port of a container. `address` is the host's; 0.0.0.0: all of them, `::`:
    all of its IPv6 ones.

    Raises:
        RequestRefused: no such address, port or protocol.
    """

    protocol: str
    address: str
    port: int
    container_port: int

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            msg = f"Only tcp and udp ports can be published, not '{self.protocol[:20]}'."
            raise RequestRefused(msg)
        try:
            ipaddress.ip_address(self.address)
        except ValueError as error:
            msg = f"'{self.address[:80]}' is not an IP address."
            raise RequestRefused(msg) from error
        if not (0 < self.port <= PORT_MAXIMUM and 0 < self.container_port <= PORT_MAXIMUM):
            msg = f"Ports are numbers from 1 to {PORT_MAXIMUM}."
            raise RequestRefused(msg)

    def overlaps(self, other: Published) -> bool:
        """Whether the host cannot give out both."""
        same = (self.protocol, self.port, self.is_relayed) == (other.protocol, other.port, other.is_relayed)
        return same and (
            self.address == other.address or bool({EVERYWHERE, EVERYWHERE6} & {self.address, other.address})
        )

    @property
    def reaches_loopback(self) -> bool:
        """From the host's 127.0.0.0/8, by the firewall."""
        return self.address == EVERYWHERE or (not self.is_relayed and ipaddress.ip_address(self.address).is_loopback)

    @property
    def is_relayed(self) -> bool:
        """Of an IPv6 address: a program of ours passes calls on (`engine.network.relays`), no rule of the firewall."""
        return ":" in self.address

    @property
    def spelled(self) -> str:
        """As Docker writes it: `0.0.0.0:80`, `[::1]:80`."""
        return f"[{self.address}]:{self.port}" if self.is_relayed else f"{self.address}:{self.port}"


class PublishedFiles:
    """`<folder>/<container id>`: a JSON list. Root's alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, container_id: str, published: Iterable[Published]) -> None:
        """Keep what a container publishes; nothing for one that publishes nothing."""
        listed = [asdict(one) for one in published]
        if not listed:
            self.forget(container_id)
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = self._folder / f".{container_id}"
        partial.write_text(json.dumps(listed), "ascii")
        partial.replace(self._folder / container_id)

    def forget(self, container_id: str) -> None:
        (self._folder / container_id).unlink(missing_ok=True)

    def of(self, container_id: str) -> tuple[Published, ...]:
        """() for none, and for a file that a power cut has left broken."""
        try:
            listed = json.loads((self._folder / container_id).read_bytes())
            return tuple(Published(**one) for one in listed)
        except (OSError, ValueError, TypeError, RequestRefused):
            return ()

    def all(self) -> dict[str, tuple[Published, ...]]:
        if not self._folder.is_dir():
            return {}
        names = [path.name for path in self._folder.iterdir() if not path.name.startswith(".")]
        return {name: self.of(name) for name in names}
