"""Which networks a container is in: rows for a new one, the engine's places from rows, coming and going."""

from __future__ import annotations

from typing import Any, Final

from django.db import transaction

from dashboard import gateway
from dashboard.containers import runrules, states
from dashboard.containers.enginerequest import has_host_network
from dashboard.containers.models import Container, ContainerState, Endpoint
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Permission, Requester, require
from dashboard.grammar import ContainerOptions
from dashboard.grammar.errors import ValueRefused
from dashboard.grammar.netvalues import NetworkChoice
from dashboard.grammar.options import networks_of
from dashboard.jobs import services as jobs
from dashboard.jobs.models import Job
from dashboard.networks import addresses
from dashboard.networks import services as networks
from dashboard.networks.models import Network
from dashboard.networks.predefined import BRIDGE, HOST

CONNECT, DISCONNECT = "connect_network", "disconnect_network"
MOST = 50
MOST_ALIASES = 50


def wanted(options: ContainerOptions) -> list[NetworkChoice]:
    """Where the options want it to be.

    Raises:
        DashboardError: an item that cannot be read (400).
    """
    try:
        return networks_of(options)
    except ValueRefused as error:
        raise DashboardError(str(error)) from error


def refuse_impossible(options: ContainerOptions, user: Requester) -> None:
    """What no network could make right.

    Raises:
        DashboardError: 400; 403 for the host's network and another container's.
    """
    chosen = wanted(options)
    if any(one.name == HOST for one in chosen):
        _refuse_beside_host(chosen, options)
        return
    for one in chosen:
        if one.name.startswith("container:"):
            msg = "Containers of Berth do not share a network namespace (--network container:…). Put both into one network."
            raise DashboardError(msg, status=403)
        _refuse_own_words(networks.find(one.name, user), one.aliases, one.ip)
    names = [networks.find(one.name, user).name for one in chosen]
    if len(set(names)) < len(names) or len(names) > MOST:
        msg = f"A container is in at most {MOST} networks, and in each once."
        raise DashboardError(msg)
    _refuse_mixed([networks.find(name, user) for name in names], options)


def _refuse_own_words(network: Network, aliases: tuple[str, ...], ip: str) -> None:
    if network.is_predefined and ip:
        msg = "user specified IP address is supported on user defined networks only"
        raise DashboardError(msg)
    if network.is_predefined and aliases:
        msg = "network-scoped alias is supported only for containers in user defined networks"
        raise DashboardError(msg)
    if len(aliases) > MOST_ALIASES:
        msg = f"A container has at most {MOST_ALIASES} aliases in a network."
        raise DashboardError(msg)


def _refuse_mixed(found: list[Network], options: ContainerOptions) -> None:
    if len(found) > 1 and any(network.is_none for network in found):
        raise _private()
    publishes = bool(options.publish or options.publish_all)
    if publishes and found[0].is_none:
        msg = "conflicting options: port publishing and the container type network mode"
        raise DashboardError(msg)
    if publishes and found[0].is_internal:
        msg = (
            f"The network {found[0].name} is internal: nobody outside would reach a port that is published there. Name"
            " another network first, or do without -p."
        )
        raise DashboardError(msg)


def _refuse_beside_host(chosen: list[NetworkChoice], options: ContainerOptions) -> None:
    """Whether the host's own network may be had, the policies say."""
    if len(chosen) > 1 or chosen[0].aliases or chosen[0].ip:
        msg = "cannot attach both user-defined and non-user-defined network-modes"
        raise DashboardError(msg)
    if options.publish or options.publish_all:
        msg = "In the host's own network a container's ports are the host's: do without -p."
        raise DashboardError(msg)


def _private() -> DashboardError:
    msg = "container cannot be connected to multiple networks with one of the networks in private (none) mode"
    return DashboardError(msg, status=403)


def claim(user: Requester, container: Container, options: ContainerOptions) -> None:
    """Rows for all networks of a new container. In its transaction."""
    if has_host_network(options):
        return
    for position, one in enumerate(wanted(options)):
        insert(user, container, one, position)


def insert(user: Requester, container: Container, choice: NetworkChoice, position: int) -> Endpoint:
    """In the caller's transaction.

    Raises:
        DashboardError: no such network, no such address or none left.
    """
    network = networks.claim(user, choice.name, team_id=container.team_id)
    aliases = list(dict.fromkeys(choice.aliases))
    address = None if network.is_none else _address(network, choice.ip)
    return Endpoint.objects.create(
        container=container, network=network, position=position, address=address, aliases=aliases, ip=choice.ip
    )


def _address(network: Network, ip: str) -> str:
    rows = Endpoint.objects.filter(network=network).values_list("address", flat=True)
    used = {address for address in rows if address}
    return addresses.asked_address(network, ip, used) if ip else addresses.free_address(network, used)


def endpoints_of(container: Container) -> list[Endpoint]:
    """In order: ports of the host lead to the first."""
    return list(container.endpoints.select_related("network").order_by("position", "pk"))


def names_of(container: Container, endpoint: Endpoint) -> tuple[str, ...]:
    """By which others in that network find it, as in Docker."""
    hostname = str(container.options.get("hostname") or "") if container.options else ""
    return tuple(dict.fromkeys(filter(None, (container.name, *endpoint.aliases, container.short_id, hostname))))


def place_of(container: Container, endpoint: Endpoint) -> gateway.Endpoint:
    return gateway.Endpoint(
        network=addresses.definition_of(endpoint.network),
        address=str(endpoint.address),
        names=() if endpoint.network.is_predefined else names_of(container, endpoint),
        servers=tuple(container.options.get("dns") or ()),
    )


def places_of(container: Container) -> tuple[gateway.Endpoint, ...]:
    """For the engine's start."""
    return tuple(place_of(container, one) for one in endpoints_of(container) if one.address)


def connect(user: Requester, container: Container, choice: NetworkChoice) -> Job | None:
    """Put a container into one more network; None when it does not run, and so is in it from its next start on.

    Raises:
        DashboardError: it is there already, or cannot be there (400, 403, 409).
    """
    require(user, Permission.CONTAINER_OPERATE, container)
    network = networks.find(choice.name, user)
    _refuse_own_words(network, choice.aliases, choice.ip)
    runrules.refuse_network(container, network.name)
    if has_host_network(ContainerOptions.from_json(container.options)):
        msg = "cannot connect a container in the host's own network to another one"
        raise DashboardError(msg, status=403)
    with transaction.atomic():
        found = _locked(container)
        there = endpoints_of(found)
        if any(one.network_id == network.pk for one in there):
            msg = f"endpoint with name {found.name} already exists in network {network.name}"
            raise DashboardError(msg, status=403)
        if there and (network.is_none or any(one.network.is_none for one in there)):
            raise _private()
        if len(there) >= MOST:
            msg = f"A container is in at most {MOST} networks, and in each once."
            raise DashboardError(msg)
        _refuse_hidden_ports(found, network, there)
        made = insert(user, found, choice, max((one.position for one in there), default=-1) + 1)
        networks.tell(network, "connect", team_id=found.team_id, container=found.container_id)
        states.announce(found)
        networks.announce(network)
        return _submit(CONNECT, found, made, user) if found.state in states.RUNS and made.address else None


def _refuse_hidden_ports(container: Container, network: Network, there: list[Endpoint]) -> None:
    if not there:
        _refuse_mixed([network], ContainerOptions.from_json(container.options))


def disconnect(user: Requester, container: Container, network: Network) -> Job | None:
    """Take a container out of a network; None when it does not run.

    Raises:
        DashboardError: it is not there (409), or its published ports would lead into an internal network.
    """
    require(user, Permission.CONTAINER_OPERATE, container)
    require(user, Permission.NETWORK_USE, network)
    with transaction.atomic():
        found = _locked(container)
        endpoint = found.endpoints.filter(network=network).first()
        if endpoint is None:
            msg = f"container {found.container_id} is not connected to network {network.name}"
            raise DashboardError(msg, status=409)
        left = [one.network for one in endpoints_of(found) if one.pk != endpoint.pk]
        if left:
            _refuse_mixed(left, ContainerOptions.from_json(found.options))
        if found.state in states.RUNS and endpoint.address:
            return _submit(DISCONNECT, found, endpoint, user)
        leave(found, endpoint)
    return None


def _locked(container: Container) -> Container:
    """The row as it is now, which nobody starts or stops meanwhile.

    Raises:
        DashboardError: it is gone (404), or between two states (409).
    """
    found = Container.objects.select_for_update().filter(pk=container.pk).first()
    if found is None:
        msg = f"No such container: {container.name}"
        raise DashboardError(msg, status=404)
    if found.state not in {*states.RUNS, *states.DOWN} or found.state == ContainerState.DEAD:
        msg = f"container {found.name} is {found.state}: try again in a moment"
        raise DashboardError(msg, status=409)
    return found


def _submit(kind: str, container: Container, endpoint: Endpoint, user: Requester) -> Job:
    params = {"container_id": container.container_id, "network": endpoint.network.network_id}
    key = f"{kind}:{container.container_id}:{endpoint.network.network_id}"
    return jobs.submit(kind, params, requester=user, key=key, queue="engine", team_id=container.team_id)


def leave(container: Container, endpoint: Endpoint) -> None:
    """The row goes, and who watches is told."""
    network = endpoint.network
    with transaction.atomic():
        networks.tell(network, "disconnect", team_id=container.team_id, container=container.container_id)
        endpoint.delete()
    states.announce(container)
    networks.announce(network)


def network_names(container: Container) -> tuple[str, ...]:
    """As `ps` prints them."""
    if has_host_network(ContainerOptions.from_json(container.options)):
        return (HOST,)
    return tuple(sorted(endpoint.network.name for endpoint in container.endpoints.all()))


_NOWHERE: Final[dict[str, Any]] = {
    "IPAMConfig": None,
    "Links": None,
    "Aliases": None,
    "MacAddress": "",
    "DriverOpts": None,
    "NetworkID": "",
    "EndpointID": "",
    "Gateway": "",
    "IPAddress": "",
    "IPPrefixLen": 0,
    "IPv6Gateway": "",
    "GlobalIPv6Address": "",
    "GlobalIPv6PrefixLen": 0,
    "DNSNames": None,
}


def _shape(container: Container, endpoint: Endpoint) -> dict[str, Any]:
    network, is_up = endpoint.network, container.state in states.RUNS
    address = str(endpoint.address) if is_up and endpoint.address else ""
    subnet = addresses.subnet_of(network) if address else None
    address6 = endpoint.address6 if address else ""
    return _NOWHERE | {
        "IPAMConfig": {"IPv4Address": endpoint.ip} if endpoint.ip else None,
        "Aliases": list(endpoint.aliases) or None,
        "MacAddress": endpoint.mac_address if address else "",
        "NetworkID": network.network_id,
        "EndpointID": endpoint.endpoint_id if is_up else "",
        "Gateway": subnet.gateway if subnet and not network.is_internal else "",
        "IPAddress": address,
        "IPPrefixLen": subnet.prefix_length if subnet else 0,
        "IPv6Gateway": addresses.definition_of(network).gateway6 if address6 and not network.is_internal else "",
        "GlobalIPv6Address": address6,
        "GlobalIPv6PrefixLen": gateway.PREFIX_LENGTH6 if address6 else 0,
        "DNSNames": None if network.is_predefined else list(names_of(container, endpoint)),
    }


def shapes(container: Container) -> dict[str, Any]:
    """`NetworkSettings` of `inspect`, without the ports. As in Docker, what stands on top is of the default network."""
    found = {endpoint.network.name: _shape(container, endpoint) for endpoint in endpoints_of(container)}
    if has_host_network(ContainerOptions.from_json(container.options)):
        found[HOST] = dict(_NOWHERE)  # the host's own addresses are nobody's to tell
    default = found.get(BRIDGE, _NOWHERE)
    on_top = (
        *("Gateway", "IPAddress", "IPPrefixLen", "MacAddress", "EndpointID"),
        *("IPv6Gateway", "GlobalIPv6Address", "GlobalIPv6PrefixLen"),
    )
    return {"Bridge": "", **{key: default[key] for key in on_top}, "Networks": found}


def mode(options: ContainerOptions) -> str:
    """`HostConfig.NetworkMode`: what was asked for."""
    return networks_of(options)[0].name if options.networks else "default"
