"""Finding containers by name, id, or the beginning of an id."""

from __future__ import annotations

import re

from django.db.models import QuerySet

from dashboard.containers.models import Container
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Permission, Requester, require

_PREFIX = re.compile(r"[0-9a-f]{1,64}\Z")


class NoSuchContainer(DashboardError):
    def __init__(self, text: str) -> None:
        super().__init__(f"No such container: {text}", status=404)


def containers_for(user: Requester) -> QuerySet[Container]:
    """All containers that `user` may see, newest first."""
    require(user, Permission.CONTAINER_VIEW)
    rows = Container.objects.select_related("image", "owner", "health").prefetch_related(
        "ports", "volume_uses__volume", "endpoints__network"
    )
    return rows.order_by("-created_at", "-pk")


def find(text: str) -> Container:
    """A whole id, a name, or the beginning of one id, in this order.

    Raises:
        NoSuchContainer: 404.
        DashboardError: the beginning of several ids (409).
    """
    rows = Container.objects.select_related("image", "owner", "health")
    named = rows.filter(container_id=text).first() or rows.filter(name=text.removeprefix("/")).first()
    if named is not None:
        return named
    if not _PREFIX.match(text):
        raise NoSuchContainer(text)
    begun = list(rows.filter(container_id__startswith=text)[:2])
    if len(begun) > 1:
        msg = f"Multiple IDs found with provided prefix: {text}"
        raise DashboardError(msg, status=409)
    if not begun:
        raise NoSuchContainer(text)
    return begun[0]
