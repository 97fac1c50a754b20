"""A network's page: who is in it; coming and going, from there and from a container's page."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from dashboard.containers import networking, states
from dashboard.containers.models import Container
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Permission, require
from dashboard.core.render import is_htmx, page, said
from dashboard.grammar.errors import ValueRefused
from dashboard.grammar.netvalues import NetworkChoice, read_address, read_alias
from dashboard.jobs.services import outcome
from dashboard.networks.addresses import subnet_of
from dashboard.networks.models import Network
from dashboard.networks.views import found_network

_CHANGE_S = 15
MOST_CHOICES = 200


@require_safe
def network(request: HttpRequest, network_id: str) -> HttpResponse:
    shown = found_network(request, network_id, Permission.NETWORK_VIEW)
    inside = list(shown.endpoints.select_related("container", "network").order_by("container__name"))
    others = Container.objects.exclude(endpoints__network=shown).order_by("name")[:MOST_CHOICES]
    context = {
        "network": shown,
        "subnet": None if shown.is_none else subnet_of(shown),
        "endpoints": [(one, one.container.state in states.RUNS) for one in inside],
        "names": ", ".join(one.container.name for one in inside),
        "others": others,
    }
    part = request.GET.get("part") == "inside"
    return page(request, "networks/inside.html" if part else "networks/network.html", context)


def _container(request: HttpRequest) -> Container:
    text = request.POST.get("container", "").strip()
    found = Container.objects.filter(container_id=text).first() or Container.objects.filter(name=text).first()
    if found is None:
        raise Http404(_("This container no longer exists."))
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


def places(container: Container) -> dict[str, object]:
    """For the container's page: where it is, and where it could be."""
    inside = networking.endpoints_of(container)
    there = [one.network_id for one in inside]
    free = Network.objects.exclude(pk__in=there).exclude(number=None).order_by("name")[:MOST_CHOICES]
    return {"endpoints": inside, "free_networks": () if any(one.network.is_none for one in inside) else free}
