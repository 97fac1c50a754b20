"""What `run` and `create` say about networks, and values of flags about them."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from dashboard.grammar.errors import ValueRefused
from dashboard.grammar.flags import Flag

_ALIAS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkChoice:
    """One `--network`: a name, or `name=NET,alias=A,ip=ADDRESS`."""

    name: str
    aliases: tuple[str, ...] = ()
    ip: str = ""


def is_network_name(text: str) -> bool:
    return _NAME.match(text) is not None


def read_subnet(text: str) -> str:
    """A network in CIDR. Whether it is one that containers can have is the engine's to say."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        msg = f"invalid CIDR block {text}: a network such as 10.200.7.0/24 is needed"
        raise ValueRefused(msg) from error


def read_range(text: str) -> str:
    """A part of an IPv4 network in CIDR."""
    found = read_subnet(text)
    if ":" in found:
        msg = f"invalid CIDR block {text}: IPv6 addresses follow from the IPv4 ones"
        raise ValueRefused(msg)
    return found


def read_address(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError as error:
        msg = f"invalid IPv4 address: {text}"
        raise ValueRefused(msg) from error


def read_alias(text: str) -> str:
    if not _ALIAS.match(text):
        msg = "an alias is made of letters, digits, '_', '.' and '-'"
        raise ValueRefused(msg)
    return text


def network_choice(text: str) -> NetworkChoice:
    """Take one `--network` apart.

    Raises:
        ValueRefused: a field that it does not know, or no name.
    """
    if "=" not in text:
        return NetworkChoice(name=text)
    said: dict[str, list[str]] = {}
    for item in text.split(","):
        key, equals, value = item.partition("=")
        if key not in {"name", "alias", "ip"} or not equals:
            msg = f"invalid field {key}: name, alias and ip are known"
            raise ValueRefused(msg)
        said.setdefault(key, []).append(value)
    if len(said.get("name", ())) != 1 or len(said.get("ip", ())) > 1:
        msg = "one network is named, with at most one address"
        raise ValueRefused(msg)
    ip = read_address(said["ip"][0]) if "ip" in said else ""
    return NetworkChoice(name=said["name"][0], aliases=tuple(map(read_alias, said.get("alias", ()))), ip=ip)


def read_network(text: str) -> str:
    """As typed, once it can be read."""
    if not network_choice(text).name:
        msg = "network name cannot be empty"
        raise ValueRefused(msg)
    return text


def choices(networks: tuple[str, ...], aliases: tuple[str, ...], ip: str) -> list[NetworkChoice]:
    """Where a container is to be; `--network-alias` and `--ip` are of the first. Without a word: the default network.

    Raises:
        ValueRefused: an item that cannot be read.
    """
    first, *others = [network_choice(text) for text in networks] or [NetworkChoice(name="bridge")]
    own = NetworkChoice(name=first.name, aliases=(*first.aliases, *aliases), ip=ip or first.ip)
    return [
        NetworkChoice(name="bridge" if one.name == "default" else one.name, aliases=one.aliases, ip=one.ip)
        for one in (own, *others)
    ]


NETWORK_FLAGS = (
    Flag(name="ip", read=read_address, help="IPv4 address (e.g., 172.30.100.104)"),
    Flag(name="network", read=read_network, kind="network", repeats=True, help="Connect a container to a network"),
    Flag(name="network-alias", read=read_alias, kind="list", repeats=True, help="Add network-scoped alias"),
    Flag(name="net", read=read_network, repeats=True, is_hidden=True),
    Flag(name="net-alias", read=read_alias, repeats=True, is_hidden=True),
)
