"""Arithmetic of one IPv4 network (pure)."""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.errors import NetworkError

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Subnet:
    """The addresses of one network; without another word its first one is the gateway's."""

    network: ipaddress.IPv4Network
    gateway: str

    @classmethod
    def parse(cls, text: str, gateway: str = "") -> Subnet:
        """Read a network in CIDR.

        Raises:
            NetworkError: it is none, too small or too big, or the gateway is not an address of it.
        """
        try:
            network = ipaddress.IPv4Network(text)
        except ValueError as error:
            msg = f"'{text}' is not an IPv4 network such as 10.123.0.0/20."
            raise NetworkError(msg) from error
        if not 8 <= network.prefixlen <= 29:
            msg = f"The network {network} is too small or too big; its prefix must be /8 to /29."
            raise NetworkError(msg)
        made = cls(network, str(network[1]))
        return replace(made, gateway=made.check(gateway, is_gateway=True)) if gateway else made

    def __str__(self) -> str:
        return str(self.network)

    @property
    def prefix_length(self) -> int:
        return self.network.prefixlen

    def contains(self, address: str) -> bool:
        return ipaddress.IPv4Address(address) in self.network

    def offset(self, address: str) -> int:
        """Its number within the network."""
        return int(ipaddress.IPv4Address(address)) - int(self.network[0])

    def usable(self) -> Iterator[str]:
        """Addresses that containers may have, in order."""
        numbers = range(1, self.network.num_addresses - 1)
        return (address for address in (str(self.network[number]) for number in numbers) if address != self.gateway)

    def check(self, address: str, *, is_gateway: bool = False) -> str:
        """The address, if a container may have it.

        Raises:
            NetworkError: it is none, outside, the gateway's, or the network's own or broadcast address.
        """
        try:
            parsed = ipaddress.IPv4Address(address)
        except ValueError as error:
            msg = f"'{address}' is not an IPv4 address."
            raise NetworkError(msg) from error
        taken = (self.network[0], self.network[-1], *(() if is_gateway else (ipaddress.IPv4Address(self.gateway),)))
        if parsed not in self.network or parsed in taken:
            whose = "the gateway's" if is_gateway else "a container's"
            msg = f"The address {parsed} cannot be {whose} in the network {self.network}."
            raise NetworkError(msg)
        return str(parsed)


def container_mac(address: str) -> str:
    """The hardware address that goes with an IP address, as Docker derives it: neighbours' tables stay right when an
    address gets another container.
    """
    return "02:42:" + ":".join(f"{byte:02x}" for byte in ipaddress.IPv4Address(address).packed)


def bridge_mac(name: str) -> str:
    """A fixed one: left alone, a bridge takes its ports' and changes it as they come and go."""
    return "02:" + ":".join(f"{byte:02x}" for byte in hashlib.sha256(name.encode()).digest()[:5])


_DIGITS = "ghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"  # none of the hexadecimal ones


def address_code(address: str) -> str:
    """Six letters that stand for one IPv4 address, for names of interfaces: 46 of them are enough for 32 bits."""
    number, code = int(ipaddress.IPv4Address(address)), ""
    for _ in range(6):
        number, digit = divmod(number, len(_DIGITS))
        code = _DIGITS[digit] + code
    return code
