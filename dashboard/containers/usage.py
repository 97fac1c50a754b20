"""What containers take of quotas: counted from their rows, and held against the quotas where rows change (ADR 24).

A container belongs to whoever made it, whoever starts it. Processors, memory, processes and ports count from the moment a
start is asked for until it has ended; that it exists, and its writable layer's size, until it is removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.db.models import Q, Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from dashboard.catalog.models import PULL
from dashboard.containers import runs, states
from dashboard.containers.limits import asked, limits_in_force
from dashboard.containers.models import Container, ContainerState, PublishedPort
from dashboard.containers.runs import counted_for
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Requester
from dashboard.grammar import ContainerOptions
from dashboard.jobs.models import Job
from dashboard.quotas import services as quotas
from dashboard.quotas import usage
from dashboard.quotas.kinds import KINDS
from dashboard.teams import scope
from dashboard.volumes.models import Volume

HOUR: Final = timedelta(hours=1)
UP: Final = (ContainerState.STARTING, *states.RUNS)
_OPTION: Final = {"nano_cpus": "nano_cpus", "memory_bytes": "memory_bytes", "pids": "pids_limit"}


def _containers(team_id: int | None, person_id: int | None) -> int:
    return counted_for(Container.objects.exclude(state=ContainerState.REMOVING), team_id, person_id).count()


def shares_of(options: dict[str, Any], kind: str) -> int:  # Any: JSON of a container's options
    """What the next start takes: what was asked for, or the server's default."""
    said = asked(options.get(_OPTION[kind]))
    if said is not None:
        return said
    default = limits_in_force(ContainerOptions(image="-"))
    value: int = getattr(default, kind).value
    return value


def _running(kind: str) -> usage.Count:
    def count(team_id: int | None, person_id: int | None) -> int:
        rows = counted_for(Container.objects.filter(state__in=UP), team_id, person_id).values_list("options", flat=True)
        said = [asked(options.get(_OPTION[kind])) for options in rows]
        unsaid = said.count(None)
        default = shares_of({}, kind) if unsaid else 0
        return sum(value for value in said if value is not None) + unsaid * default

    return count


def _ports(team_id: int | None, person_id: int | None) -> int:
    containers = counted_for(Container.objects.all(), team_id, person_id).values("pk")
    return PublishedPort.objects.filter(container__in=containers).count()


def _has_layer() -> Q:
    return ~Q(state=ContainerState.REMOVING) | Q(trashed__isnull=False)


def _layer_bytes(team_id: int | None, person_id: int | None) -> int:
    """Those in the trash, too: their files are there. As containers they do not count."""
    rows = counted_for(Container.with_trash.filter(_has_layer()), team_id, person_id)
    return sum(options.get("storage_bytes") or 0 for options in rows.values_list("options", flat=True))


def _volume_bytes(team_id: int | None, person_id: int | None) -> int:
    """As measured last."""
    found: int | None = counted_for(Volume.objects.all(), team_id, person_id).aggregate(total=Sum("size_bytes"))[
        "total"
    ]
    return found or 0


def _pulls(team_id: int | None, person_id: int | None) -> int:
    rows = Job.objects.filter(kind=PULL, created_at__gt=timezone.now() - HOUR)
    if team_id is not None:
        rows = rows.filter(team_id=team_id)
    return (rows if person_id is None else rows.filter(requester_id=person_id)).count()


def register() -> None:
    """At start."""
    for kind in _OPTION:
        usage.register(kind, _running(kind))
    counts = {
        "containers": _containers,
        "ports": _ports,
        "layer_bytes": _layer_bytes,
        "volume_bytes": _volume_bytes,
        "pulls": _pulls,
        runs.KIND: runs.seconds,
    }
    for kind, count in counts.items():
        usage.register(kind, count)


def hold_new(container: Container) -> None:
    """Of a container that was made just now, in its transaction.

    Raises:
        QuotaRefused: too many, or too much disk.
        DashboardError: its writable layer has no size, where a quota counts it (400).
    """
    size = container.options.get("storage_bytes")
    if size is None and any(
        "layer_bytes" in one.quota.limits for one in quotas.scopes_of(container.team_id, container.owner_id)
    ):
        msg = _("A quota counts the disk of writable layers here: name this one's size (--storage-opt size=1g).")
        raise DashboardError(msg)
    needs = {"containers": 1} | ({"layer_bytes": size} if size else {})
    quotas.hold(container.team_id, container.owner_id, needs)


def hold_back(container: Container) -> None:
    """Of one that came back from the trash just now, in that transaction. Its layer has counted all the time.

    Raises:
        QuotaRefused: too many.
    """
    quotas.hold(container.team_id, container.owner_id, {"containers": 1})


def needs_of(
    options: dict[str, Any], *, ports: int, volumes: bool
) -> dict[str, int]:  # Any: JSON of a container's options
    """Kind → what a start takes."""
    needs = {kind: shares_of(options, kind) for kind in _OPTION}
    needs[runs.KIND] = 1  # of hours: none may begin once they are used up
    if ports:
        needs["ports"] = ports
    if volumes:
        needs["volume_bytes"] = 0  # what it will write, nobody knows; none may start once it is full
    return needs


def hold_start(container: Container) -> None:
    """Of a container that became STARTING just now, with its ports, in that transaction.

    Raises:
        QuotaRefused: it would be too much.
    """
    published = list(container.ports.values_list("port", flat=True))
    quotas.refuse_ports(container.team_id, container.owner_id, published)
    needs = needs_of(container.options, ports=len(published), volumes=container.volume_uses.exists())
    quotas.hold(container.team_id, container.owner_id, needs)


def hold_update(container: Container, before: dict[str, Any]) -> None:  # Any: JSON of a container's options
    """Of one whose limits in its row were changed just now, in that transaction.

    Raises:
        QuotaRefused: it runs, and it would be too much.
    """
    if container.state in UP:
        grown = {kind: shares_of(container.options, kind) - shares_of(before, kind) for kind in _OPTION}
        quotas.hold(container.team_id, container.owner_id, {kind: more for kind, more in grown.items() if more > 0})


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """For people, before they press the button. `needed` of what is `left` of one kind."""

    words: object
    needed: str
    left: str
    is_too_much: bool


def room(user: Requester, options: ContainerOptions | None = None) -> list[Room]:
    """What a container of these options would take of the quotas that hold for this person here; only where something is limited."""
    wanted = options or ContainerOptions(image="-")
    try:
        volumes = bool(wanted.volumes or wanted.mounts)
        needs = {"containers": 1} | needs_of(wanted.to_json(), ports=len(wanted.publish), volumes=volumes)
        found = quotas.left(scope.owning(user), getattr(user, "pk", None), needs)
    except DashboardError:  # no team: the form says so when it is sent
        return []
    return [
        Room(
            words=KINDS[kind].words,
            needed=KINDS[kind].write(needed),
            left=KINDS[kind].write(left),
            is_too_much=needed > left,
        )
        for kind, needed, left in found
        if kind != runs.KIND or needed > left
    ]
