"""What networks do for pages, the command door and containers."""

from __future__ import annotations

import ipaddress
import re
import secrets
from collections.abc import Callable, Collection, Iterable
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Count, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from dashboard import gateway
from dashboard.core.errors import DashboardError
from dashboard.core.events import publish
from dashboard.core.filters import anything, refuse_unknown
from dashboard.core.gate import Permission, Requester, require
from dashboard.grammar.netvalues import is_network_name
from dashboard.grammar.networks import NetworkLine
from dashboard.grammar.requests import Filters, NetworkCreate
from dashboard.grammar.units import rfc3339
from dashboard.history.models import EventType
from dashboard.history.services import record
from dashboard.jobs import services as jobs
from dashboard.jobs.models import Job
from dashboard.networks.addresses import (
    address6_of,
    choose_subnet,
    definition_of,
    overlapping,
    subnet6_for,
    subnet_of,
    taken_subnets,
)
from dashboard.networks.models import Network, NetworkState
from dashboard.networks.predefined import HOST, PREDEFINED
from dashboard.teams import scope

REMOVE = "remove_network"
MOST_LABELS = 100
MOST = 4096
ATTEMPTS = 20
RUNNING = ("running", "paused", "stopping")  # states of containers, whose app is above this one
_PREFIX = re.compile(r"[0-9a-f]{1,64}\Z")


class NoSuchNetwork(DashboardError):
    def __init__(self, name: str) -> None:
        super().__init__(f"network {name} not found", status=404)


class NetworkInUse(DashboardError):
    def __init__(self, network: Network, users: Iterable[str]) -> None:
        msg = f"error while removing network: network {network.name} has active endpoints ({', '.join(users)})"
        super().__init__(msg, status=409)


def key_of(network: Network) -> str:
    return f"{REMOVE}:{network.network_id}"


def networks_for(user: Requester) -> QuerySet[Network]:
    """The current team's networks and everybody's, with the number of the person's teams' containers in each."""
    require(user, Permission.NETWORK_VIEW)
    rows = scope.here(user, Network.objects.select_related("owner"), shared=True)
    mine = scope.team_ids(user)
    counted = Count("endpoints", filter=None if mine is None else Q(endpoints__container__team_id__in=mine))
    return rows.annotate(users=counted).order_by("name")


def find(text: str, user: Requester) -> Network:
    """A whole id, a name, or the beginning of one id, in this order: ids of all the person's teams, a name of the
    current one.

    Raises:
        NoSuchNetwork: 404.
        DashboardError: `host` (403), or the beginning of several ids (409).
    """
    rows = scope.seen(user, Network.objects.all(), shared=True)
    named = scope.here(user, Network.objects.filter(name=text), shared=True)
    found = rows.filter(network_id=text).first() or named.order_by("pk").first()
    if found is not None:
        return found
    if text == HOST:
        raise _no_host()
    begun = list(rows.filter(network_id__startswith=text)[:2]) if _PREFIX.match(text) else []
    if len(begun) > 1:
        msg = f"network {text} is ambiguous (several ids begin with it)"
        raise DashboardError(msg, status=409)
    if not begun:
        raise NoSuchNetwork(text)
    return begun[0]


def _no_host() -> DashboardError:
    msg = (
        "This host does not let containers into its own network (--network host): they would reach every service of it."
        " Publish ports instead (-p)."
    )
    return DashboardError(msg, status=403)


def create(user: Requester, request: NetworkCreate) -> Network:
    """Make a network. Its bridge comes with its first container.

    Raises:
        DashboardError: a name, driver, subnet or option that cannot be (400, 404); the name or addresses are taken (409).
        Denied: `user` may not.
    """
    require(user, Permission.NETWORK_CREATE)
    team_id = scope.owning(user)
    _refuse_impossible(request, team_id)
    for _attempt in range(ATTEMPTS):
        chosen = _subnet(request) if request.subnet else choose_subnet()
        try:
            with transaction.atomic():
                made = _insert(user, request, chosen, team_id)
        except IntegrityError:  # somebody took the name, the number or the subnet between our look and our insert
            if _is_taken(request.name, team_id):
                break
            continue
        announce(made)
        return made
    msg = f"network with name {request.name} already exists"
    raise DashboardError(msg, status=409)


def _is_taken(name: str, team_id: int) -> bool:
    return Network.objects.filter(Q(team_id=team_id) | Q(team=None), name=name).exists()


def _insert(user: Requester, request: NetworkCreate, subnet: gateway.Subnet, team_id: int) -> Network:
    used = set(Network.objects.exclude(number=None).values_list("number", flat=True))
    if len(used) > MOST:
        msg = f"There are at most {MOST} networks. Remove one that you no longer need."
        raise DashboardError(msg, status=503)
    number = next(number for number in range(1, MOST + 2) if number not in used)
    made = Network.objects.create(
        network_id=new_id(),
        team_id=team_id,
        name=request.name,
        number=number,
        subnet=str(subnet),
        subnet6=subnet6_for(number, request.subnet6) if request.ipv6 else "",
        gateway=subnet.gateway,
        ip_range=request.ip_range,
        is_internal=request.internal,
        labels=dict(request.labels),
        owner_id=getattr(user, "pk", None),
    )
    tell(made, "create")
    return made


def tell(network: Network, action: str, *, team_id: int | None = None, **attributes: str) -> None:
    """Write it down as an event, in the transaction that makes it so. `team_id`: of the container that it is about."""
    about = {"name": network.name, "type": network.driver, **attributes}
    record(EventType.NETWORK, action, network.network_id, team_id=team_id or network.team_id, **about)


def new_id() -> str:
    """64 hex digits; the short form is never a number, as of containers."""
    while True:
        made = secrets.token_hex(32)
        if not made[:12].isdecimal():
            return made


def _refuse_impossible(request: NetworkCreate, team_id: int) -> None:
    if request.name == HOST or not is_network_name(request.name):
        known = request.name == HOST
        msg = (
            f"operation is not permitted on predefined {HOST} network"
            if known
            else f"invalid network name: {request.name}: only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        )
        raise DashboardError(msg, status=403 if known else 400)
    if _is_taken(request.name, team_id):
        msg = f"network with name {request.name} already exists"
        raise DashboardError(msg, status=409)
    if request.driver not in {"", "bridge"}:
        msg = f'error looking up network plugin {request.driver}: plugin "{request.driver}" not found'
        raise DashboardError(msg, status=404)
    if request.options:
        msg = f"The network option '{request.options[0][:80]}' is not known; bridges of Berth have none."
        raise DashboardError(msg)
    if len(request.labels) > MOST_LABELS:
        msg = f"A network has at most {MOST_LABELS} labels."
        raise DashboardError(msg)
    if request.subnet6 and not request.ipv6:
        msg = f"The subnet {request.subnet6} is one of IPv6 addresses: say --ipv6, too."
        raise DashboardError(msg)
    if request.ipv6:
        try:
            gateway.refuse_no_ipv6()
        except gateway.EngineError as error:
            raise DashboardError(str(error)) from error
    if (request.gateway or request.ip_range) and not request.subnet:
        msg = "every ip-range or gateway must have a corresponding subnet"
        raise DashboardError(msg)


def _subnet(request: NetworkCreate) -> gateway.Subnet:
    try:
        found = gateway.Subnet.parse(request.subnet, request.gateway)
        gateway.refuse_subnet(found.network)
    except gateway.EngineError as error:
        raise DashboardError(str(error)) from error
    within = ipaddress.IPv4Network(request.ip_range) if request.ip_range else found.network
    if not within.subnet_of(found.network):
        msg = f"no matching subnet for range {request.ip_range}"
        raise DashboardError(msg)
    if overlapping(found.network, taken_subnets()):
        msg = "Pool overlaps with other one on this address space"
        raise DashboardError(msg, status=409)
    if overlapping(found.network, gateway.routed_networks()):
        msg = f"This host has a route that overlaps {found}. Choose another subnet."
        raise DashboardError(msg, status=409)
    return found


def announce(network: Network) -> None:
    said = {"t": "network", "id": network.network_id, "name": network.name, "state": network.state}
    publish("networks", said | {"team": network.team_id})


def claim(user: Requester, name: str, *, team_id: int | None) -> Network:
    """The network for a container of a team that is to be in it. Call it inside a transaction: until that ends, nobody removes it.

    Raises:
        DashboardError: no such network (404), or it is being removed (409).
        Denied: `user` may not use it.
    """
    found = _locked(find(name, user))
    require(user, Permission.NETWORK_USE, found)
    if found.team_id not in {None, team_id}:
        msg = _("The network %(name)s is another team's. A container is in networks of its own team only.")
        msg %= {"name": found.name}
        raise DashboardError(msg, status=403)
    if found.state == NetworkState.REMOVING:
        msg = f"The network {found.name} is being removed just now. Try again in a moment."
        raise DashboardError(msg, status=409)
    return found


def _locked(network: Network) -> Network:
    found = Network.objects.select_for_update().filter(pk=network.pk).first()
    if found is None:
        raise NoSuchNetwork(network.name)
    return found


def users_of(network: Network) -> list[str]:
    """Names of the containers that are in it, whether they run or not."""
    return list(network.endpoints.order_by("container__name").values_list("container__name", flat=True))


def remove(network: Network, user: Requester) -> Job:
    """Remove it.

    Raises:
        NetworkInUse: containers are in it; they are named (409).
        DashboardError: it is predefined (403).
    """
    require(user, Permission.NETWORK_REMOVE, network)
    if network.is_predefined:
        msg = f"{network.name} is a pre-defined network and cannot be removed"
        raise DashboardError(msg, status=403)
    with transaction.atomic():
        found = _locked(network)
        if users := users_of(found):
            raise NetworkInUse(found, users)
        return submit_removal(found, user)


def mark(network: Network, state: NetworkState) -> None:
    Network.objects.filter(pk=network.pk).update(state=state, updated_at=timezone.now())
    network.state = state
    announce(network)


def submit_removal(network: Network, user: Requester) -> Job:
    """REMOVING and its job, together. The caller has made sure that nobody is in it."""
    mark(network, NetworkState.REMOVING)
    params = {"network": network.network_id, "name": network.name}
    return jobs.submit(REMOVE, params, requester=user, key=key_of(network), queue="engine", team_id=network.team_id)


def prunable(user: Requester, filters: Filters = ()) -> list[Network]:
    """Networks of people's own without a container.

    Raises:
        DashboardError: a filter that `prune` does not know.
    """
    require(user, Permission.NETWORK_REMOVE)
    rows = networks_for(user).filter(endpoints=None, state=NetworkState.READY).exclude(name__in=PREDEFINED)
    return _chosen(rows, filters, known={"label": anything, "label!": anything})


def _has_label(network: Network, wanted: str) -> bool:
    key, equals, value = wanted.partition("=")
    return key in network.labels and (not equals or network.labels[key] == value)


def _is_boolean(value: str) -> bool:
    return value in {"true", "false", "1", "0"}


def _is_unused(network: Network, values: list[str]) -> bool:
    unused = not network.is_predefined and getattr(network, "users", 0) == 0
    return bool({"true", "1"} & set(values)) is unused


_FILTERS: dict[str, Callable[[Network, list[str]], bool]] = {
    "id": lambda network, values: any(value in network.network_id for value in values),
    "name": lambda network, values: any(value in network.name for value in values),
    "driver": lambda network, values: network.driver in values,
    "scope": lambda _network, values: "local" in values,
    "type": lambda network, values: ("builtin" if network.is_predefined else "custom") in values,
    "label": lambda network, values: all(_has_label(network, value) for value in values),
    "label!": lambda network, values: not any(_has_label(network, value) for value in values),
    "dangling": _is_unused,
}
_KNOWN: dict[str, Callable[[str], bool]] = {
    **dict.fromkeys(("id", "name", "driver", "label"), anything),
    "scope": lambda value: value in {"local", "global", "swarm"},
    "type": lambda value: value in {"builtin", "custom"},
    "dangling": _is_boolean,
}


def _chosen(rows: Iterable[Network], filters: Filters, known: dict[str, Callable[[str], bool]]) -> list[Network]:
    refuse_unknown(filters, known)
    wanted: dict[str, list[str]] = {}
    for name, value in filters:
        wanted.setdefault(name, []).append(value)
    return [row for row in rows if all(_FILTERS[name](row, values) for name, values in wanted.items())]


def network_lines(rows: Iterable[Network], filters: Filters = ()) -> list[NetworkLine]:
    """The lines of `network ls`, as its filters choose.

    Raises:
        DashboardError: a filter that it does not know.
    """
    return [
        NetworkLine(
            network_id=row.network_id,
            name=row.name,
            driver=row.driver,
            created_at=row.created_at,
            is_internal=row.is_internal,
            has_ipv6=bool(row.subnet6),
            labels=row.labels,
        )
        for row in _chosen(rows, filters, _KNOWN)
    ]


def inspect(network: Network, user: Requester) -> dict[str, Any]:
    """One element of what `network inspect` prints. Of containers, those that `user` may see."""
    return {
        "Name": network.name,
        "Id": network.network_id,
        "Created": rfc3339(network.created_at),
        "Scope": "local",
        "Driver": network.driver,
        "EnableIPv6": bool(network.subnet6),
        "IPAM": {"Driver": "default", "Options": None, "Config": _ipam(network)},
        "Internal": network.is_internal,
        "Attachable": False,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": {one["id"]: one["shape"] for one in _members(network, user)},
        "Options": {},
        "Labels": network.labels,
    }


def _ipam(network: Network) -> list[dict[str, str]]:
    if network.is_none:
        return []
    subnet = subnet_of(network)
    said = [{"Subnet": str(subnet), "IPRange": network.ip_range, "Gateway": subnet.gateway}]
    if network.subnet6:
        said.append({"Subnet": network.subnet6, "Gateway": definition_of(network).gateway6})
    return [{key: value for key, value in one.items() if value} for one in said]


def _members(network: Network, user: Requester) -> Collection[dict[str, Any]]:
    """Only those that run, as in Docker."""
    rows = network.endpoints.select_related("container").filter(container__state__in=RUNNING)
    if (mine := scope.team_ids(user)) is not None:
        rows = rows.filter(container__team_id__in=mine)
    prefix = "" if network.is_none else f"/{subnet_of(network).prefix_length}"
    return [
        {
            "id": row.container.container_id,
            "shape": {
                "Name": row.container.name,
                "EndpointID": row.endpoint_id,
                "MacAddress": row.mac_address,
                "IPv4Address": f"{row.address}{prefix}" if row.address else "",
                "IPv6Address": f"{address6}/{gateway.PREFIX_LENGTH6}"
                if (address6 := address6_of(network, row.address))
                else "",
            },
        }
        for row in rows
    ]
