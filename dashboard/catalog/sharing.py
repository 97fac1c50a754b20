"""Letting others see an image that only one team sees: everybody, or another team (REG-11)."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext as _

from dashboard.audit import services as audit
from dashboard.catalog.lookup import find_image
from dashboard.catalog.models import Image, ImageHolder, Layer, Tag
from dashboard.catalog.pulls import hold_image
from dashboard.core.errors import DashboardError
from dashboard.core.events import publish
from dashboard.core.gate import Permission, Requester, require
from dashboard.teams import scope
from dashboard.teams.models import Team


def _holding(user: Requester, image: Image) -> Team:
    """The current team, which has it.

    Raises:
        DashboardError: no team is chosen (400), or it does not hold the image (409).
        Denied: `user` may not share for it.
    """
    here = scope.current(user)
    if here is None:
        raise DashboardError(_("Choose a team first."))
    require(user, Permission.IMAGE_SHARE, here)
    if not ImageHolder.objects.filter(image=image, team=here).exists():
        raise DashboardError(_("The team %(team)s does not hold this image.") % {"team": here.slug}, status=409)
    return here


def share(user: Requester, text: str, *, with_team: str = "") -> Image:
    """Let everybody, or one other team of the person's, have an image of the current team. Idempotent.

    Its names go with it; one that is taken there stays what it is.

    Raises:
        NoSuchImage, NoSuchTeam.
        DashboardError: the current team does not hold it (409), or none is chosen (400).
        Denied: `user` may not share here, or may not bring images into the other team.
    """
    image = find_image(text, user)
    here = _holding(user, image)
    other = scope.find_team(user, with_team) if with_team else None
    if other is not None:
        require(user, Permission.IMAGE_PULL, other)
    with transaction.atomic():
        image = Image.objects.select_for_update().get(pk=image.pk)
        if other is None:
            _open(image, here)
        else:
            hold_image(image, other.pk, getattr(user, "pk", None))
            _names(image, here, other)
        told = {"with": "everybody" if other is None else other.slug}
        audit.record("share-image", user, target=text, team_id=here.pk, parameters=told)
    publish("images", {"t": "images", "image": image.image_id, "team": None if other is None else other.pk})
    return image


def unshare(user: Requester, text: str) -> Image:
    """Let only the teams that hold it have it again. What others made from it stays theirs. Idempotent.

    Raises:
        As `share`; DashboardError (409) also where its registry gives it to anybody.
    """
    image = find_image(text, user)
    here = _holding(user, image)
    with transaction.atomic():
        image = Image.objects.select_for_update().get(pk=image.pk)
        if not image.is_public:
            return image
        if image.shared_by_id != here.pk:
            msg = _("It was not the team %(team)s that let everybody have this image.")
            raise DashboardError(msg % {"team": here.slug}, status=409)
        Image.objects.filter(pk=image.pk).update(is_public=False, shared_by=None)
        for tag in Tag.objects.filter(image=image, team=None):
            _give(tag, here)
        audit.record("unshare-image", user, target=text, team_id=here.pk)
    publish("images", {"t": "images"})
    return image


def _open(image: Image, here: Team) -> None:
    """One that everybody has by another name already is still called by ours from now on."""
    Image.objects.filter(pk=image.pk, is_public=False).update(is_public=True, shared_by=here)
    Layer.objects.filter(uses__image=image, is_public=False).update(is_public=True)
    for tag in Tag.objects.filter(image=image, team=here):
        _give(tag, None)


def _names(image: Image, here: Team, other: Team) -> None:
    for tag in Tag.objects.filter(image=image, team=here):
        tag.pk, tag.team, tag._state.adding = None, other, True  # Django's way to copy a row
        if not _is_taken(tag):
            tag.save()


def _give(tag: Tag, team: Team | None) -> None:
    tag.team = team
    if not _is_taken(tag):
        tag.save(update_fields=["team", "updated_at"])


def _is_taken(tag: Tag) -> bool:
    alike = Tag.objects.filter(team=tag.team, registry=tag.registry, repository=tag.repository, tag=tag.tag)
    if not tag.tag:
        alike = alike.filter(digest=tag.digest)
    return alike.exists()
