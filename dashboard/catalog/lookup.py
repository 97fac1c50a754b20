"""Finding images by what people type: a name, an id, the beginning of an id, a digest."""

from __future__ import annotations

import re

from django.db.models import Count, Q, QuerySet

from dashboard import gateway
from dashboard.catalog.models import Image, Tag
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Permission, Requester, require
from dashboard.imagepolicy.patterns import Name
from dashboard.teams import scope

_WHOLE_ID = re.compile(r"(?:sha256:)?[0-9a-f]{64}\Z")
_PREFIX = re.compile(r"(?:sha256:)?([0-9a-f]{1,64})\Z")


class NoSuchImage(DashboardError):
    """Nothing here has that name or id. `run` pulls then."""

    def __init__(self, text: str) -> None:
        super().__init__(f"No such image: {text}", status=404)


def images_for(user: Requester) -> QuerySet[Image]:
    """All images that `user` may see, newest build first."""
    require(user, Permission.IMAGE_VIEW)
    return Image.objects.prefetch_related("tags").order_by("-built_at", "-pk")


def users_counted(user: Requester) -> Count:
    """An annotation of images: how many containers that `user` may know of stand on each."""
    mine = scope.team_ids(user)
    return Count("containers", distinct=True, filter=None if mine is None else Q(containers__team_id__in=mine))


def familiar_name(tag: Tag) -> str:
    """`ubuntu`, `127.0.0.1:5000/team/app`: the shortest name that means the same."""
    return tag_reference(tag).familiar_name


def tag_reference(tag: Tag) -> gateway.Reference:
    digest = None if tag.tag else gateway.Digest(tag.digest)
    return gateway.Reference(tag.registry, tag.repository, tag.tag or None, digest)


def shown_name(tag: Tag) -> str:
    """`ubuntu:14.04`, or `ubuntu@sha256:…` for what was pulled by digest."""
    return f"{familiar_name(tag)}:{tag.tag}" if tag.tag else f"{familiar_name(tag)}@{tag.digest}"


def _by_reference(text: str) -> Tag | None:
    reference = gateway.parse(text)
    named = Tag.objects.select_related("image").filter(registry=reference.registry, repository=reference.repository)
    if reference.digest is not None:
        return named.filter(digest=reference.digest).first()
    return named.filter(tag=reference.tag).first()


def _by_id(text: str) -> Image | None:
    match = _PREFIX.match(text)
    if not match:
        return None
    found = list(Image.objects.filter(image_id__startswith=f"sha256:{match[1]}")[:2])
    if len(found) > 1:
        msg = f"multiple IDs found with provided prefix: {text}"
        raise DashboardError(msg, status=409)
    return found[0] if found else None


def resolve_local(text: str) -> Tag | Image | None:
    """The tag that `text` names, else the image whose id it begins, else None.

    A whole id is never taken for a name; anything shorter is a name first, as in Docker.

    Raises:
        ReferenceInvalid: neither a name nor an id.
        DashboardError: the beginning of several ids (409).
    """
    if _WHOLE_ID.match(text):
        return _by_id(text)
    try:
        tag = _by_reference(text)
    except gateway.ReferenceInvalid:
        if image := _by_id(text):
            return image
        raise
    return tag or _by_id(text)


def find_image(text: str) -> Image:
    """The image itself.

    Raises:
        NoSuchImage: with the name in Docker's familiar form.
        ReferenceInvalid: as `resolve_local`.
    """
    found = resolve_local(text)
    if found is None:
        raise NoSuchImage(text if _PREFIX.match(text) and ":" not in text else gateway.parse(text).familiar)
    return found.image if isinstance(found, Tag) else found


def names_of(image: Image) -> list[Name]:
    """All that it is called here."""
    return [Name(f"{tag.registry}/{tag.repository}", tag.tag, tag.digest) for tag in image.tags.all()]
