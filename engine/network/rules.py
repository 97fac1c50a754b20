"""The firewall's rules as they are in the kernel: loaded whole, changed a little as containers come and go, looked at."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeAlias

from engine.errors import EngineError
from engine.network import firewall, ruleset
from engine.network.definition import bridge_prefix
from engine.network.ports import port_prefix
from engine.network.ruleset import Forward, Home

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.config import EngineConfig
    from engine.network.definition import NetworkDefinition
    from engine.network.ports import Attached
    from engine.network.published import Published
    from engine.network.ruleset import Port

AllPublished: TypeAlias = "Mapping[str, tuple[Published, ...]]"  # by container id
logger = logging.getLogger(__name__)


class Rules:
    """Not safe for several threads: the network's lock is held by whoever calls."""

    def __init__(self, config: EngineConfig) -> None:
        self._tag = config.tag
        self._table = config.table
        self._loaded: str | None = None

    def load(
        self, networks: Sequence[NetworkDefinition], attached: Sequence[Attached], published: AllPublished
    ) -> None:
        """All of them, in place of what is there.

        Raises:
            NetworkError: with nft's words; the rules are as they were.
        """
        script = ruleset.ruleset(
            table=self._table,
            bridges=bridge_prefix(self._tag),
            prefix=port_prefix(self._tag),
            homes=[_home(network, self._tag) for network in networks],
            ports=[port.port for port in attached],
            forwards=forwards(published, firsts(attached)),
        )
        firewall.load(script)
        listed = firewall.listing(self._table)
        self._loaded = None if listed is None else ruleset.read_listing(listed).rules

    def are_intact(self, attached: Sequence[Attached], published: AllPublished) -> bool:
        """Nothing is led anywhere that no container asked for; one that is being detached still has its file."""
        listed = firewall.listing(self._table)
        if listed is None or self._loaded is None:
            return False
        seen = ruleset.read_listing(listed)
        return (
            seen.rules == self._loaded
            and {port.port for port in attached} <= seen.ports
            and forwards(published, firsts(attached)) <= seen.forwards
            and {one.published for one in seen.forwards} <= {one for ports in published.values() for one in ports}
        )

    def led(self) -> set[Published]:
        """Ports of the host that lead to a container now."""
        listed = firewall.listing(self._table)
        return set() if listed is None else {one.published for one in ruleset.read_listing(listed).forwards}

    def add(self, ports: Iterable[Port], led: Iterable[Forward] = ()) -> None:
        """Let ports speak, and lead published ones of the host to a container."""
        firewall.load("".join(ruleset.add(self._table, port) for port in ports) + ruleset.lead(self._table, led))

    def silence(self, port: Port) -> None:
        """Idempotent, as `mislead` is."""
        self._unload(ruleset.delete_port(self._table, port))

    def mislead(self, led: Iterable[Forward]) -> None:
        """Lead these nowhere."""
        if script := ruleset.delete_forwards(self._table, led):
            self._unload(script)

    def _unload(self, script: str) -> None:
        try:
            firewall.load(script)
        except EngineError as error:  # somebody flushed them; the reconciler brings the rules back without this
            logger.info("the firewall had nothing of this: %s: %s", script.splitlines()[0], error)

    def remove(self) -> None:
        firewall.load(ruleset.delete_tables(self._table))
        self._loaded = None


def _home(network: NetworkDefinition, tag: str) -> Home:
    return Home(
        bridge=network.bridge(tag),
        subnet=str(network.subnet),
        gateway=network.subnet.gateway,
        is_internal=network.is_internal,
        has_names=network.has_names,
        subnet6="" if network.subnet6 is None else str(network.subnet6),
        gateway6=network.gateway6,
    )


def firsts(attached: Iterable[Attached]) -> dict[str, str]:
    """Each container's address in its first network."""
    found: dict[str, str] = {}
    for port in attached:
        found.setdefault(port.container_id, port.address)
    return found


def forwards(published: AllPublished, addresses: Mapping[str, str]) -> set[Forward]:
    """Those that are rules: IPv6 addresses of the host have relays (`engine.network.relays`)."""
    there = published.keys() & addresses
    return {Forward(one, addresses[name]) for name in there for one in published[name] if not one.is_relayed}
