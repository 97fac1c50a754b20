"""The page of a team's images: its list, requests, and the answers."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from dashboard.core.errors import DashboardError
from dashboard.core.gate import Permission, offers, require
from dashboard.core.numbers import whole_number
from dashboard.core.render import page, shown_anew
from dashboard.imagepolicy import services
from dashboard.imagepolicy.models import Answer
from dashboard.teams.views import frame_of, here

SHOWN = 100


def _days(request: HttpRequest) -> int | None:
    text = request.POST.get("days", "").strip()
    return whole_number(text) if text else None


@require_safe
def images(request: HttpRequest) -> HttpResponse:
    """Which images the team may have, what was asked for, and the form to ask."""
    team = here(request)
    require(request.user, Permission.TEAM_VIEW, team)
    asked = list(services.requests_of(request.user, team)[:SHOWN])
    context = frame_of(request, team, "images") | {
        "listed": services.is_listed(team.pk),
        "rules": services.rules(request.user, team),
        "waiting": [one for one in asked if one.answer == Answer.PENDING],
        "decided": [one for one in asked if one.answer != Answer.PENDING],
        "may_ask": offers(request.user, Permission.IMAGE_PULL, team),
        "wanted": request.GET.get("ask", "")[:600],
    }
    context["unread"] = set(services.unread(request.user, team).values_list("pk", flat=True))
    services.mark_read(request.user, team)
    return page(request, "teams/images.html", context)


@require_POST
def set_listed(request: HttpRequest) -> HttpResponse:
    team = here(request)
    require(request.user, Permission.TEAM_MANAGE, team)
    services.set_listed(request.user, team, listed=request.POST.get("listed") == "1")
    return shown_anew(request, "team-images")


@require_POST
def allow(request: HttpRequest) -> HttpResponse:
    team = here(request)
    require(request.user, Permission.TEAM_MANAGE, team)
    services.add_rule(request.user, team, request.POST.get("image", ""), days=_days(request))
    return shown_anew(request, "team-images")


@require_POST
def disallow(request: HttpRequest, number: int) -> HttpResponse:
    team = here(request)
    require(request.user, Permission.TEAM_MANAGE, team)
    services.remove_rule(request.user, team, number)
    return shown_anew(request, "team-images")


@require_POST
def ask(request: HttpRequest) -> HttpResponse:
    team = here(request)
    require(request.user, Permission.IMAGE_PULL, team)
    services.ask(request.user, team, request.POST.get("image", ""), request.POST.get("reason", ""))
    return shown_anew(request, "team-images")


@require_POST
def decide(request: HttpRequest, number: int) -> HttpResponse:
    """The button says which: `tag`, `digest`, `once` or `refuse`."""
    team = here(request)
    require(request.user, Permission.TEAM_MANAGE, team)
    how = request.POST.get("how", "")
    if how not in {"tag", "digest", "once", "refuse"}:
        raise DashboardError(_("The answer is approve, once or refuse."))
    services.decide(
        request.user,
        team,
        number,
        approve=how != "refuse",
        once=how == "once",
        pins=how == "digest",
        days=_days(request),
        said=request.POST.get("said", ""),
    )
    return shown_anew(request, "team-images")
