"""The page of registries: how each is reached, whose credentials a pull uses, logging in and out."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from dashboard.core.errors import DashboardError
from dashboard.core.gate import Permission, offers, require
from dashboard.core.render import page, shown_anew
from dashboard.core.shown import shown_mirrors
from dashboard.jobs import services as jobs
from dashboard.registries import services
from dashboard.registries.services import Whose
from dashboard.teams.models import Team
from dashboard.teams.views import frame_of, here

TRY_S = 45.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a registry is reached, as the host's administrator has set it. `address`: without a mirror's own password."""

    registry: str
    address: str
    is_mirror: bool
    is_in_the_clear: bool


def _ways() -> list[Way]:
    mirrors = [
        Way(registry=name, address=url, is_mirror=True, is_in_the_clear=url.startswith("http:"))
        for name, url in sorted(shown_mirrors().items())
    ]
    plain = [
        Way(registry=name, address=name, is_mirror=False, is_in_the_clear=True)
        for name in sorted(settings.BERTH_PLAIN_HTTP)
    ]
    return mirrors + [one for one in plain if one.registry not in settings.BERTH_MIRRORS]


def _choices(request: HttpRequest, team: Team) -> list[tuple[str, str]]:
    """Whose credentials this person may keep."""
    found = [(Whose.MINE.value, _("Mine, in all my teams"))]
    if offers(request.user, Permission.CREDENTIAL_MANAGE, team):
        found.append((Whose.TEAM.value, _("The team's")))
    if offers(request.user, Permission.SITE_ADMIN):
        found.append((Whose.SITE.value, _("Everybody's")))
    return found


@require_safe
def registries(request: HttpRequest) -> HttpResponse:
    team = here(request)
    require(request.user, Permission.TEAM_VIEW, team)
    may_pull = offers(request.user, Permission.IMAGE_PULL, team)
    choices = _choices(request, team)
    context = frame_of(request, team, "registries") | {
        "ways": _ways(),
        "credentials": services.listed(request.user, team) if may_pull else [],
        "may_log_in": may_pull,
        "choices": choices,
        "removable": {value for value, _words in choices},
        "default_registry": services.DEFAULT,
        "server": request.GET.get("server", "")[:255],
    }
    return page(request, "teams/registries.html", context)


def _whose(request: HttpRequest) -> Whose:
    try:
        return Whose(request.POST.get("whose", ""))
    except ValueError as error:
        raise DashboardError(_("Say whose the credentials are.")) from error


@sensitive_post_parameters("password")
@require_POST
def log_in(request: HttpRequest) -> HttpResponse:
    """Answers once the registry has taken them or not."""
    team = here(request)
    whose = _whose(request)
    services.require_may_keep(request.user, whose, team)
    job = services.log_in(
        request.user,
        request.POST.get("server", ""),
        username=request.POST.get("username", ""),
        password=request.POST.get("password", ""),
        whose=whose,
        team=team,
    )
    if jobs.outcome(job, TRY_S) is None:
        raise DashboardError(_("The registry has not answered yet. Look at the activity for how it ends."), status=504)
    return shown_anew(request, "team-registries")


@require_POST
def log_out(request: HttpRequest) -> HttpResponse:
    team = here(request)
    whose = _whose(request)
    services.require_may_keep(request.user, whose, team)
    services.log_out(request.user, request.POST.get("server", ""), whose=whose, team=team)
    return shown_anew(request, "team-registries")
