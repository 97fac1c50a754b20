"""The door of this package."""

from __future__ import annotations

import contextlib
import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import EngineError, NetworkError, WrongState
from engine.kernel import namespaces
from engine.network import conntrack, firewall, ipv6, links, ports, relays
from engine.network.addresses6 import refuse_missing
from engine.network.definition import Endpoint, NetworkDefinition, bridge_prefix
from engine.network.foreign import refuse_foreign
from engine.network.links import Joint
from engine.network.names import NOWHERE, Names
from engine.network.reservations import Reservations
from engine.network.routes import overlapping, overlapping6
from engine.network.rules import Rules, firsts
from engine.network.ruleset import Forward, Port
from engine.network.view import NetworkView

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.config import EngineConfig
    from engine.network.ports import Attached
    from engine.network.published import Published

logger = logging.getLogger(__name__)


class Network(NetworkView):
    """All networks of one engine. Needs root. Safe to use from several threads.

    Networks and addresses are given out by the database, which should not hand out one again right away. What was
    defined of a network is kept from its first container on until `forget_network`.
    """

    def __init__(self, config: EngineConfig) -> None:
        super().__init__(config)
        self._lock = threading.Lock()
        self._rules = Rules(config)
        self._reservations = Reservations()
        self._relays = relays.Relays(config)
        self._names = Names(config, self._network_of, self.networks_of)

    def ensure(self) -> None:
        """Bridges, firewall, routing rules, names and forwarding as they must be; what is attached stays attached.

        Idempotent, and the repair of whatever `is_intact` found. The rules come first: nothing is forwarded before
        they hold.

        Raises:
            NetworkError: with what the kernel or nft said.
        """
        with self._lock:
            before = {*self._forget_detached(), *self._rules.led()}
            self._load_rules()
            for network in self.networks():
                self._ensure_bridge(network)
            links.ensure_ports(self._config.tag, self._bridge_of, reflecting=self._published.all().keys())
            links.remove_strays(self._config.tag, bridge_prefix(self._config.tag), self._gateways())
            links.enable_forwarding()
            firewall.let_through(bridge_prefix(self._config.tag))
            self._hold_ports()
            self._relays.ensure(self._relayed())
            self._names.reload()  # a bridge that was made anew has another socket
            conntrack.forget_flows({*before, *(one for ports in self._published.all().values() for one in ports)})

    def _ensure_bridge(self, network: NetworkDefinition) -> None:
        bridge = network.bridge(self._config.tag)
        links.ensure_mark_rule(bridge)
        links.ensure_bridge(bridge, network, loopback=bridge in self._bridges_to_loopback())
        if network.subnet6 is not None:
            ipv6.enable_forwarding()
            self._write_down_neighbours(network)
        self._names.begin(network)

    def _write_down_neighbours(self, network: NetworkDefinition) -> None:
        there = [port.port for port in links.attached(self._config.tag) if self._is_in(port, network.number)]
        links.write_down_neighbours(network.bridge(self._config.tag), there)

    def _forget_detached(self) -> list[Published]:
        """What died between two steps publishes nothing and has no name. What it published until now."""
        found = links.attached(self._config.tag)
        gone: list[Published] = []
        for container_id in self._published.all().keys() - {port.container_id for port in found}:
            gone += self._published.of(container_id)
            self._published.forget(container_id)
            self._reservations.release(container_id)
        self._names.prune((port.container_id, port.address) for port in found)
        return gone

    def _hold_ports(self) -> None:
        """After a restart of this process: hold again what running containers publish."""
        for container_id, published in self._published.all().items():
            if not self._reservations.is_holding(container_id):
                try:
                    self._reservations.take(container_id, published, patience_s=0)
                except NetworkError as error:
                    logger.warning("container %s still gets the calls, but: %s", container_id[:12], error)

    def is_intact(self) -> bool:
        """Whether everything that `ensure` makes is still there, unchanged. About 15 ms; changes nothing."""
        with self._lock:
            published = self._published.all()
            side = links.host_side(self._config.tag, bridge_prefix(self._config.tag))
            return (
                self._is_host_side_intact(side)
                and self._rules.are_intact(side.attached, published)
                and firewall.is_let_through(bridge_prefix(self._config.tag))
                and self._names.is_intact()
                and self._relays.is_intact(relays.wanted(published, firsts(side.attached)))
            )

    def _is_host_side_intact(self, side: links.HostSide) -> bool:
        to_loopback, wanted = self._bridges_to_loopback(), self._gateways()
        return (
            links.is_forwarding()
            and (ipv6.is_forwarding() or not any(one.subnet6 for one in self.networks()))
            and not side.strays(wanted, ports.port_prefix(self._config.tag))
            and all(side.has_bridge(name, at, loopback=name in to_loopback) for name, at in wanted.items())
            and all(side.is_on(port, self._bridge_of(port.address)) for port in side.attached)
        )

    def attach(
        self,
        container_id: str,
        where: str | Sequence[Endpoint],
        *,
        namespace: int | None = None,
        published: Sequence[Published] = (),
    ) -> Path:
        """Give a container its network namespace, an interface in each network, and say where it is bound.

        `where`: its places in networks, or its address in the default one. `eth0` is in the first network; ports of the
        host lead there. Without networks there is the loopback only.
        Idempotent: an earlier attachment of this container is replaced. On error nothing is left. `namespace`: an empty
        one that belongs to the container's user namespace; without it one of the host's root is made.

        Raises:
            PortTaken: somebody else has one of the ports.
            HostUnfit: a network with names, and no name server on this host.
            NetworkError: a network is in the way of a route of this host, an address is in use, or the kernel refused.
        """
        endpoints = self.places(where)
        netns = self._netns(container_id)
        netns.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._reservations.take(container_id, published)
            self._relays.refuse_taken(published)
            if namespace is None:
                namespaces.create_netns(netns)
            else:
                namespaces.bind_netns(namespace, netns)
            with self._lock:
                self._connect_all(container_id, netns, endpoints, published)
            links.configure_inside(netns, [self._inside(number, one) for number, one in enumerate(endpoints)])
        except Exception as error:  # whatever it is, nothing is left
            self._give_back(container_id)
            if not isinstance(error, OSError):
                raise
            msg = f"The container's network namespace could not be made: {error.strerror}."
            raise NetworkError(msg, subject=container_id) from error
        return netns

    def _give_back(self, container_id: str) -> None:
        """As `detach`. What fails is logged: why the container got no network is what people need to know."""
        try:
            self.detach(container_id)
        except (EngineError, OSError):
            logger.exception("the network of container %s could not be taken away", container_id[:12])

    def _connect_all(
        self, container_id: str, netns: Path, endpoints: Sequence[Endpoint], published: Sequence[Published]
    ) -> None:
        """The interfaces, the files, then the rules."""
        for port in self._of(container_id):
            links.disconnect(port.name)
            self._silence(port)
            self._mislead(container_id, port.address)
        leads_out = any(not one.network.is_internal for one in endpoints)
        made = [
            self._join(container_id, netns, endpoint, number, reflects=bool(published), leads_out=leads_out)
            for number, endpoint in enumerate(endpoints)
        ]
        self._published.save(container_id, published if made else ())
        if made:
            self._rules.add(made, _led(published, made[0].address))
        if any(endpoint.network.has_names for endpoint in endpoints):
            self._names.lead_out(container_id, endpoints[0].servers, leads_out=leads_out)  # it is in all of them now
            self._names.reload()
        if published and made:
            self._lead(published)

    def _lead(self, published: Sequence[Published]) -> None:
        """What rules alone do not: the way from the host's loopback, relays, and flows that went elsewhere."""
        self._route_loopback()
        self._relays.ensure(self._relayed())
        conntrack.forget_flows(published)

    def _join(
        self, container_id: str, netns: Path, endpoint: Endpoint, number: int, *, reflects: bool, leads_out: bool
    ) -> Port:
        """One interface, which may not speak yet. The network is made if this is its first container."""
        self._refuse_second_use(container_id, endpoint.address)
        self._begin(endpoint.network)
        tag, address, inside = self._config.tag, endpoint.address, self._inside(number, endpoint).name
        port = Port.of(ports.port_name(tag, endpoint.network, address), address, endpoint.address6)
        alias = ports.alias(tag, container_id, address, inside, endpoint.address6)
        bridge = endpoint.network.bridge(tag)
        links.connect(Joint(bridge=bridge, port=port, inside=inside, alias=alias, reflects=reflects), netns)
        self._names.add(container_id, endpoint, leads_out=leads_out)
        return port

    def _begin(self, network: NetworkDefinition) -> None:
        if network in self.networks():
            return
        self._names.refuse_missing()
        stale = next((one for one in self.networks() if one.number == network.number), None)
        if stale is not None and not any(self._is_in(port, stale.number) for port in links.attached(self._config.tag)):
            self._remove_bridge(stale.number)  # of a database that is not today's
        refuse_foreign(network.subnet.network)
        if network.subnet6 is not None:
            refuse_missing()
        self._refuse_overlap(network)
        self._definitions.save(network)
        self._load_rules()
        self._ensure_bridge(network)

    def _refuse_overlap(self, network: NetworkDefinition) -> None:
        overlaps, prefix = network.subnet.network.overlaps, bridge_prefix(self._config.tag)
        ours = [one for one in self.networks() if overlaps(one.subnet.network) or one.number == network.number]
        others = overlapping(network.subnet.network, but=prefix)
        _refuse_taken(str(network.subnet), [str(one.subnet) for one in ours], others)
        if network.subnet6 is not None:
            ours = [one for one in self.networks() if one.subnet6 == network.subnet6]
            others = overlapping6(network.subnet6.network, but=prefix)
            _refuse_taken(str(network.subnet6), [str(one.subnet6) for one in ours], others)

    def _refuse_second_use(self, container_id: str, address: str) -> None:
        for other in links.attached(self._config.tag):
            if other.address == address and other.container_id != container_id:
                msg = f"The address {address} is in use by container {other.container_id[:12]}."
                raise NetworkError(msg, subject=container_id)

    def connect(self, container_id: str, endpoint: Endpoint, published: Sequence[Published] = ()) -> None:
        """Put a running container into one more network: the next free `eth…`. Idempotent.

        `published`: if it was in none, these ports of the host lead there.

        Raises:
            NetworkError, PortTaken, HostUnfit: as of `attach`; nothing is changed.
        """
        if not self._of(container_id):
            self._reservations.take(container_id, published)
            self._relays.refuse_taken(published)
            self._published.save(container_id, published)
        with self._lock:
            found = self._of(container_id)
            if any(port.address == endpoint.address for port in found):
                return
            self._traffic.forget()
            try:
                self._connect_one_more(container_id, endpoint, found)
            except EngineError:
                self._take_out(container_id, endpoint.network.number)
                raise
            finally:
                self._names.reload()

    def _connect_one_more(self, container_id: str, endpoint: Endpoint, found: Sequence[Attached]) -> None:
        netns, published = self._netns(container_id), self._published.of(container_id)
        number = max((port.number for port in found), default=-1) + 1
        inside = [*map(self._inside_of, found), self._inside(number, endpoint)]
        leads_out = any(one.leads_out for one in inside)
        port = self._join(container_id, netns, endpoint, number, reflects=bool(published), leads_out=leads_out)
        self._names.lead_out(container_id, endpoint.servers, leads_out=leads_out)
        self._rules.add([port], () if found else _led(published, port.address))
        links.reconfigure_inside(netns, inside, new=inside[-1:])
        if published and not found:
            self._lead(published)

    def disconnect(self, container_id: str, number: int) -> None:
        """Take a running container out of a network. Its published ports then lead to its next one. Idempotent.

        Raises:
            NetworkError: the kernel refused.
        """
        with self._lock:
            servers = self._names.servers_of(container_id)
            self._take_out(container_id, number)
            left = [self._inside_of(port) for port in self._of(container_id)]
            self._names.lead_out(container_id, servers, leads_out=any(one.leads_out for one in left))
            self._names.reload()
            if self._netns(container_id).exists():
                links.reconfigure_inside(self._netns(container_id), left)

    def _take_out(self, container_id: str, number: int) -> None:
        self._traffic.forget()
        for port in self._of(container_id):
            if self._is_in(port, number):
                links.disconnect(port.name)
                self._silence(port)
        self._names.remove(container_id, number=number)
        if not self._of(container_id):
            self._published.forget(container_id)
            self._reservations.release(container_id)
        self._load_rules()
        self._route_loopback()
        self._relays.ensure(self._relayed())

    def _silence(self, port: Attached) -> None:
        """It has gone, and what the host knows of it goes, too."""
        self._rules.silence(port.port)
        network = self._network_of(port.address) if port.address6 else None
        if network is not None:
            self._write_down_neighbours(network)

    def detach(self, container_id: str) -> None:
        """Remove a container's interfaces, its leave to speak, its ports, its names and its namespace. Idempotent.

        Goes on past what fails.

        Raises:
            EngineError, OSError: something could not be taken away; all the rest was tried.
        """

        def forget(port: Attached) -> None:
            with self._lock:
                self._silence(port)
                self._mislead(container_id, port.address)

        with contextlib.ExitStack() as stack:  # from the last to the first, whatever becomes of the others
            stack.callback(namespaces.delete_netns, self._netns(container_id))
            stack.callback(self._reservations.release, container_id)
            stack.callback(self._published.forget, container_id)
            stack.callback(self._forget_names, container_id)
            for attached in self._of(container_id):
                stack.callback(forget, attached)
                stack.callback(links.disconnect, attached.name)  # some 40 ms in the kernel, so not under the lock

    def _forget_names(self, container_id: str) -> None:
        with self._lock:
            if self._names.remove(container_id):
                self._names.reload()

    def _mislead(self, container_id: str, address: str) -> None:
        published = self._published.of(container_id)
        self._rules.mislead(_led(published, address))
        self._published.forget(container_id)
        if published:
            self._lead(published)

    def _route_loopback(self) -> None:
        to_loopback = self._bridges_to_loopback()
        for network in self.networks():
            bridge = network.bridge(self._config.tag)
            links.route_loopback(bridge, loopback=bridge in to_loopback)

    def detach_leftover(self, short_id: str) -> None:
        """Remove the namespace of a container of which only 12 digits are known. Idempotent."""
        namespaces.delete_netns(self._netns(short_id))

    def forget_network(self, number: int) -> None:
        """Remove a network's bridge and all that is kept of it. Idempotent.

        Raises:
            WrongState: a container is still in it.
            NetworkError: the kernel refused.
        """
        with self._lock:
            users = [port.container_id for port in links.attached(self._config.tag) if self._is_in(port, number)]
            if users:
                msg = f"The network is in use by containers: {', '.join(name[:12] for name in users)}."
                raise WrongState(msg, subject=str(number))
            self._remove_bridge(number)

    def _remove_bridge(self, number: int) -> None:
        self._definitions.forget(number)
        self._names.forget(number)
        self._names.reload()
        self._load_rules()
        links.remove_bridge(f"{bridge_prefix(self._config.tag)}{number:04x}")

    def set_names(self, container_id: str, endpoint: Endpoint) -> bool:
        """Have others in that network find a running container by these names; whether that was new."""
        with self._lock:
            before = next(
                (one for one in self._names.of(endpoint.network.number) if one.container_id == container_id), None
            )
            if before is None or before.names == endpoint.names:
                return False
            self._names.add(container_id, endpoint, leads_out=before.server != NOWHERE)
            self._names.reload()
            return True

    def remove(self) -> None:
        """Take everything away, attached containers' interfaces included. Idempotent."""
        for container_id in self.attached():
            self.detach(container_id)
        for short_id in self.namespaces():
            self.detach_leftover(short_id)
        prefix = bridge_prefix(self._config.tag)
        with self._lock:
            firewall.take_back(prefix)
            self._names.remove_all()
            self._relays.remove()
            for network in self.networks():
                links.remove_bridge(network.bridge(self._config.tag))
                self._definitions.forget(network.number)
            self._rules.remove()
            self._forget_detached()

    def _load_rules(self) -> None:
        self._rules.load(self.networks(), links.attached(self._config.tag), self._published.all())


def _led(published: Iterable[Published], address: str) -> list[Forward]:
    return [Forward(one, address) for one in published if not one.is_relayed]


def _refuse_taken(subnet: str, ours: Sequence[str], routes: Sequence[tuple[str, str]]) -> None:
    """`ours`: networks that overlap it; `routes`: (network, interface) of this host that do."""
    if ours:
        msg = (
            f"The network {subnet} overlaps another network ({ours[0]}). Remove it, and create it with another subnet."
        )
        raise NetworkError(msg)
    if routes:
        msg = f"The network {subnet} overlaps a route of this host ({routes[0][1]}). Remove it, and create it with another subnet."
        raise NetworkError(msg)
