"""Which ports of the host a container has: chosen and reserved at its start, given back at its end.

Reserved in the transaction that makes the row STARTING, so two starts never get one port; given back in the one that
makes it anything that is not up. A port that no row has may still be a program's of the host: the engine binds it and
says so, and a container that did not name that very port gets another (`move`).
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from django.conf import settings
from django.db import IntegrityError, transaction

from dashboard import gateway
from dashboard.catalog.models import Image
from dashboard.containers.models import Container, PublishedPort
from dashboard.containers.states import UP
from dashboard.core.errors import DashboardError
from dashboard.grammar import ContainerOptions
from dashboard.grammar.ports import (
    Binding,
    PortRange,
    ShownPort,
    bindings,
    exposed_ports,
    read_exposed,
    spelled_address,
)
from dashboard.quotas import services as quotas

EVERYWHERE = ("0.0.0.0", "::")
ATTEMPTS = 100  # at each, somebody else has got a port
LOW = 1024
_RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_DEFAULT_RANGE = PortRange(32768, 60999)

Key = tuple[str, int]


class PortRefused(DashboardError):
    code = "port-taken"

    def __init__(self, container: Container, why: str) -> None:
        super().__init__(sentence(container, why), status=409)


def sentence(container: Container, why: str) -> str:
    """Docker's."""
    endpoint = f"{container.name} ({container.container_id})"
    return f"driver failed programming external connectivity on endpoint {endpoint}: {why}"


def exposed_of(image: Image, options: ContainerOptions) -> list[tuple[int, str]]:
    """What the image and `--expose` say, without what `-p` names."""
    said = (image.config.get("config") or {}).get("ExposedPorts") or {}
    return exposed_ports([*said, *options.expose])


def refuse_unpublishable(image: Image) -> None:
    """Before `-P`: what the image exposes can be published.

    Raises:
        ValueRefused: naming the port.
    """
    for text in (image.config.get("config") or {}).get("ExposedPorts") or {}:
        read_exposed(text)


def bindings_of(image: Image, options: ContainerOptions) -> list[Binding]:
    return bindings(options.publish, exposed_of(image, options) if options.publish_all else ())


def reserve(container: Container) -> None:
    """Give it its ports, all or none. Part of the caller's transaction.

    Raises:
        PortRefused: another container has one; nothing is reserved.
    """
    wanted = bindings_of(container.image, ContainerOptions.from_json(container.options))
    if not wanted:
        return
    for _attempt in range(ATTEMPTS):
        rows = _chosen(container, wanted)
        try:
            with transaction.atomic():
                PublishedPort.objects.bulk_create(sorted(rows, key=_key))  # in one order, so no two wait for each other
        except IntegrityError:  # somebody took one between our look and our insert: the next look sees it
            continue
        return
    raise PortRefused(container, "all ports are allocated")


def _key(row: PublishedPort) -> tuple[str, int, str]:
    return row.protocol, row.port, row.address


def _chosen(container: Container, wanted: Iterable[Binding]) -> list[PublishedPort]:
    taken = _taken()
    limits = quotas.port_range(container.team_id, container.owner_id)
    allowed = None if limits is None or limits[0] > limits[1] else PortRange(*limits)
    rows = []
    for binding in wanted:
        address = binding.address or settings.BERTH_PUBLISH_ADDRESS
        host = binding.host or allowed or _ephemeral()
        row = PublishedPort(
            container=container,
            protocol=binding.protocol,
            address=address,
            container_port=binding.container_port,
            first=host.first,
            last=host.last,
        )
        port = _free(row, taken)
        if port is None:
            failed = f"Bind for {spelled_address(address)}:{host.first} failed: port is already allocated"
            raise PortRefused(container, failed if len(host) == 1 else "all ports are allocated")
        row.port = port
        taken.setdefault((row.protocol, port), set()).add(address)
        rows.append(row)
    return rows


def _taken() -> dict[Key, set[str]]:
    taken: dict[Key, set[str]] = {}
    for protocol, port, address in PublishedPort.objects.values_list("protocol", "port", "address"):
        taken.setdefault((protocol, port), set()).add(address)
    return taken


def _free(row: PublishedPort, taken: dict[Key, set[str]], *, without: Collection[int] = ()) -> int | None:
    for port in _candidates(row):
        is_six = ":" in row.address
        holders = {one for one in taken.get((row.protocol, port), set()) if (":" in one) is is_six}
        everywhere = EVERYWHERE[is_six]
        overlaps = row.address in holders or everywhere in holders or (row.address == everywhere and bool(holders))
        if not overlaps and port not in without:
            return port
    return None


def _candidates(row: PublishedPort) -> Iterator[int]:
    """In order, as Docker does; of the whole ephemeral range from anywhere, so that a port is not given out again soon."""
    count = row.last - row.first + 1
    offset = random.randrange(count) if (row.first, row.last) == _bounds(_ephemeral()) else 0  # noqa: S311 - no secret
    return (row.first + (offset + number) % count for number in range(count))


def _bounds(ports: PortRange) -> tuple[int, int]:
    return ports.first, ports.last


def _ephemeral() -> PortRange:
    """The host's own range for such ports."""
    try:
        first, last = (int(word) for word in _RANGE_FILE.read_text("ascii").split())
    except (OSError, ValueError):
        return _DEFAULT_RANGE
    return PortRange(first, last)


def published(container: Container) -> tuple[gateway.Published, ...]:
    """What the engine is to publish at this start."""
    return tuple(
        gateway.Published(protocol=row.protocol, address=row.address, port=row.port, container_port=row.container_port)
        for row in PublishedPort.objects.filter(container=container)
    )


def move(container: Container, taken: gateway.PortTaken, tried: set[int]) -> bool:
    """A program of the host has that port: take another, if one was not named. `tried` gathers what others have."""
    tried.add(taken.port)
    row = PublishedPort.objects.filter(
        container=container, protocol=taken.protocol, address=taken.address, port=taken.port
    ).first()
    port = None if row is None else _free(row, _taken(), without=tried)
    if row is None or port is None:
        return False
    try:
        with transaction.atomic():
            return bool(PublishedPort.objects.filter(pk=row.pk).update(port=port))
    except IntegrityError:
        return move(container, taken, tried | {port})


def adopt(container: Container, found: Iterable[gateway.Published]) -> None:
    """Of a container that runs although its row said otherwise: what it really has, as far as nobody else has it."""
    for one in found:
        PublishedPort.objects.get_or_create(
            protocol=one.protocol,
            port=one.port,
            address=one.address,
            defaults={
                "container": container,
                "container_port": one.container_port,
                "first": one.port,
                "last": one.port,
            },
        )


def shown(container: Container) -> list[ShownPort]:
    """For lists and `port`: what is published and what is only exposed. Nothing of a container that is down."""
    if container.state not in UP:
        return []
    rows = [
        ShownPort(container_port=row.container_port, protocol=row.protocol, address=row.address, port=row.port)
        for row in container.ports.all()
    ]
    there = {(one.container_port, one.protocol) for one in rows}
    exposed = exposed_of(container.image, ContainerOptions.from_json(container.options))
    return rows + [ShownPort(container_port=p, protocol=t) for p, t in exposed if (p, t) not in there]
