"""Values of the flags of `run` and `create` alone: each function reads one spelling or raises `ValueRefused`.

Source: Docker CLI reference, "docker run", and docker/cli opts (behaviour and error texts, not code).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from decimal import Decimal

from dashboard.grammar.errors import ValueRefused
from dashboard.grammar.values import is_hostname, read_label

HOST_GATEWAY = "host-gateway"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DOMAIN = re.compile(r"[a-zA-Z0-9_](?:[a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?(?:\.[a-zA-Z0-9_-]{1,63})*\.?\Z", re.ASCII)
_RESOLVER_OPTION = re.compile(r"[a-z][a-z0-9-]*(?::\d{1,5})?\Z", re.ASCII)
_BLANKS = " \t"
_DOMAIN_LIMIT = 253
_UNITS_MS = {
    "h": Decimal(3_600_000),
    "m": Decimal(60_000),
    "s": Decimal(1000),
    "ms": Decimal(1),
    "us": Decimal("0.001"),
    "µs": Decimal("0.001"),
    "ns": Decimal("0.000001"),
}
_DURATION_PART = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ms|us|µs|ns|h|m|s)", re.ASCII)
_DURATION = re.compile(rf"(?:{_DURATION_PART.pattern})+", re.ASCII)
_MOST_MS = 7 * 24 * 3600 * 1000


def read_pull(text: str) -> str:
    if text not in {"always", "missing", "never"}:
        msg = f'invalid pull option: \'{text}\': must be one of "always", "missing" or "never"'
        raise ValueRefused(msg)
    return text


def read_userns(text: str) -> str:
    if text not in {"", "host"}:
        msg = "invalid USER mode"
        raise ValueRefused(msg)
    return text


def read_duration(text: str) -> int:
    """`1m30s`, `500ms` as Go writes them: milliseconds."""
    if text == "0":
        return 0
    if not _DURATION.fullmatch(text):
        msg = f'time: invalid duration "{text}"'
        raise ValueRefused(msg)
    total = sum(Decimal(number) * _UNITS_MS[unit] for number, unit in _DURATION_PART.findall(text))
    if total > _MOST_MS:
        msg = f'time: invalid duration "{text}"'
        raise ValueRefused(msg)
    return int(total)


def write_duration(milliseconds: int) -> str:
    """The shortest spelling that `read_duration` reads back exactly."""
    for unit in ("h", "m", "s"):
        if milliseconds and milliseconds % _UNITS_MS[unit] == 0:
            return f"{milliseconds // int(_UNITS_MS[unit])}{unit}"
    return f"{milliseconds}ms"


def read_restart(text: str) -> str:
    """`no`, `always`, `unless-stopped`, `on-failure[:most]`; "no" is the same as nothing said."""
    name, colon, most = text.partition(":")
    if name not in {"", "no", "always", "unless-stopped", "on-failure"}:
        msg = (
            f"invalid restart policy: unknown policy '{name}'; use one of 'no', 'always', 'on-failure', or "
            "'unless-stopped'"
        )
        raise ValueRefused(msg)
    if not colon:
        return "" if name == "no" else name
    if name != "on-failure":
        msg = "invalid restart policy: maximum retry count can only be used with 'on-failure'"
        raise ValueRefused(msg)
    if not most.isdecimal() or len(most) > 9:
        msg = "invalid restart policy format: maximum retry count must be an integer"
        raise ValueRefused(msg)
    return text if int(most) else name


def read_label_text(text: str) -> str:
    """`key=value`; `key` alone is `key=`."""
    key, value = read_label(text)
    return f"{key}={value}"


def read_host(text: str) -> str:
    """`name:address` or `name=address` of `--add-host`, as `name:address`."""
    name, sign, address = text.partition("=") if "=" in text.partition(":")[0] else text.partition(":")
    if not sign or not is_hostname(name):
        msg = f'bad format for add-host: "{text}"'
        raise ValueRefused(msg)
    if address == HOST_GATEWAY:
        return f"{name}:{address}"
    try:
        return f"{name}:{ipaddress.ip_address(address.removeprefix('[').removesuffix(']'))}"
    except ValueError as error:
        msg = f'invalid IP address in add-host: "{address}"'
        raise ValueRefused(msg) from error


def read_server(text: str) -> str:
    """A name server of `--dns`."""
    try:
        found = ipaddress.ip_address(text.strip())
    except ValueError as error:
        msg = f"{text} is not an ip address"
        raise ValueRefused(msg) from error
    if found.version != 4:
        msg = "containers have no IPv6 address, so a name server with one cannot be asked"
        raise ValueRefused(msg)
    return str(found)


def read_search(text: str) -> str:
    """A domain of `--dns-search`; "." is none at all."""
    if text == ".":
        return text
    if len(text) > _DOMAIN_LIMIT or not _DOMAIN.match(text):
        msg = f"{text} is not a valid domain"
        raise ValueRefused(msg)
    return text


def read_resolver_option(text: str) -> str:
    """`ndots:2`, `rotate`."""
    if not _RESOLVER_OPTION.match(text):
        msg = f"{text} is not an option of resolv.conf"
        raise ValueRefused(msg)
    return text


def read_group(text: str) -> str:
    if not text or ":" in text or _CONTROL.search(text):
        msg = f"invalid group: '{text}'"
        raise ValueRefused(msg)
    return text


def file_entries(text: str, name: str) -> Iterator[tuple[str, str | None]]:
    """What a file of `--env-file` or `--label-file` says: names, each with its value; None where none is given.

    `#` begins a comment line. `name` of the file stands in the sentences.

    Raises:
        ValueRefused: a line without a name, or a name with a blank in it.
    """
    for raw in text.removeprefix("\ufeff").splitlines():
        line = raw.lstrip(_BLANKS)
        if not line or line.startswith("#"):
            continue
        key, sign, value = line.partition("=")
        key = key.lstrip(_BLANKS)
        if not key:
            msg = f"invalid env file ({name}): no variable name on line '{line}'"
            raise ValueRefused(msg)
        if any(blank in key for blank in _BLANKS):
            msg = f"invalid env file ({name}): variable '{key}' contains whitespaces"
            raise ValueRefused(msg)
        yield key, value if sign else None
