"""Giving a container to another team, on its page."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_POST

from dashboard.containers import moving
from dashboard.containers.views import found_container
from dashboard.core.gate import Permission
from dashboard.core.render import shown_anew


@require_POST
def move(request: HttpRequest, container_id: str) -> HttpResponse:
    """Its page is the other team's from now on; the list is where one is left."""
    found = found_container(request, container_id, Permission.CONTAINER_REMOVE)
    moving.move_container(request.user, found.container_id, request.POST.get("team", ""))
    return shown_anew(request, "containers")
