"""The commands of the group `network`, and what `network ls` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from dashboard.grammar import requests
from dashboard.grammar.commands import FILTER, FORMAT, INSPECT_FORMAT, NO_TRUNC, Command
from dashboard.grammar.errors import UsageError
from dashboard.grammar.flags import Flag, Values, string, switch
from dashboard.grammar.hostflags import REFUSED_VALUES
from dashboard.grammar.netvalues import read_address, read_alias, read_range, read_subnet
from dashboard.grammar.tables import Row, render_table
from dashboard.grammar.units import listed_time
from dashboard.grammar.values import read_label

HEADERS = {
    "ID": "NETWORK ID",
    "Name": "NAME",
    "Driver": "DRIVER",
    "Scope": "SCOPE",
    "IPv6": "IPV6",
    "Internal": "INTERNAL",
    "Labels": "LABELS",
    "CreatedAt": "CREATED AT",
}
SHORT = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkLine:
    network_id: str
    name: str
    driver: str
    created_at: datetime
    is_internal: bool = False
    has_ipv6: bool = False
    labels: dict[str, str] = field(default_factory=dict)


def network_row(line: NetworkLine, *, no_trunc: bool) -> Row:
    return {
        "ID": line.network_id if no_trunc else line.network_id[:SHORT],
        "Name": line.name,
        "Driver": line.driver,
        "Scope": "local",
        "IPv6": str(line.has_ipv6).lower(),
        "Internal": str(line.is_internal).lower(),
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(line.labels.items())),
        "CreatedAt": listed_time(line.created_at),
    }


def render_networks(request: requests.NetworkList, lines: Sequence[NetworkLine]) -> str:
    """The text of `network ls`, without a last newline; "" when `-q` finds nothing."""
    rows = [network_row(line, no_trunc=request.no_trunc) for line in lines]
    if request.quiet and not request.format:
        return "\n".join(str(row["ID"]) for row in rows)
    return render_table(rows, headers=HEADERS, columns=["ID", "Name", "Driver", "Scope"], format_text=request.format)


def _build_create(values: Values, words: tuple[str, ...]) -> requests.NetworkCreate:
    subnets = values.get("subnet", ())
    four, six = ([one for one in subnets if (":" in one) is is_six] for is_six in (False, True))
    if len(four) > 1 or len(six) > 1:
        msg = "A network has one subnet of IPv4 addresses and at most one of IPv6 addresses."
        raise UsageError(msg)
    return requests.NetworkCreate(
        name=words[0],
        driver=values.get("driver", "bridge"),
        subnet="".join(four),
        ipv6=values.get("ipv6", False),
        subnet6="".join(six),
        gateway=values.get("gateway", ""),
        ip_range=values.get("ip_range", ""),
        internal=values.get("internal", False),
        labels=tuple(dict(values.get("label", ())).items()),
        options=values.get("opt", ()),
    )


def _build_connect(values: Values, words: tuple[str, ...]) -> requests.NetworkConnect:
    aliases = values.get("alias", ())
    return requests.NetworkConnect(network=words[0], container=words[1], aliases=aliases, ip=values.get("ip", ""))


_ONE_HOST = "Berth is one host, and has no swarm"
_CREATE = (
    string("driver", "d", 'Driver to manage the Network (default "bridge")'),
    Flag(name="gateway", read=read_address, kind="ip", help="IPv4 Gateway for the subnet"),
    switch("internal", text="Restrict external access to the network"),
    Flag(name="ip-range", read=read_range, help="Allocate container ip from a sub-range"),
    Flag(name="label", read=read_label, kind="list", repeats=True, help="Set metadata on a network"),
    Flag(name="opt", short="o", read=str, kind="map", repeats=True, help="Set driver specific options"),
    switch("ipv6", text="Give containers IPv6 addresses, too"),
    Flag(
        name="subnet",
        read=read_subnet,
        kind="strings",
        repeats=True,
        help="Subnet in CIDR format that represents a network segment",
    ),
    *(Flag(name=name, refused=_ONE_HOST) for name in ("attachable", "config-only", "ingress")),
    *(Flag(name=name, read=str, refused=_ONE_HOST) for name in ("config-from", "scope")),
    Flag(name="aux-address", read=str, refused="leave addresses out with --ip-range"),
    *(Flag(name=name, read=str, refused="addresses are given out by Berth") for name in ("ipam-driver", "ipam-opt")),
)
_CONNECT = (
    Flag(
        name="alias", read=read_alias, kind="strings", repeats=True, help="Add network-scoped alias for the container"
    ),
    Flag(name="ip", read=read_address, kind="ip", help='IPv4 address (e.g., "172.30.100.104")'),
    Flag(name="driver-opt", read=str, refused="there is one driver, and it has no options"),
    Flag(name="gw-priority", read=str, refused="the way out is through the network that was connected first"),
    *(Flag(name=name, read=str, refused=REFUSED_VALUES[name]) for name in ("ip6", "link", "link-local-ip")),
)

COMMANDS: tuple[Command, ...] = (
    Command(
        name="connect",
        usage="[OPTIONS] NETWORK CONTAINER",
        about="Connect a container to a network",
        build=_build_connect,
        flags=_CONNECT,
        least=2,
        most=2,
    ),
    Command(
        name="create",
        usage="[OPTIONS] NETWORK",
        about="Create a network",
        build=_build_create,
        flags=_CREATE,
        least=1,
        most=1,
    ),
    Command(
        name="disconnect",
        usage="[OPTIONS] NETWORK CONTAINER",
        about="Disconnect a container from a network",
        build=lambda v, w: requests.NetworkDisconnect(network=w[0], container=w[1], force=v.get("force", False)),
        flags=(switch("force", "f", "Force the container to disconnect from a network"),),
        least=2,
        most=2,
    ),
    Command(
        name="inspect",
        usage="[OPTIONS] NETWORK [NETWORK...]",
        about="Display detailed information on one or more networks",
        build=lambda v, w: requests.Inspect(names=w, format=v.get("format", ""), type="network"),
        flags=(INSPECT_FORMAT, Flag(name="verbose", short="v", refused=_ONE_HOST)),
        least=1,
    ),
    Command(
        name="ls",
        usage="[OPTIONS]",
        about="List networks",
        build=lambda v, _w: requests.NetworkList(
            quiet=v.get("quiet", False),
            no_trunc=v.get("no_trunc", False),
            format=v.get("format", ""),
            filters=v.get("filter", ()),
        ),
        flags=(FILTER, FORMAT, NO_TRUNC, switch("quiet", "q", "Only display network IDs")),
        most=0,
    ),
    Command(
        name="prune",
        usage="[OPTIONS]",
        about="Remove all unused networks",
        build=lambda v, _w: requests.NetworkPrune(force=v.get("force", False), filters=v.get("filter", ())),
        flags=(
            replace(FILTER, short=""),  # -f is --force here
            switch("force", "f", "Do not prompt for confirmation"),
        ),
        most=0,
    ),
    Command(
        name="rm",
        usage="[OPTIONS] NETWORK [NETWORK...]",
        about="Remove one or more networks",
        build=lambda v, w: requests.NetworkRemove(names=w, force=v.get("force", False)),
        flags=(switch("force", "f", "Do not error if the network does not exist"),),
        least=1,
    ),
)
BY_VERB = {command.name: command for command in COMMANDS}
BY_VERB |= {"list": BY_VERB["ls"], "remove": BY_VERB["rm"]}
