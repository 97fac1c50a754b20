"""The page of a team's quotas."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_http_methods

from dashboard.core.errors import DashboardError
from dashboard.core.gate import Permission, offers, require
from dashboard.core.numbers import whole_number
from dashboard.core.render import page, shown_anew
from dashboard.grammar.errors import ValueRefused
from dashboard.quotas import pages, services
from dashboard.quotas.kinds import KINDS
from dashboard.teams import services as teams
from dashboard.teams.views import frame_of, here


@require_http_methods(["GET", "HEAD", "POST"])
def quotas(request: HttpRequest) -> HttpResponse:
    """Bars for the team and its members; posted to, one's limits are set: all that the form has."""
    team = here(request)
    if request.method == "POST":
        require(request.user, Permission.TEAM_MANAGE, team)
        name = request.POST.get("person", "")
        person = teams.find_person(name) if name else None
        services.change(request.user, team, person, _said(request))
        return shown_anew(request, "team-quotas")
    told = pages.seen(request.user, team)
    edited = next((one for one in told if one.username == request.GET.get("person", "-")), None)
    context = frame_of(request, team, "quotas") | {
        "whole": told[0],
        "members": told[1:],
        "edited": edited,
        "is_site": offers(request.user, Permission.SITE_ADMIN),
    }
    return page(request, "teams/quotas.html", context)


def _said(request: HttpRequest) -> dict[str, int | None]:
    """Raises DashboardError: 400, a value that cannot be read."""
    found: dict[str, int | None] = {}
    for name, kind in KINDS.items():
        text = request.POST.get(name, "").strip()
        try:
            found[name] = kind.read(text) if text else None
        except ValueRefused as error:
            msg = f"{kind.words}: {error}"
            raise DashboardError(msg) from error
    first, _dash, last = request.POST.get("port_range", "").strip().partition("-")
    for name, text in (("first_port", first.strip()), ("last_port", last.strip())):
        found[name] = whole_number(text) if text else None
    return found
