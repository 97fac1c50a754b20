"""The trash: what is removed can be brought back for a while (ADR 29).

    CREATED, EXITED ─▶ TRASHED                       in the transaction of `rm`: there is nothing for the engine to do
    what runs (`-f`) ─▶ REMOVING ─▶ TRASHED          by the engine worker, which ends it first
    TRASHED ─▶ CREATED, EXITED                       restore: with the name and the networks that are free
    TRASHED (`is_going`) ─▶ no row                   by hand or when it is due, by the engine worker

Each arrow is a conditional update of the container's row, so of many who ask at once one is heard. In the trash a container
keeps its files, its log, its ids on the host and its volumes, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from dashboard.audit import services as audit
from dashboard.containers import happenings, liferules, networking, states, usage
from dashboard.containers.creation import NameTaken, holder_of, refuse_name
from dashboard.containers.models import Container, ContainerState, Endpoint, Trashed
from dashboard.core.errors import DashboardError
from dashboard.core.events import publish
from dashboard.core.gate import Permission, Requester, require
from dashboard.grammar.netvalues import NetworkChoice
from dashboard.jobs import services as jobs
from dashboard.jobs.models import Job
from dashboard.networks.models import Network
from dashboard.teams import scope

END, WEIGH = "end_trashed", "weigh_trashed"
KEPT = (ContainerState.CREATED, ContainerState.EXITED)  # DEAD is what could not be cleaned up: it goes for ever
MOST_NAMES = 100


class NotInTrash(DashboardError):
    def __init__(self, text: str) -> None:
        super().__init__(_("There is nothing called %(name)s in the trash.") % {"name": text}, status=404)


@dataclass(frozen=True, slots=True)
class Restored:
    """What came back; `lost`: what of it could not, in sentences."""

    container: Container
    lost: list[str] = field(default_factory=list)

    def sentence(self, before: str) -> str:
        """`before`: what it was called when it was removed."""
        name = self.container.name
        told = [_("%(name)s is back.") % {"name": name}]
        if name != before:
            told = [
                _("The name %(before)s is taken by now; it is back as %(name)s.") % {"before": before, "name": name}
            ]
        return " ".join([*told, *self.lost])


def seconds_for(container: Container) -> int:
    """How long it stays there when it is removed; 0: not at all. What `--rm` removes nobody wants back."""
    if container.auto_remove:
        return 0
    return liferules.trash_s(liferules.rules_of(container.team_id))


def enter(container: Container, user: Requester, *, seconds: int, volumes: bool) -> None:
    """Of one that became TRASHED just now, or REMOVING because it ran. In that transaction."""
    now = timezone.now()
    Trashed.objects.create(
        container=container,
        remover_id=getattr(user, "pk", None),
        removed_at=now,
        due_at=now + timedelta(seconds=seconds),
        volumes=volumes,
    )
    told = {"seconds": seconds, "volumes": volumes}
    audit.record("trash-container", user, target=_target(container), team_id=container.team_id, parameters=told)
    if container.state == ContainerState.TRASHED:
        settle(container)


def settle(container: Container) -> None:
    """It is TRASHED now: its addresses are free for others. In the same transaction."""
    entry = Trashed.objects.get(container=container)
    entry.places = [_place(one) for one in networking.endpoints_of(container)]
    entry.save(update_fields=["places"])
    Endpoint.objects.filter(container=container).delete()
    happenings.tell(container, "destroy")
    states.announce(container, state="removed")
    announce(container)
    key = f"{WEIGH}:{container.container_id}"
    jobs.submit(WEIGH, _named(container), requester=None, key=key, queue="engine", team_id=container.team_id)


def _place(endpoint: Endpoint) -> dict[str, Any]:  # Any: JSON
    network = endpoint.network
    return {
        "network_id": network.network_id,
        "name": network.name,
        "aliases": endpoint.aliases,
        "ip": endpoint.ip,
    }


def _named(container: Container) -> dict[str, str]:
    return {"container_id": container.container_id}


def _target(container: Container) -> str:
    return f"{container.name} ({container.short_id})"


def announce(container: Container) -> None:
    publish("containers", {"t": "trash", "team": container.team_id, "id": container.container_id})


def listed(user: Requester) -> QuerySet[Container]:
    """The current team's, what was removed last first."""
    require(user, Permission.CONTAINER_VIEW)
    rows = scope.here(user, Container.with_trash.filter(state=ContainerState.TRASHED, trashed__isnull=False))
    return rows.select_related("trashed__remover", "image", "owner").order_by("-trashed__removed_at", "-pk")


def by_id(container_id: str, user: Requester) -> Container | None:
    """Of whichever of the person's teams; one of another team is none."""
    rows = scope.seen(user, Container.with_trash.filter(state=ContainerState.TRASHED, trashed__isnull=False))
    return rows.filter(container_id=container_id).select_related("trashed").first()


def find(text: str, user: Requester) -> Container:
    """A whole id, the beginning of one, or a name: of several of one name what was removed last.

    Raises:
        NotInTrash: 404.
        DashboardError: the beginning of several ids (409).
    """
    named = by_id(text, user) or listed(user).filter(name=text).first()
    if named is not None:
        return named
    begun = list(listed(user).filter(container_id__startswith=text)[:2]) if text else []
    if len(begun) > 1:
        msg = f"Multiple IDs found with provided prefix: {text}"
        raise DashboardError(msg, status=409)
    if not begun:
        raise NotInTrash(text)
    return begun[0]


def restore(container: Container, user: Requester, name: str = "") -> Restored:
    """Bring it back as it was, stopped; under another name where its own is taken by now and none is asked for.

    Raises:
        NotInTrash: it is back or gone already (404).
        NameTaken: `name` is another's (409). Nothing is changed then, nor with what follows.
        DashboardError: `name` cannot be (400); it is being removed for ever (409).
        QuotaRefused: it would be more containers than somebody may have.
        Denied: `user` may not.
    """
    require(user, Permission.CONTAINER_REMOVE, container)
    if name:
        refuse_name(name)
    for wanted in [name] if name else _names(container):
        try:
            with transaction.atomic():
                return _restore(container, user, wanted)
        except IntegrityError as error:  # somebody has that name, or took the address between our look and our insert
            if name:
                raise NameTaken(name, holder_of(name, container.team_id) or "") from error
    raise DashboardError(_("No free name or address was found for the container. Try again."), status=503)


def _names(container: Container) -> list[str]:
    """Its own, and what is like it."""
    return [container.name, *(f"{container.name[:120]}-{number}" for number in range(2, MOST_NAMES))]


def _restore(container: Container, user: Requester, name: str) -> Restored:
    row = _locked(container)
    to = ContainerState.CREATED if row.started_at is None else ContainerState.EXITED
    options = row.options | {"name": name} if row.options else row.options
    if not states.change(row, among=[ContainerState.TRASHED], to=to, name=name, options=options):
        raise NotInTrash(container.name)
    lost = _take_places(row, user, row.trashed.places)
    row.trashed.delete()
    usage.hold_back(row)
    happenings.tell(row, "restore")
    audit.record("restore-container", user, target=_target(row), team_id=row.team_id)
    announce(row)
    return Restored(Container.objects.get(pk=row.pk), lost)


def _locked(container: Container) -> Container:
    """The row, ours until the transaction ends.

    Raises:
        NotInTrash: 404.
        DashboardError: its end has been asked for (409).
    """
    Container.with_trash.select_for_update().filter(pk=container.pk).first()
    found = Container.with_trash.filter(pk=container.pk, state=ContainerState.TRASHED).select_related("trashed").first()
    if found is None or not hasattr(found, "trashed"):
        raise NotInTrash(container.name)
    if found.trashed.is_going:
        raise DashboardError(_("%(name)s is being removed for ever just now.") % {"name": found.name}, status=409)
    return found


def _take_places(container: Container, user: Requester, places: list[dict[str, Any]]) -> list[str]:  # Any: JSON
    """Its networks as far as they are there; in each any address, and the one that was asked for if it is free."""
    lost = []
    for place in places:
        network = Network.objects.filter(network_id=place["network_id"]).first()
        if network is None:
            lost.append(_("The network %(name)s is gone, so it is not in it any more.") % {"name": place["name"]})
            continue
        ip = str(place["ip"])
        if ip and Endpoint.objects.filter(network=network, address=ip).exists():
            lost.append(_("The address %(ip)s is taken by now; it has another.") % {"ip": ip})
            ip = ""
        choice = NetworkChoice(name=network.name, aliases=tuple(place["aliases"]), ip=ip)
        networking.insert(user, container, choice, container.endpoints.count())
    return lost


def end(container: Container, user: Requester) -> Job:
    """Remove it for ever. `user` None: the clock.

    Raises:
        NotInTrash: it is back or gone already (404).
        Denied: `user` may not.
    """
    if user is not None:
        require(user, Permission.CONTAINER_REMOVE, container)
    with transaction.atomic():
        Container.with_trash.select_for_update().filter(pk=container.pk).first()
        in_trash = Trashed.objects.filter(container=container, container__state=ContainerState.TRASHED)
        if not in_trash.update(is_going=True):
            raise NotInTrash(container.name)
        announce(container)
        key = f"{END}:{container.container_id}"
        return jobs.submit(END, _named(container), requester=user, key=key, queue="engine", team_id=container.team_id)
