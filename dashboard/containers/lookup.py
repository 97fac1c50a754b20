"""Finding containers by name, id, or the beginning of an id."""

from __future__ import annotations

import re

from django.db.models import QuerySet

from dashboard.containers.models import Container
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Permission, Requester, require
from dashboard.teams import scope

_PREFIX = re.compile(r"[0-9a-f]{1,64}\Z")


class NoSuchContainer(DashboardError):
    def __init__(self, text: str) -> None:
        super().__init__(f"No such container: {text}", status=404)


def containers_for(user: Requester) -> QuerySet[Container]:
    """The current team's containers, newest first."""
    require(user, Permission.CONTAINER_VIEW)
    rows = scope.here(user, Container.objects.select_related("image", "owner", "health", "life")).prefetch_related(
        "ports", "volume_uses__volume", "endpoints__network"
    )
    return rows.order_by("-created_at", "-pk")


def by_id(container_id: str, user: Requester) -> Container | None:
    """Of whichever of the person's teams; one of another team is none."""
    rows = Container.objects.select_related("image", "owner", "health")
    return scope.seen(user, rows).filter(container_id=container_id).first()


def find(text: str, user: Requester) -> Container:
    """A whole id, a name, or the beginning of one id, in this order: ids of all the person's teams, a name of the
    current one.

    Raises:
        NoSuchContainer: 404.
        DashboardError: the beginning of several ids (409).
    """
    rows = scope.seen(user, Container.objects.select_related("image", "owner", "health"))
    of_team = scope.here(user, rows).filter(name=text.removeprefix("/")).order_by("pk")
    named = rows.filter(container_id=text).first() or of_team.first()
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
