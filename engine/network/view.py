"""What networks there are on this engine and who is in them, as the kernel and the run folder say. Changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.network import links, ports, relays
from engine.network.addresses import Subnet
from engine.network.definition import DefinitionFiles, Endpoint, NetworkDefinition, bridge_prefix
from engine.network.links import Inside
from engine.network.published import PublishedFiles
from engine.network.resolvers import resolv_conf
from engine.network.routes import overlapping
from engine.network.rules import firsts
from engine.network.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from engine.config import EngineConfig
    from engine.network.ports import Attached
    from engine.network.published import Published


class NetworkView:
    """The half of `Network` that only looks."""

    resolv_conf = staticmethod(resolv_conf)

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._subnet = Subnet.parse(config.network)
        self._definitions = DefinitionFiles(config.run / "networks")
        self._published = PublishedFiles(config.run / "ports")
        self._traffic = Traffic(config.tag)

    @property
    def default(self) -> NetworkDefinition:
        return NetworkDefinition(number=0, subnet=self._subnet)

    @property
    def gateway(self) -> str:
        return self._subnet.gateway

    @property
    def subnet(self) -> str:
        return str(self._subnet.network)

    def addresses(self) -> Iterator[str]:
        """Every address that a container may have in the default network, in order."""
        return self._subnet.usable()

    def networks(self) -> list[NetworkDefinition]:
        """The default one, and those that have had a container."""
        return [self.default, *self._definitions.all()]

    def _network_of(self, address: str) -> NetworkDefinition | None:
        return next((one for one in self.networks() if one.subnet.contains(address)), None)

    def _bridge_of(self, address: str) -> str | None:
        network = self._network_of(address)
        return None if network is None else network.bridge(self._config.tag)

    def places(self, where: str | Sequence[Endpoint]) -> Sequence[Endpoint]:
        """Those that `attach` makes of `where`.

        Raises:
            NetworkError: the address is not one of the default network.
        """
        return [Endpoint(network=self.default, address=where)] if isinstance(where, str) else where

    def _is_in(self, port: Attached, number: int) -> bool:
        network = self._network_of(port.address)
        return network is not None and network.number == number

    def _inside_of(self, port: Attached) -> Inside:
        network = self._network_of(port.address) or self.default
        return Inside(port.inside, port.address, network, network.bridge(self._config.tag))

    def _inside(self, number: int, endpoint: Endpoint) -> Inside:
        network = endpoint.network
        return Inside(f"eth{number}", endpoint.address, network, network.bridge(self._config.tag))

    def _of(self, container_id: str) -> list[Attached]:
        return [port for port in links.attached(self._config.tag) if port.container_id == container_id]

    def _relayed(self) -> set[relays.Relay]:
        return relays.wanted(self._published.all(), self.attached())

    def published(self, container_id: str) -> tuple[Published, ...]:
        """The ports of the host that lead to this container now."""
        return self._published.of(container_id)

    def _bridges_to_loopback(self) -> set[str | None]:
        """Those of networks where a port of the host's loopback leads to."""
        firsts, published = self.attached(), self._published.all()
        reached = {name for name, found in published.items() if any(one.reaches_loopback for one in found)}
        return {self._bridge_of(firsts[name]) for name in reached & firsts.keys()}

    def attached(self) -> dict[str, str]:
        """Addresses of all attached containers, by container id: of their first networks."""
        return firsts(links.attached(self._config.tag))

    def whereabouts(self) -> dict[str, dict[int, str]]:
        """The address of every attached container in each network that it is in now, by its id and the network's number."""
        return ports.whereabouts(links.attached(self._config.tag), self.networks())

    def networks_of(self, container_id: str) -> dict[int, str]:
        return self.whereabouts().get(container_id, {})

    def traffic(self, container_ids: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Bytes that each of these containers has received and sent; without those that have no port."""
        return self._traffic.of(container_ids)

    def namespaces(self) -> set[str]:
        """First 12 digits of the ids of the containers that have a network namespace here."""
        folder = self._config.run / "netns"
        return {path.name for path in folder.iterdir()} if folder.is_dir() else set()

    def collisions(self) -> list[tuple[str, str]]:
        """(network, interface) of each route of this host that overlaps the default network."""
        return overlapping(self._subnet.network, but=bridge_prefix(self._config.tag))

    def _netns(self, container_id: str) -> Path:
        return self._config.run / "netns" / container_id[:12]

    def _gateways(self) -> dict[str, list[str]]:
        """By the name of the bridge."""
        return {
            network.bridge(self._config.tag): list(filter(None, (network.subnet.gateway, network.gateway6)))
            for network in self.networks()
        }
