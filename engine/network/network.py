"""The door of this package."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from engine.errors import EngineError, NetworkError
from engine.kernel import namespaces
from engine.network import conntrack, firewall, links, ruleset
from engine.network.addresses import Subnet
from engine.network.ports import counted, port_prefix
from engine.network.published import PublishedFiles
from engine.network.reservations import Reservations
from engine.network.resolvers import resolv_conf
from engine.network.ruleset import Forward, Port

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from engine.config import EngineConfig
    from engine.network.published import Published

AllPublished: TypeAlias = "dict[str, tuple[Published, ...]]"  # by container id
logger = logging.getLogger(__name__)
_IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")


class Network:
    """The default network of one engine. Needs root. Safe to use from several threads.

    Addresses are given out by the database, which should not hand out one again right away.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._subnet = Subnet.parse(config.network)
        self._lock = threading.Lock()
        self._rules: str | None = None
        self._published = PublishedFiles(config.run / "ports")
        self._reservations = Reservations()
        self._counting: frozenset[str] = frozenset()
        self._ports_of: dict[str, list[str]] = {}

    @property
    def gateway(self) -> str:
        return self._subnet.gateway

    @property
    def subnet(self) -> str:
        return str(self._subnet.network)

    @property
    def prefix_length(self) -> int:
        return self._subnet.prefix_length

    def addresses(self) -> Iterator[str]:
        """Every address that a container may have, in order."""
        return self._subnet.usable()

    def resolv_conf(
        self, *, servers: Sequence[str] = (), search: Sequence[str] = (), options: Sequence[str] = ()
    ) -> str:
        return resolv_conf(servers=servers, search=search, options=options)

    def ensure(self) -> None:
        """Bridge, firewall, routing rule and forwarding as they must be; what is attached stays attached.

        Idempotent, and the repair of whatever `is_intact` found. The rules come first: nothing is forwarded before
        they hold.

        Raises:
            NetworkError: with what the kernel or nft said.
        """
        bridge = self._config.bridge
        with self._lock:
            before = {*self._forget_detached(), *self._led_by_rules()}
            self._ensure_rules()
            links.ensure_mark_rule(bridge)
            links.ensure_bridge(bridge, self._subnet, loopback=self._publishes_on_loopback())
            links.ensure_ports(bridge, self._config.tag, reflecting=self._published.all().keys())
            _enable_forwarding()
            chain = firewall.foreign_forward_policy()
            if chain is not None:
                firewall.let_through(bridge, chain)
            self._hold_ports()
            conntrack.forget_flows({*before, *(one for ports in self._published.all().values() for one in ports)})

    def _forget_detached(self) -> list[Published]:
        """What died between two steps publishes nothing. What it published until now."""
        attached = self.attached()
        gone: list[Published] = []
        for container_id in self._published.all().keys() - attached.keys():
            gone += self._published.of(container_id)
            self._published.forget(container_id)
            self._reservations.release(container_id)
        return gone

    def _led_by_rules(self) -> set[Published]:
        listed = firewall.listing(self._config.table)
        return set() if listed is None else {one.published for one in ruleset.read_listing(listed).forwards}

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
            return self._is_host_side_intact(published) and self._are_rules_intact(published) and self._is_let_through()

    def attach(
        self, container_id: str, address: str, *, namespace: int | None = None, published: Sequence[Published] = ()
    ) -> Path:
        """Give a container its network namespace with `eth0`, lead ports of the host to it, and say where it is bound.

        Idempotent: an earlier attachment of this container is replaced. On error nothing is left. `namespace`: an empty
        one that belongs to the container's user namespace; without it one of the host's root is made.

        Raises:
            PortTaken: somebody else has one of the ports.
            NetworkError: the address is not of this network, or the kernel refused.
        """
        address = self._subnet.check(address)
        netns = self._netns(container_id)
        netns.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._reservations.take(container_id, published)
            if namespace is None:
                namespaces.create_netns(netns)
            else:
                namespaces.bind_netns(namespace, netns)
            with self._lock:
                self._connect(container_id, netns, address, published)
            links.configure_inside(netns, address, self._subnet)
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

    def _connect(self, container_id: str, netns: Path, address: str, published: Sequence[Published]) -> None:
        """The interface, the file, then the rules."""
        self._refuse_second_use(container_id, address)
        port = links.connect(
            tag=self._config.tag,
            bridge=self._config.bridge,
            netns=netns,
            address=address,
            offset=self._subnet.offset(address),
            container_id=container_id,
            reflects=bool(published),
        )
        self._published.save(container_id, published)
        firewall.load(ruleset.add(self._config.table, port, [Forward(one, address) for one in published]))
        if published:
            links.route_loopback(self._config.bridge, loopback=self._publishes_on_loopback())
            conntrack.forget_flows(published)

    def _refuse_second_use(self, container_id: str, address: str) -> None:
        for other, _ in links.attached(self._config.tag, self._config.bridge):
            if other.address == address and other.container_id != container_id:
                msg = f"The address {address} is in use by container {other.container_id[:12]}."
                raise NetworkError(msg, subject=container_id)
            if other.container_id == container_id:
                links.disconnect(other.name)
                self._forget(other.container_id, other.port)

    def detach(self, container_id: str) -> None:
        """Remove a container's interface, its leave to speak, its published ports and its namespace. Idempotent.

        Goes on past what fails.

        Raises:
            EngineError, OSError: something could not be taken away; all the rest was tried.
        """

        def forget(port: Port) -> None:
            with self._lock:
                self._forget(container_id, port)

        with contextlib.ExitStack() as stack:  # from the last to the first, whatever becomes of the others
            stack.callback(namespaces.delete_netns, self._netns(container_id))
            stack.callback(self._reservations.release, container_id)
            stack.callback(self._published.forget, container_id)
            for attached, _ in links.attached(self._config.tag, self._config.bridge):
                if attached.container_id == container_id:
                    stack.callback(forget, attached.port)
                    stack.callback(links.disconnect, attached.name)  # some 40 ms in the kernel, so not under the lock

    def _forget(self, container_id: str, port: Port) -> None:
        published = self._published.of(container_id)
        table = self._config.table
        forwards = [Forward(one, port.address) for one in published]
        for script in filter(None, (ruleset.delete_port(table, port), ruleset.delete_forwards(table, forwards))):
            try:
                firewall.load(script)
            except (
                EngineError
            ) as error:  # somebody flushed them; the reconciler brings the rules back without this port
                logger.info("the firewall had no port %s: %s", port.interface, error)
        self._published.forget(container_id)
        if published:
            links.route_loopback(self._config.bridge, loopback=self._publishes_on_loopback())
            conntrack.forget_flows(published)

    def published(self, container_id: str) -> tuple[Published, ...]:
        """The ports of the host that lead to this container now."""
        return self._published.of(container_id)

    def _publishes_on_loopback(self) -> bool:
        return _reach_loopback(self._published.all())

    def attached(self) -> dict[str, str]:
        """Container ids that have an interface of this network, with their addresses."""
        found = links.attached(self._config.tag, self._config.bridge)
        return {port.container_id: port.address for port, _ in found}

    def traffic(self, container_ids: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Bytes that each of these containers has received and sent; without those that have no port.

        One read of the host's side of all ports. Whose they are is asked for again when there are other containers.
        """
        asked, host_side = frozenset(container_ids), counted()
        if asked != self._counting:
            self._counting = asked
            found = [port for port, _ in links.attached(self._config.tag, self._config.bridge)]
            self._ports_of = {one: [port.name for port in found if port.container_id == one] for one in asked}
        # What came in on the host's side, the container has sent.
        sums = {one: [host_side.get(name, (0, 0)) for name in names] for one, names in self._ports_of.items() if names}
        return {one: (sum(out for _, out in both), sum(came for came, _ in both)) for one, both in sums.items()}

    def namespaces(self) -> set[str]:
        """First 12 digits of the ids of the containers that have a network namespace here."""
        folder = self._config.run / "netns"
        return {path.name for path in folder.iterdir()} if folder.is_dir() else set()

    def detach_leftover(self, short_id: str) -> None:
        """Remove the namespace of a container of which only 12 digits are known. Idempotent."""
        namespaces.delete_netns(self._netns(short_id))

    def collisions(self) -> list[tuple[str, str]]:
        """(network, interface) of each route of this host that overlaps this network."""
        others = links.routed_networks(except_interface=self._config.bridge)
        return [(text, name) for text, name in others if self._subnet.network.overlaps(ipaddress.IPv4Network(text))]

    def remove(self) -> None:
        """Take everything away, attached containers' interfaces included. Idempotent."""
        for container_id in self.attached():
            self.detach(container_id)
        for short_id in self.namespaces():
            self.detach_leftover(short_id)
        with self._lock:
            firewall.take_back(self._config.bridge)
            links.remove_bridge(self._config.bridge)
            firewall.load(ruleset.delete_tables(self._config.table))
            self._rules = None
            self._forget_detached()

    def _netns(self, container_id: str) -> Path:
        return self._config.run / "netns" / container_id[:12]

    def _ensure_rules(self) -> None:
        script = ruleset.ruleset(
            table=self._config.table,
            bridge=self._config.bridge,
            prefix=port_prefix(self._config.tag),
            network=self.subnet,
            gateway=self.gateway,
            ports=[port.port for port, _ in links.attached(self._config.tag, self._config.bridge)],
            forwards=_forwards(self._published.all(), self.attached()),
        )
        firewall.load(script)
        listed = firewall.listing(self._config.table)
        self._rules = None if listed is None else ruleset.read_listing(listed).rules

    def _is_host_side_intact(self, published: AllPublished) -> bool:
        bridge = self._config.bridge
        return (
            _IP_FORWARD.read_text("ascii").strip() == "1"
            and links.is_bridge_intact(bridge, self._subnet)
            and links.sysctl_value(bridge, "route_localnet") == str(int(_reach_loopback(published)))
            and links.has_mark_rule(bridge)
        )

    def _are_rules_intact(self, published: AllPublished) -> bool:
        """Nothing is led anywhere that no container asked for; one that is being detached still has its file."""
        listed = firewall.listing(self._config.table)
        if listed is None or self._rules is None:
            return False
        seen = ruleset.read_listing(listed)
        found = links.attached(self._config.tag, self._config.bridge)
        addresses = {port.container_id: port.address for port, _ in found}
        return (
            seen.rules == self._rules
            and {port.port for port, _ in found} <= seen.ports
            and _forwards(published, addresses) <= seen.forwards
            and {one.published for one in seen.forwards} <= {one for ports in published.values() for one in ports}
            and all(on_bridge for _, on_bridge in found)
        )

    def _is_let_through(self) -> bool:
        chain = firewall.foreign_forward_policy()
        return chain is None or firewall.is_let_through(self._config.bridge, chain)


def _reach_loopback(published: AllPublished) -> bool:
    return any(one.reaches_loopback for ports in published.values() for one in ports)


def _forwards(published: AllPublished, addresses: dict[str, str]) -> set[Forward]:
    return {Forward(one, addresses[name]) for name in published.keys() & addresses for one in published[name]}


def _enable_forwarding() -> None:
    if _IP_FORWARD.read_text("ascii").strip() != "1":
        try:
            _IP_FORWARD.write_text("1", "ascii")
        except OSError as error:
            msg = f"Forwarding (net.ipv4.ip_forward) could not be switched on: {error.strerror}."
            raise NetworkError(msg) from error
