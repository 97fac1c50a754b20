"""What the kernel has of our networks, against what running containers need. Reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.kernel import cgroups
from engine.network import firewall, links, ports, relays
from engine.network.addresses import Subnet
from engine.network.definition import DefinitionFiles, NetworkDefinition, bridge_prefix
from engine.network.names import NamedContainer, cgroup_of
from engine.network.published import PublishedFiles
from engine.network.rules import firsts, forwards
from engine.network.ruleset import read_listing
from engine.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from engine.config import EngineConfig
    from engine.network.ports import Attached

GONE = "belongs to no running container"


def look(config: EngineConfig, living: AbstractSet[str]) -> Iterator[Violation]:
    """Interfaces, bridges, routing rules, firewall, published ports and names; `living`: who may have any of it."""
    found = ports.all_links()
    attached = ports.attached_among(found, config.tag)
    networks = [
        NetworkDefinition(number=0, subnet=Subnet.parse(config.network)),
        *DefinitionFiles(config.run / "networks").all(),
    ]
    yield from _interfaces(config, found, attached, living)
    yield from _bridges(config, networks, attached)
    yield from _firewall(config, attached)
    for container_id in sorted(PublishedFiles(config.run / "ports").all().keys() - living):
        yield Violation(invariant="I3", kind="ports", name=container_id[:12], problem=GONE)
    yield from _names(config, networks, attached)
    yield from _relays(config, attached)


def _relays(config: EngineConfig, attached: Sequence[Attached]) -> Iterator[Violation]:
    found = {one.words for one in relays.wanted(PublishedFiles(config.run / "ports").all(), firsts(attached))}
    running = relays.Relays(config).running()
    for words in sorted(running.keys() - found):
        yield Violation(invariant="I3", kind="relay", name=words[-1], problem=GONE)
    for words in sorted(found - running.keys()):
        yield Violation(invariant="I4", kind="relay", name=words[-1], problem="does not run")


def _interfaces(
    config: EngineConfig, found: Sequence[ports.Link], attached: Sequence[Attached], living: AbstractSet[str]
) -> Iterator[Violation]:
    known = {port.name for port in attached}
    for port in attached:
        if port.container_id not in living:
            yield Violation(
                invariant="I3", kind="interface", name=port.name, problem=GONE, container_id=port.container_id
            )
    for link in found:
        if link.name.startswith(ports.port_prefix(config.tag)) and link.name not in known:
            yield Violation(
                invariant="I3", kind="interface", name=link.name, problem="says of no container whose it is"
            )


def _bridges(
    config: EngineConfig, networks: Sequence[NetworkDefinition], attached: Sequence[Attached]
) -> Iterator[Violation]:
    prefix = bridge_prefix(config.tag)
    side = links.host_side(config.tag, prefix)
    wanted = {network.bridge(config.tag): network for network in networks}
    for name in sorted(side.indexes.keys() - wanted.keys()):
        yield Violation(invariant="I3", kind="bridge", name=name, problem="belongs to no network")
    for name in sorted(mark for mark in side.marked - wanted.keys() if mark.startswith(prefix)):
        yield Violation(invariant="I3", kind="routing rule", name=name, problem="belongs to no network")
    for name, network in sorted(wanted.items()):
        addresses = set(filter(None, (network.subnet.gateway, network.gateway6)))
        if not addresses <= set(side.bridges.get(name, ())) or name not in side.marked:
            yield Violation(
                invariant="I4", kind="bridge", name=name, problem="is missing, or has not its address and its rule"
            )
    for port in attached:
        home = next((name for name, network in wanted.items() if network.subnet.contains(port.address)), None)
        if not side.is_on(port, home):
            yield Violation(
                invariant="I4", kind="interface", name=port.name, problem="is not on its network's bridge",
                container_id=port.container_id,
            )  # fmt: skip


def _firewall(config: EngineConfig, attached: Sequence[Attached]) -> Iterator[Violation]:
    listed = firewall.listing(config.table)
    if listed is None:
        yield Violation(invariant="I4", kind="firewall table", name=config.table, problem="is missing")
        return
    seen = read_listing(listed)
    speaking = {port.port for port in attached}
    led = forwards(PublishedFiles(config.run / "ports").all(), firsts(attached))
    for port in sorted(seen.ports - speaking):
        yield Violation(invariant="I3", kind="rule", name=port.address, problem=GONE)
    for port in sorted(speaking - seen.ports):
        yield Violation(invariant="I4", kind="rule", name=port.address, problem="is missing: it may not speak")
    for one in sorted(seen.forwards - led):
        yield Violation(invariant="I3", kind="rule", name=one.key, problem=GONE)
    for one in sorted(led - seen.forwards):
        yield Violation(invariant="I4", kind="rule", name=one.key, problem="is missing: it leads nowhere")


def _names(
    config: EngineConfig, networks: Sequence[NetworkDefinition], attached: Sequence[Attached]
) -> Iterator[Violation]:
    there = {(port.container_id, port.address) for port in attached}
    folder = config.run / "names"
    files = [path for path in folder.iterdir() if path.name.isdecimal()] if folder.is_dir() else []
    numbers = {network.number for network in networks if network.has_names}
    for path in files:
        if int(path.name) not in numbers:
            yield Violation(invariant="I3", kind="names", name=path.name, problem="belong to no network")
        for line in path.read_text("utf-8").splitlines()[1:]:
            one = NamedContainer.read(line)
            if (one.container_id, one.address) not in there:
                yield Violation(
                    invariant="I3", kind="name", name=one.address, problem=GONE,
                    container_id=one.container_id,
                )  # fmt: skip
    if bool(files) != bool(cgroups.pids(cgroup_of(config))):
        problem = "does not run" if files else "runs for no network"
        yield Violation(invariant="I4" if files else "I3", kind="name server", name=config.tag, problem=problem)
