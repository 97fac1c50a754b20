"""A network's page: who is in it; coming and going, from there and from a container's page."""

from __future__ import annotations

from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from dashboard.containers import networking, states
from dashboard.containers.lookup import NoSuchContainer, find
from dashboard.containers.models import Container
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Permission, Requester, require
from dashboard.core.render import is_htmx, page, said
from dashboard.grammar.errors import ValueRefused
from dashboard.grammar.netvalues import NetworkChoice, read_address, read_alias
from dashboard.jobs.services import outcome
from dashboard.networks.addresses import subnet_of
from dashboard.networks.models import Network
from dashboard.networks.views import found_network
from dashboard.teams import scope

_CHANGE_S = 15
MOST_CHOICES = 200


@require_safe
def network(request: HttpRequest, network_id: str) -> HttpResponse:
    require(request.user, Permission.NETWORK_VIEW)
    part = request.GET.get("part") == "inside"
    try:
        shown = found_network(request, network_id, Permission.NETWORK_VIEW)
    except Http404:
        if part:  # a page that is being left: what it showed was removed just now
            return HttpResponse(status=204)
        raise
    rows = shown.endpoints.select_related("container", "network").order_by("container__name")
    mine = scope.team_ids(request.user)
    inside = list(rows if mine is None else rows.filter(container__team_id__in=mine))
    free = scope.here(request.user, Container.objects.exclude(endpoints__network=shown))
    if shown.team_id is not None:
        free = free.filter(team_id=shown.team_id)
    others = free.order_by("name")[:MOST_CHOICES]
    context = {
        "network": shown,
        "subnet": None if shown.is_none else subnet_of(shown),
        "endpoints": [(one, one.container.state in states.RUNS) for one in inside],
        "names": ", ".join(one.container.name for one in inside),
        "others": others,
    }
    return page(request, "networks/inside.html" if part else "networks/network.html", context)


def _container(request: HttpRequest) -> Container:
    text = request.POST.get("container", "").strip()
    try:
        found = find(text, request.user)
    except NoSuchContainer as error:
        raise Http404(_("This container no longer exists.")) from error
    require(request.user, Permission.CONTAINER_OPERATE, found)
    return found


def _choice(request: HttpRequest, network: Network) -> NetworkChoice:
    words = request.POST.get("aliases", "").replace(",", " ").split()
    ip = request.POST.get("ip", "").strip()
    try:
        aliases, address = tuple(map(read_alias, words)), read_address(ip) if ip else ""
    except ValueRefused as error:
        raise DashboardError(str(error)) from error
    return NetworkChoice(name=network.network_id, aliases=aliases, ip=address)


@require_POST
def connect(request: HttpRequest, network_id: str) -> HttpResponse:
    found = found_network(request, network_id, Permission.NETWORK_USE)
    container = _container(request)
    job = networking.connect(request.user, container, _choice(request, found))
    if job is not None:
        outcome(job, _CHANGE_S)
    if not is_htmx(request):
        return redirect("network", found.network_id)
    return said(
        _("%(container)s is in the network %(network)s.") % {"container": container.name, "network": found.name}
    )


@require_POST
def disconnect(request: HttpRequest, network_id: str) -> HttpResponse:
    found = found_network(request, network_id, Permission.NETWORK_USE)
    container = _container(request)
    job = networking.disconnect(request.user, container, found)
    if job is not None:
        outcome(job, _CHANGE_S)
    if not is_htmx(request):
        return redirect("network", found.network_id)
    return said(
        _("%(container)s is no longer in the network %(network)s.")
        % {"container": container.name, "network": found.name}
    )


def places(container: Container, user: Requester) -> dict[str, object]:
    """For the container's page: where it is, and where it could be."""
    inside = networking.endpoints_of(container)
    there = [one.network_id for one in inside]
    rows = scope.seen(user, Network.objects.filter(Q(team_id=container.team_id) | Q(team=None)), shared=True)
    free = rows.exclude(pk__in=there).exclude(number=None).order_by("name")[:MOST_CHOICES]
    return {"endpoints": inside, "free_networks": () if any(one.network.is_none for one in inside) else free}
