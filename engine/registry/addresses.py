"""Which addresses a registry may have: never one that lets a stranger's name reach into our own network (REG-05, NET-06).

The address that is connected to is the one that was checked, so a name that resolves differently the second time
(DNS rebinding) gains nothing.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from engine.errors import RegistryError

_NAT64 = IPv6Network("64:ff9b::/96")
_METADATA_V6 = IPv6Address("fd00:ec2::254")
Address = IPv4Address | IPv6Address


def effective(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one that is only another way to write it (mapped, 6to4, NAT64)."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def is_allowed(address: Address, *, is_trusted: bool) -> bool:
    """Whether a registry may be at `address`. `is_trusted`: an administrator listed this registry.

    Link-local (metadata services), multicast and unspecified addresses are never allowed.
    """
    real = effective(address)
    never = real.is_link_local or real.is_multicast or real.is_unspecified or real == _METADATA_V6
    if never or real == IPv4Address("255.255.255.255"):
        return False
    return is_trusted or real.is_global


def resolve(host: str, port: int, *, is_trusted: bool) -> list[str]:
    """The addresses of `host`, all of them allowed.

    Raises:
        OSError: the name does not resolve.
        RegistryError: one of the addresses is not allowed.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError(f"'{host[:200]}' is not a host name") from error  # noqa: EM102
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for text in addresses:
        if not is_allowed(ip_address(text.partition("%")[0]), is_trusted=is_trusted):
            msg = (
                f"'{host[:200]}' is at {text}, inside this network, where images are not fetched from. If that is right, an "
                "administrator lists the registry in BERTH_MIRRORS (name=https://…) or BERTH_PLAIN_HTTP."
            )
            raise RegistryError(msg, subject=host[:200])
    return addresses
