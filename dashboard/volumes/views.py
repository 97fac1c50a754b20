"""The page of volumes: what is there, who uses it, making one, removing one."""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dashboard.core.errors import DashboardError
from dashboard.core.gate import Permission, require
from dashboard.core.render import at_address, is_htmx, page, said
from dashboard.jobs.services import outcome
from dashboard.teams import scope
from dashboard.volumes import services
from dashboard.volumes.archive_views import volume
from dashboard.volumes.forms import VolumeForm
from dashboard.volumes.models import Volume, shown_name

_REMOVAL_S = 15


def _listed(request: HttpRequest) -> QuerySet[Volume]:
    rows = services.volumes_for(request.user).prefetch_related("uses__container")
    query = request.GET.get("q", "").strip()
    if request.GET.get("state") == "unused":
        rows = rows.filter(uses=None)
    return rows.filter(name__icontains=query) if query else rows


@require_safe
def volumes(request: HttpRequest) -> HttpResponse:
    require(request.user, Permission.VOLUME_VIEW)
    part = request.GET.get("part")
    if not part:
        services.measure_stale(request.user)
    context = {
        "volumes": _listed(request),
        "query": request.GET.get("q", ""),
        "only_unused": request.GET.get("state") == "unused",
        "has_any": scope.here(request.user, Volume.objects.all()).exists(),
    }
    if part == "found":
        return at_address(page(request, "volumes/found.html", context), request)
    return page(request, "volumes/rows.html" if part else "volumes/list.html", context)


@require_http_methods(["GET", "POST"])
def create(request: HttpRequest) -> HttpResponse:
    if request.method == "GET":
        return volume(request, "create")  # a volume may have that name
    require(request.user, Permission.VOLUME_CREATE)
    form = VolumeForm(request.POST)
    if not form.is_valid():
        raise DashboardError(" ".join(map(str, form.errors["name"])))
    name = form.cleaned_data["name"]
    if name and scope.here(request.user, Volume.objects.filter(name=name)).exists():
        raise DashboardError(_("There is a volume %(name)s already.") % {"name": name}, status=409)
    made = services.create(request.user, name)
    if is_htmx(request):
        return said(_("The volume %(name)s is made.") % {"name": shown_name(made.name)})
    return redirect("volumes")


@require_POST
def remove(request: HttpRequest, name: str) -> HttpResponse:
    found = get_object_or_404(scope.here(request.user, Volume.objects.all()), name=name)
    require(request.user, Permission.VOLUME_REMOVE, found)
    ended = outcome(services.remove(found, request.user), _REMOVAL_S)
    if not is_htmx(request):
        return redirect("volumes")
    if ended is None:
        return said(_("%(name)s is being removed.") % {"name": shown_name(name)}, tone="info")
    return said(_("%(name)s is removed.") % {"name": shown_name(name)})
