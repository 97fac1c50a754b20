"""Removing images, by Docker's rules for names, ids and force; an image that a container stands on always stays."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from dashboard import gateway
from dashboard.catalog.handlers import REMOVE_LAYERS, unused_layers
from dashboard.catalog.lookup import NoSuchImage, familiar_name, resolve_local, shown_name, tags_here
from dashboard.catalog.models import Image, ImageHolder, Layer, Tag
from dashboard.core.errors import DashboardError
from dashboard.core.events import publish
from dashboard.core.gate import Permission, Requester, require
from dashboard.history.models import EventType
from dashboard.history.services import record
from dashboard.jobs import services as jobs
from dashboard.jobs.models import Job
from dashboard.teams import scope
from dashboard.teams.models import main_team_id

SHORT = 12


@dataclass(frozen=True, slots=True)
class Removed:
    """What `rmi` prints, and the engine job that frees the layers (None where none became free)."""

    lines: tuple[str, ...]
    job: Job | None


class ImageInUse(DashboardError):
    def __init__(self, message: str) -> None:
        super().__init__(message, status=409)


def remove_image(text: str, user: Requester, *, force: bool = False) -> list[str]:
    """Remove a name, or an image by its id. Layers that nothing else uses go by an engine job.

    Returns:
        Docker's lines: `Untagged: ubuntu:14.04`, `Deleted: sha256:…`.

    Raises:
        NoSuchImage: nothing here is called that.
        ImageInUse: containers stand on it (they are named), or an id has several names and `force` is not set.
            Nothing has changed then.
    """
    return list(remove(text, user, force=force).lines)


def remove(text: str, user: Requester, *, force: bool = False) -> Removed:
    """As `remove_image`, with the job, for who wants to wait until the space is free."""
    found = resolve_local(text, user)
    if found is None:
        raise NoSuchImage(gateway.parse(text).familiar)
    image = found.image if isinstance(found, Tag) else found
    require(user, Permission.IMAGE_REMOVE, image)
    with transaction.atomic():
        image = Image.objects.select_for_update().get(pk=image.pk)
        whose = _whose(image, user)
        lines = (
            _by_name(found, image, user, force=force) if isinstance(found, Tag) else _by_id(image, user, force=force)
        )
        freed: list[Layer] = []
        _let_go(image, user)
        if not image.tags.exists() and not standing_on(image).exists() and not _is_kept(image):
            more, freed = _delete(image, whose)
            lines += more
        job = _free(freed, user)
    publish("images", {"t": "images", "image": image.image_id, "team": whose})
    return Removed(tuple(lines), job)


def _let_go(image: Image, user: Requester) -> None:
    """The current team holds it no more once it has no name for it and nothing that stands on it."""
    here = scope.current(user)
    holding = ImageHolder.objects.filter(image=image)
    if here is not None:
        holding = holding.filter(team=here)
        if standing_on(image).filter(team=here).exists():
            return
    if not tags_here(user).filter(image=image).exists():
        holding.delete()


def _is_kept(image: Image) -> bool:
    """Whether another team has it and would lose it: one that everybody can fetch again is not kept for that."""
    return not image.is_public and image.holders.exists()


def _whose(image: Image, user: Requester) -> int | None:
    """Who is told of it: everybody; of a private one the current team, or who has held it longest where none is chosen."""
    if image.is_public:
        return None
    here = scope.current(user)
    holder = image.holders.order_by("pk").values_list("team_id", flat=True).first()
    return here.pk if here is not None else holder or main_team_id()


def standing_on(image: Image) -> QuerySet[Any]:  # Any: containers are made above this app
    """All containers of an image; one in the trash may come back, and needs it then."""
    return image.containers(manager="with_trash").all()


def _users(image: Image, user: Requester) -> str:
    """`container 0f3b… (happy_pike)`, or several. Other teams' have no names here."""
    seen = scope.seen(user, standing_on(image).order_by("created_at"))
    users = [f"{row.short_id} ({row.name}{', in the trash' if row.state == 'trashed' else ''})" for row in seen]
    if not users:
        return "containers of other teams are"
    if len(users) == 1:
        return f"container {users[0]} is"
    return f"containers {', '.join(users[:-1])} and {users[-1]} are"


def _untag(tag: Tag) -> list[str]:
    """Docker also names the digest when the last name of that repository goes."""
    lines = [f"Untagged: {shown_name(tag)}"]
    alike = {"team": tag.team, "registry": tag.registry, "repository": tag.repository}
    others = Tag.objects.filter(image=tag.image, **alike).exclude(pk=tag.pk)
    if tag.tag and not others.exists():
        lines.append(f"Untagged: {familiar_name(tag)}@{tag.digest}")
    tag.delete()
    record(EventType.IMAGE, "untag", tag.image.image_id, name=shown_name(tag), team_id=tag.team_id)
    return lines


def _by_name(tag: Tag, image: Image, user: Requester, *, force: bool) -> list[str]:
    is_last = tags_here(user).filter(image=image).count() == 1
    if is_last and not force and _in_use(image, user):
        msg = (
            f'conflict: unable to remove repository reference "{shown_name(tag)}" (must force) - '
            f"{_users(image, user)} using its referenced image {image}"
        )
        raise ImageInUse(msg)
    return _untag(tag)


def _in_use(image: Image, user: Requester) -> bool:
    """By containers of whoever may see the image; of a private one only the team's own stand in its way."""
    containers = standing_on(image)
    return (containers if image.is_public else scope.here(user, containers)).exists()


def _by_id(image: Image, user: Requester, *, force: bool) -> list[str]:
    tags = list(tags_here(user).filter(image=image).order_by("pk"))
    if len({(tag.registry, tag.repository) for tag in tags}) > 1 and not force:
        msg = (
            f"conflict: unable to delete {image} (must be forced) - image is referenced in multiple repositories: "
            f"{', '.join(shown_name(tag) for tag in tags)}"
        )
        raise ImageInUse(msg)
    if _in_use(image, user):
        is_running = image.containers.filter(state__in=["starting", "running", "paused", "stopping"]).exists()
        how = "cannot be forced" if is_running or force else "must be forced"
        if is_running or not force or not tags:
            msg = f"conflict: unable to delete {image} ({how}) - {_users(image, user)} using it"
            raise ImageInUse(msg)
    return [line for tag in tags for line in _untag(tag)]


def chain_ids(diff_ids: Sequence[str]) -> list[str]:
    """Source: OCI image-spec 1.1, config.md, "Layer ChainID"."""
    chain: list[str] = []
    for diff_id in diff_ids:
        text = f"{chain[-1]} {diff_id}" if chain else diff_id
        chain.append(f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" if chain else text)
    return chain


def _delete(image: Image, whose: int | None) -> tuple[list[str], list[Layer]]:
    """The rows; Docker's `Deleted:` lines for the image and the chains that no other image has; layers now unused."""
    stack = [link.layer for link in image.stack.select_related("layer").order_by("position")]
    chains = chain_ids([layer.diff_id for layer in stack])
    kept = _chains_of_others(image, stack[0].pk if stack else None)
    lines = [f"Deleted: {image.image_id}", *(f"Deleted: {chain}" for chain in reversed(chains) if chain not in kept)]
    record(EventType.IMAGE, "delete", image.image_id, name=image.image_id, team_id=whose)
    image.delete()
    wanted = {layer.pk for layer in stack}
    return lines, list(Layer.objects.filter(unused_layers(), pk__in=wanted))


def _chains_of_others(image: Image, lowest: int | None) -> set[str]:
    others = Image.objects.filter(stack__layer=lowest, stack__position=0).exclude(pk=image.pk)
    chains: set[str] = set()
    for other in others.prefetch_related("stack__layer"):
        chains.update(chain_ids([link.layer.diff_id for link in other.stack.all()]))
    return chains


def _free(layers: list[Layer], user: Requester) -> Job | None:
    if not layers:
        return None
    here = scope.current(user)
    team_id = None if here is None else here.pk
    params = {"layers": [layer.pk for layer in layers]}
    return jobs.submit(REMOVE_LAYERS, params, requester=user, queue="engine", team_id=team_id)
