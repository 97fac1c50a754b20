"""A network's IPv6 addresses. They follow from the IPv4 ones, so nobody gives them out (ADR 16). Needs no rights."""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.errors import NetworkError

PREFIX_LENGTH6: Final = 64
CONF: Final = Path("/proc/sys/net/ipv6/conf")
PRIVATE6: Final = ipaddress.IPv6Network("fc00::/7")  # RFC 4193: nobody's in the world
_CLOUD: Final = ipaddress.IPv6Network("fd00:ec2::/32")  # where a cloud keeps its own services


@dataclass(frozen=True, slots=True)
class Subnet6:
    """64 bits of addresses: the last ones are those of the IPv4 network, counted from its first."""

    network: ipaddress.IPv6Network

    @classmethod
    def parse(cls, text: str) -> Subnet6:
        """Read a network in CIDR.

        Raises:
            NetworkError: it is none, no /64, or not of the addresses that are nobody's in the world.
        """
        try:
            network = ipaddress.IPv6Network(text)
        except ValueError as error:
            msg = f"'{text[:80]}' is not an IPv6 network such as fd12:3456:789a:1::/64."
            raise NetworkError(msg) from error
        if network.prefixlen != PREFIX_LENGTH6:
            msg = f"The IPv6 network {network} must be a /{PREFIX_LENGTH6}."
            raise NetworkError(msg)
        if not network.subnet_of(PRIVATE6) or network.subnet_of(_CLOUD):
            msg = (
                f"The addresses of {network} may be somebody else's. Choose one of your own of {PRIVATE6}, as"
                " fd12:3456:789a:1::/64."
            )
            raise NetworkError(msg)
        return cls(network)

    @classmethod
    def of(cls, tag: str, number: int) -> Subnet6:
        """The one that network gets of itself: 40 bits of the engine's, then its number. Source: RFC 4193, 3.2."""
        own = hashlib.sha256(f"berth {tag}".encode()).digest()[:5]
        return cls(ipaddress.IPv6Network((b"\xfd" + own + number.to_bytes(2, "big") + bytes(8), PREFIX_LENGTH6)))

    def __str__(self) -> str:
        return str(self.network)

    def at(self, offset: int) -> str:
        """The address that belongs to one of the IPv4 network, by its number there."""
        return str(self.network[offset])


def is_there() -> bool:
    """Whether this host's kernel speaks IPv6 at all."""
    try:
        return (CONF / "all" / "disable_ipv6").read_text("ascii").strip() == "0"
    except OSError:
        return False


def refuse_missing() -> None:
    """Before a network with IPv6 is used.

    Raises:
        NetworkError: this host has none.
    """
    if not is_there():
        msg = "This host has no IPv6 (or it is switched off), so networks cannot have it either. Create the network without --ipv6."
        raise NetworkError(msg)
