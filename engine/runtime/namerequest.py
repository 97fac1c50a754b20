"""What somebody wants a container to know by name: hosts, name servers, its own domain."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any, Self

from engine.errors import RequestRefused

HOST_GATEWAY = "host-gateway"
_WORD = re.compile(r"[!-~]{1,253}\Z")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?\Z")
_DOMAIN_LIMIT = 64  # of the kernel's: __NEW_UTS_LEN
_MOST = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRequest:
    """`hosts`: (name, address) each; the address `host-gateway` is the network's gateway. Empty: what the host has.

    `search` (".",) is none at all. All of it is written into files that the container reads line by line (RUN-15).

    Raises:
        RequestRefused: a name or an address that could not stand in such a file.
    """

    hosts: tuple[tuple[str, str], ...] = ()
    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    domain: str = ""

    def __post_init__(self) -> None:
        texts = (*self.search, *self.options, *((self.domain,) if self.domain else ()))
        names = [name for name, _address in self.hosts]
        addresses = [address for _name, address in self.hosts if address != HOST_GATEWAY]
        fits = all(_WORD.match(text) for text in texts) and all(_NAME.match(name) for name in names)
        if not fits or not all(map(_is_address, (*addresses, *self.servers))):
            msg = "Host names, domains and name servers must be plain words and addresses."
            raise RequestRefused(msg)
        if len(self.domain) > _DOMAIN_LIMIT:
            msg = f"A domain name has at most {_DOMAIN_LIMIT} characters."
            raise RequestRefused(msg)
        if max(map(len, (self.hosts, self.servers, self.search, self.options))) > _MOST:
            msg = f"A container is told at most {_MOST} names and name servers of a kind."
            raise RequestRefused(msg)

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Self:  # Any: JSON, checked by the constructor
        """From what `dataclasses.asdict` made of one."""
        read: dict[str, Any] = {key: tuple(map(str, fields.pop(key))) for key in ("servers", "search", "options")}
        hosts = tuple((str(name), str(address)) for name, address in fields.pop("hosts"))
        return cls(hosts=hosts, **read, **fields)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
