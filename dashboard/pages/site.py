"""Site administration: all teams and all people, with what can be done about them."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from dashboard.accounts import factors
from dashboard.containers.models import ContainerState
from dashboard.containers.states import RUNS
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Permission, require
from dashboard.core.render import page, shown_anew
from dashboard.quotas import services as quotas
from dashboard.teams import joining, services
from dashboard.teams import people as links
from dashboard.teams.models import Team

SHOWN = 200
_BARS = ("memory_bytes", "nano_cpus", "layer_bytes", "image_bytes")  # those that a host runs out of


@require_safe
def site(request: HttpRequest) -> HttpResponse:
    require(request.user, Permission.SITE_ADMIN)
    return _page(request)


def _page(request: HttpRequest, **more: object) -> HttpResponse:
    query = request.GET.get("q", "").strip()[:150]
    people = services.people(request.user)
    if query:
        people = people.filter(Q(username__icontains=query) | Q(memberships__team__slug__icontains=query)).distinct()
    count = people.count()
    with_factor = factors.holders()
    context = {
        "all_teams": [(team, _bars(team)) for team in _teams()],
        "people": [(one, one.pk in with_factor) for one in people[:SHOWN]],
        "people_count": count,
        "more": max(0, count - SHOWN),
        "query": query,
    }
    return page(request, "pages/site.html", context | more)


def _teams() -> list[Team]:
    running = Count("containers", distinct=True, filter=Q(containers__state__in=RUNS))
    counted = Team.objects.annotate(
        people_count=Count("memberships", distinct=True),
        container_count=Count("containers", distinct=True, filter=~Q(containers__state=ContainerState.TRASHED)),
        running_count=running,
    )
    return list(counted.order_by("slug"))


def _bars(team: Team) -> list[quotas.Bar]:
    """Of what the team has a limit for."""
    found = quotas.quota_of(team, None)
    return (
        []
        if found is None
        else [bar for bar in quotas.bars(found, team.pk, None) if bar.limit is not None and bar.kind in _BARS]
    )


@require_POST
def create_team(request: HttpRequest) -> HttpResponse:
    require(request.user, Permission.SITE_ADMIN)
    services.create(request.user, request.POST.get("slug", "").strip(), request.POST.get("name", "").strip()[:80])
    return shown_anew(request, "site")


@require_POST
def remove_team(request: HttpRequest, slug: str) -> HttpResponse:
    require(request.user, Permission.SITE_ADMIN)
    found = Team.objects.filter(slug=slug).first()
    if found is None:
        raise DashboardError(_("No such team: %(name)s") % {"name": slug}, status=404)
    services.remove(request.user, found)
    return shown_anew(request, "site")


@require_POST
def create_person(request: HttpRequest) -> HttpResponse:
    """With a link for the first password, shown once."""
    require(request.user, Permission.SITE_ADMIN)
    made = services.create_person(request.user, request.POST.get("name", "").strip())
    return _with_link(request, made)


@require_POST
def change_person(request: HttpRequest, name: str) -> HttpResponse:
    """The button says how: `close`, `open`, `link`, or `factors`."""
    require(request.user, Permission.SITE_ADMIN)
    person, how = services.find_person(name), request.POST.get("how", "")
    if how == "link":
        return _with_link(request, person)
    if how in {"close", "open"}:
        services.set_active(request.user, person, is_active=how == "open")
    elif how == "factors":
        factors.remove_all(request.user, person)
    else:
        raise DashboardError(_("Say what to do: close, open, link or factors."))
    return shown_anew(request, "site")


def _with_link(request: HttpRequest, person: User) -> HttpResponse:
    secret = links.new_password_secret(request.user, person)
    return _page(request, link=joining.link_of("set-password", secret), link_name=person.username)
