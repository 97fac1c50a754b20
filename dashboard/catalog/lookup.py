"""Finding images by what people type: a name, an id, the beginning of an id, a digest; and who sees which.

Images that a registry gives to anybody are everybody's. Others are seen by the teams that hold them, and by nobody else in
any way: by name, by id, by digest (REG-11). What somebody may not see is as what is not there.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from django.db.models import Count, F, Prefetch, Q, QuerySet

from dashboard import gateway
from dashboard.catalog.models import Image, ImageHolder, Tag
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


def _held(team_ids: Collection[int]) -> Q:
    held = ImageHolder.objects.filter(team_id__in=team_ids)
    return Q(is_public=True) | Q(pk__in=held.values("image_id"))


def _teams_here(user: Requester) -> Collection[int] | None:
    """The team that the person works in; None: all of them, of a site administrator or Berth itself."""
    here = scope.current(user)
    if here is not None:
        return [here.pk]
    return None if user is None or scope.is_site_admin(user) else []


def seen_images(user: Requester) -> QuerySet[Image]:
    """Those of all the person's teams: for addresses, which name an image by its id."""
    teams = scope.team_ids(user)
    return Image.objects.all() if teams is None else Image.objects.filter(_held(teams))


def images_here(user: Requester) -> QuerySet[Image]:
    """Those of the current team: for lists, for names, and for what is to run in it."""
    teams = _teams_here(user)
    return Image.objects.all() if teams is None else Image.objects.filter(_held(teams))


def tags_here(user: Requester) -> QuerySet[Tag]:
    """Everybody's names and the current team's."""
    teams = _teams_here(user)
    if teams is None:
        return Tag.objects.all()
    return Tag.objects.filter(Q(team=None, image__is_public=True) | Q(team_id__in=teams))


def with_tags(images: QuerySet[Image], user: Requester) -> QuerySet[Image]:
    """Their `tags` are then those that this person sees here, and take no further question."""
    return images.prefetch_related(Prefetch("tags", queryset=tags_here(user)))


def images_for(user: Requester) -> QuerySet[Image]:
    """All images that `user` may see here, newest build first, with their names."""
    require(user, Permission.IMAGE_VIEW)
    return with_tags(images_here(user), user).order_by("-built_at", "-pk")


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


def _by_reference(text: str, user: Requester) -> Tag | None:
    """A team's own name comes before everybody's."""
    reference = gateway.parse(text)
    named = tags_here(user).filter(registry=reference.registry, repository=reference.repository)
    named = named.select_related("image").order_by(F("team_id").asc(nulls_last=True))
    if reference.digest is not None:
        return named.filter(digest=reference.digest).first()
    return named.filter(tag=reference.tag).first()


def _by_id(text: str, user: Requester) -> Image | None:
    match = _PREFIX.match(text)
    if not match:
        return None
    found = list(images_here(user).filter(image_id__startswith=f"sha256:{match[1]}")[:2])
    if len(found) > 1:
        msg = f"multiple IDs found with provided prefix: {text}"
        raise DashboardError(msg, status=409)
    return found[0] if found else None


def resolve_local(text: str, user: Requester) -> Tag | Image | None:
    """The tag that `text` names for `user` here, else the image whose id it begins, else None.

    A whole id is never taken for a name; anything shorter is a name first, as in Docker.

    Raises:
        ReferenceInvalid: neither a name nor an id.
        DashboardError: the beginning of several ids (409).
    """
    if _WHOLE_ID.match(text):
        return _by_id(text, user)
    try:
        tag = _by_reference(text, user)
    except gateway.ReferenceInvalid:
        if image := _by_id(text, user):
            return image
        raise
    return tag or _by_id(text, user)


def find_image(text: str, user: Requester) -> Image:
    """The image itself.

    Raises:
        NoSuchImage: with the name in Docker's familiar form.
        ReferenceInvalid: as `resolve_local`.
    """
    found = resolve_local(text, user)
    if found is None:
        raise NoSuchImage(text if _PREFIX.match(text) and ":" not in text else gateway.parse(text).familiar)
    return found.image if isinstance(found, Tag) else found


def names_of(image: Image, user: Requester) -> list[Name]:
    """All that it is called for `user` here."""
    return _names(tags_here(user).filter(image=image))


def image_names_in(image: Image, team_ids: Collection[int]) -> list[Name]:
    """Everybody's names of it and those of these teams."""
    return _names(Tag.objects.filter(Q(team=None) | Q(team_id__in=team_ids), image=image))


def _names(tags: QuerySet[Tag]) -> list[Name]:
    return [Name(f"{tag.registry}/{tag.repository}", tag.tag, tag.digest) for tag in tags]
