"""The page of networks: what is there, who is in them, making one, removing one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from dashboard.core.errors import DashboardError
from dashboard.core.gate import Permission, Requester, require
from dashboard.core.render import go_to, is_htmx, page, said
from dashboard.jobs.services import outcome
from dashboard.networks import services
from dashboard.networks.addresses import subnet_of
from dashboard.networks.forms import NetworkForm
from dashboard.networks.models import Network
from dashboard.teams import scope

_REMOVAL_S = 15


@dataclass(frozen=True, slots=True)
class NetworkRow:
    network: Network
    subnet: str
    users: list[str]


def rows_of(networks: Iterable[Network], user: Requester) -> list[NetworkRow]:
    """With names of containers of the person's teams only: everybody is in the default network."""
    mine = scope.team_ids(user)
    return [
        NetworkRow(
            network=one,
            subnet="" if one.is_none else str(subnet_of(one)),
            users=sorted(
                endpoint.container.name
                for endpoint in one.endpoints.all()
                if mine is None or endpoint.container.team_id in mine
            ),
        )
        for one in networks
    ]


def found_network(request: HttpRequest, network_id: str, permission: Permission) -> Network:
    found = (
        scope.seen(request.user, Network.objects.select_related("owner"), shared=True)
        .filter(network_id=network_id)
        .first()
    )
    if found is None:
        raise Http404(_("This network no longer exists."))
    require(request.user, permission, found)
    return found


@require_safe
def networks(request: HttpRequest) -> HttpResponse:
    require(request.user, Permission.NETWORK_VIEW)
    query = request.GET.get("q", "").strip()
    rows = services.networks_for(request.user).prefetch_related("endpoints__container")
    shown = rows.filter(name__icontains=query) if query else rows
    context = {"rows": rows_of(shown, request.user), "query": query, "form": NetworkForm()}
    part = request.GET.get("part") == "rows"
    return page(request, "networks/rows.html" if part else "networks/list.html", context)


@require_POST
def create(request: HttpRequest) -> HttpResponse:
    require(request.user, Permission.NETWORK_CREATE)
    form = NetworkForm(request.POST)
    if not form.is_valid():
        name, problems = next(iter(form.errors.items()))
        msg = f"{form.fields[name].label}: {' '.join(map(str, problems))}"
        raise DashboardError(msg)
    made = services.create(request.user, form.request())
    if is_htmx(request):
        return said(_("The network %(name)s is made.") % {"name": made.name})
    return redirect("networks")


@require_POST
def remove(request: HttpRequest, network_id: str) -> HttpResponse:
    found = found_network(request, network_id, Permission.NETWORK_REMOVE)
    ended = outcome(services.remove(found, request.user), _REMOVAL_S)
    if not is_htmx(request):
        return redirect("networks")
    if request.POST.get("leave"):
        return go_to("/networks/")
    if ended is None:
        return said(_("%(name)s is being removed.") % {"name": found.name}, tone="info")
    return said(_("%(name)s is removed.") % {"name": found.name})
