"""Giving a container, or a volume that nothing uses, to another team. What of it is open is looked at again at once (WS-04)."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from dashboard.audit import services as audit
from dashboard.catalog.lookup import image_names_in
from dashboard.catalog.models import ImageHolder
from dashboard.catalog.pulls import hold_image
from dashboard.containers import mounting, runrules
from dashboard.containers.creation import NameTaken, holder_of
from dashboard.containers.lookup import find
from dashboard.containers.models import Container, ContainerState, Run
from dashboard.core.errors import DashboardError
from dashboard.core.events import publish, rights_changed
from dashboard.core.gate import Permission, Requester, require
from dashboard.grammar import ContainerOptions
from dashboard.imagepolicy import services as imagepolicy
from dashboard.quotas import services as quotas
from dashboard.quotas.kinds import KINDS
from dashboard.teams import scope
from dashboard.teams.models import Team
from dashboard.volumes import services as volumes
from dashboard.volumes.models import Volume


def move_container(user: Requester, name: str, to: str) -> Container:
    """With the volumes that only this container uses. Whether it runs or not: it goes on. Its owner stays who it was if that
    person is in the other team, else it is `user`'s. Idempotent.

    Raises:
        NoSuchContainer, NoSuchTeam.
        DashboardError: a name is taken there, it is in networks of its team, or another container uses one of its volumes
            (409); the other team's image or run policy does not have it (403).
        QuotaRefused: it would be more than the other team, or the owner in it, may have.
        Denied: `user` may not take it out of here, or not make one there.
    """
    container = find(name, user)
    target = scope.find_team(user, to)
    if container.team_id == target.pk:
        return container
    require(user, Permission.CONTAINER_REMOVE, container)
    require(user, Permission.CONTAINER_RUN, target)
    _require_there(user, container, target)
    with transaction.atomic():
        container = Container.objects.select_for_update().get(pk=container.pk)
        source = container.team
        if container.state == ContainerState.REMOVING or source.pk == target.pk:
            return container
        _refuse_ties(container)
        if (holder := holder_of(container.name, target.pk)) is not None:
            raise NameTaken(container.name, holder)
        _bring_image(user, container, source, target)
        owner_id = _owner_in(target, container.owner_id, user)
        for use in container.volume_uses.select_related("volume"):
            _move_volume(user, use.volume, source, target, owner_id)
        Container.objects.filter(pk=container.pk).update(team=target, owner_id=owner_id, updated_at=timezone.now())
        container.refresh_from_db()
        runrules.refuse_start(container)
        quotas.refuse_ports(target.pk, owner_id, container.ports.values_list("port", flat=True))
        _count_there(container)
        quotas.hold(target.pk, owner_id, dict.fromkeys(KINDS, 0))
        _write_down(user, f"{container.name} ({container.container_id[:12]})", source, target, "container")
    gone = {"t": "container", "team": source.pk, "id": container.container_id, "state": "removed"}
    come = {"t": "container", "team": target.pk, "id": container.container_id, "state": container.state}
    for told in (gone, come | {"name": container.name}):
        publish("containers", told)
    rights_changed(source.memberships.values_list("person_id", flat=True))
    return container


def move_volume(user: Requester, name: str, to: str) -> Volume:
    """One that no container uses. Idempotent.

    Raises:
        NoSuchVolume, NoSuchTeam.
        DashboardError: it is used, or the name is taken there (409).
        QuotaRefused, Denied: as `move_container`.
    """
    volume = volumes.find(name, user)
    target = scope.find_team(user, to)
    if volume.team_id == target.pk:
        return volume
    with transaction.atomic():
        volume = Volume.objects.select_for_update().get(pk=volume.pk)
        source = volume.team
        if volume.uses.exists():
            msg = _("The volume %(name)s is used by a container. Move that one, and the volume goes with it.")
            raise DashboardError(msg % {"name": volume.name}, status=409)
        owner_id = _owner_in(target, volume.owner_id, user)
        _move_volume(user, volume, source, target, owner_id)
        quotas.hold(target.pk, owner_id, dict.fromkeys(KINDS, 0))
        _write_down(user, volume.name, source, target, "volume")
    volume.refresh_from_db()
    publish("volumes", {"t": "volumes"})
    rights_changed(source.memberships.values_list("person_id", flat=True))
    return volume


def _require_there(user: Requester, container: Container, target: Team) -> None:
    """What it has, `user` could give one there."""
    options = ContainerOptions.from_json(container.options) if container.options else None
    if options is None:
        return
    if options.publish or options.publish_all:
        require(user, Permission.PORT_PUBLISH, target)
    if any(mount.kind == "bind" for mount in mounting.wanted(options)):
        require(user, Permission.HOST_PATH, target)


def _refuse_ties(container: Container) -> None:
    """What it shares with others of its team it would take away from them, or bring them along."""
    named = [one.network.name for one in container.endpoints.select_related("network") if not one.network.is_predefined]
    if named:
        msg = _("%(name)s is in networks of its team (%(networks)s). Disconnect it first.")
        raise DashboardError(msg % {"name": container.name, "networks": ", ".join(named)}, status=409)
    for use in container.volume_uses.select_related("volume"):
        if use.volume.uses.exclude(container=container).exists():
            msg = _("Another container uses the volume %(volume)s of %(name)s, too.")
            raise DashboardError(msg % {"volume": use.volume.name, "name": container.name}, status=409)


def _bring_image(user: Requester, container: Container, source: Team, target: Team) -> None:
    """The other team may have the image already; else whoever may share it shares it with the container."""
    image = container.image
    if not image.is_public and not ImageHolder.objects.filter(image=image, team=target).exists():
        require(user, Permission.IMAGE_SHARE, source)
        hold_image(image, target.pk, getattr(user, "pk", None))
    imagepolicy.refuse_run(target.pk, container.image_reference, image_names_in(image, [source.pk, target.pk]))


def _owner_in(target: Team, owner_id: int | None, user: Requester) -> int | None:
    is_member = owner_id is not None and target.memberships.filter(person_id=owner_id).exists()
    return owner_id if is_member else getattr(user, "pk", None)


def _move_volume(user: Requester, volume: Volume, source: Team, target: Team, owner_id: int | None) -> None:
    require(user, Permission.VOLUME_REMOVE, source)
    require(user, Permission.VOLUME_CREATE, target)
    if Volume.objects.filter(team=target, name=volume.name).exists():
        msg = _("The team %(team)s has a volume %(name)s already.")
        raise DashboardError(msg % {"team": target.slug, "name": volume.name}, status=409)
    Volume.objects.filter(pk=volume.pk).update(team=target, owner_id=owner_id)


def _count_there(container: Container) -> None:
    """Its hours count for the other team from now on."""
    now = timezone.now()
    if Run.objects.filter(container_id=container.container_id, ended_at=None).update(ended_at=now):
        fields = {"team_id": container.team_id, "owner_id": container.owner_id}
        Run.objects.create(container_id=container.container_id, began_at=now, **fields)


def _write_down(user: Requester, target_name: str, source: Team, target: Team, kind: str) -> None:
    """A row for each team: either's admins read what came or went."""
    for team in (source, target):
        told = {"kind": kind, "from": source.slug, "to": target.slug}
        audit.record("move-thing", user, target=target_name, team_id=team.pk, parameters=told)
