"""What the catalog does for pages and the command door."""

from __future__ import annotations

from django.db import transaction

from dashboard import gateway
from dashboard.catalog.inspection import image_lines, inspect_image
from dashboard.catalog.lookup import (
    NoSuchImage,
    familiar_name,
    find_image,
    images_for,
    images_here,
    resolve_local,
    seen_images,
    shown_name,
    tags_here,
    users_counted,
    with_tags,
)
from dashboard.catalog.models import PULL
from dashboard.catalog.removal import ImageInUse, Removed, chain_ids, remove, remove_image
from dashboard.core.gate import Permission, Requester, require
from dashboard.imagepolicy import services as imagepolicy
from dashboard.jobs import services as jobs
from dashboard.jobs.models import Job
from dashboard.quotas import services as quotas
from dashboard.teams import scope

__all__ = [
    "ImageInUse",
    "NoSuchImage",
    "Removed",
    "chain_ids",
    "familiar_name",
    "find_image",
    "image_lines",
    "images_for",
    "images_here",
    "inspect_image",
    "pull",
    "remove",
    "remove_image",
    "resolve_local",
    "seen_images",
    "shown_name",
    "tags_here",
    "users_counted",
    "with_tags",
]


def pull(reference_text: str, *, user: Requester, platform: str | None = None) -> Job:
    """Pull an image, or join the team's pull of the same name that is under way.

    Raises:
        ReferenceInvalid: the name or the platform breaks its grammar; no job is made.
        Denied: `user` may not.
        QuotaRefused: too many within an hour.
        ImageRefused: the team's list does not have it.
    """
    require(user, Permission.IMAGE_PULL)
    reference = gateway.parse(reference_text)
    gateway.parse_platform(platform or "")
    here = scope.current(user)
    team_id = None if here is None else here.pk  # one pull for each team; the layers are everybody's all the same
    with transaction.atomic():
        job = jobs.submit(
            PULL,
            {"reference": reference.familiar, "platform": platform or ""},
            requester=user,
            key=f"pull:{reference.canonical}:{platform or ''}:{team_id or ''}",
            queue="images",
            team_id=team_id,
        )
        imagepolicy.hold_pull(team_id, reference)
        quotas.hold(team_id, getattr(user, "pk", None), {"pulls": 1})
    return job


def available(user: Requester) -> list[str]:
    """What the list of the person's team names exactly and nobody has pulled yet: it can be run, and is fetched then."""
    here = scope.current(user)
    listed = imagepolicy.available(None if here is None else here.pk)
    return [name for name in listed if resolve_local(name, user) is None]
