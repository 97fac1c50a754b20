"""The current team: choosing it, who is in it and as what. And the page behind a link that sets a password."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import SetPasswordForm
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dashboard.core.errors import DashboardError, NotFound
from dashboard.core.gate import Permission, offers, require
from dashboard.core.render import page, shown_anew
from dashboard.teams import mapping, people, scope, services
from dashboard.teams.models import Team
from dashboard.teams.policy import rights_in
from dashboard.teams.rights import Builtin


@dataclass(frozen=True, slots=True)
class Choices:
    """For the switcher in every page's frame."""

    current: Team | None
    others: list[Team]
    has_all: bool  # "all teams" can be chosen


def choices(request: HttpRequest) -> Choices:
    here = scope.current(request.user)
    others = [one for one in scope.teams_of(request.user).order_by("name") if one != here]
    return Choices(here, others, scope.is_site_admin(request.user))


def frame_of(request: HttpRequest, team: Team, tab: str) -> dict[str, object]:
    """What the head and the tabs of a team's pages show."""
    return {"team": team, "tab": tab, "manages": offers(request.user, Permission.TEAM_MANAGE, team)}


def role_choices(team: Team) -> list[tuple[str, object]]:
    """(as commands spell it, as people read it)."""
    return [*Builtin.choices, *((one, one) for one in team.roles.values_list("name", flat=True))]


@require_safe
def team(request: HttpRequest) -> HttpResponse:
    """Who is in the current team. Who is in none is told so, and whom to ask."""
    require(request.user, Permission.OWN_ACCOUNT)
    here = scope.current(request.user)
    if here is None:
        return page(request, "teams/none.html", {"has_all": scope.is_site_admin(request.user)})
    rows = services.members(request.user, here)
    context = frame_of(request, here, "members")
    mine = rights_in(request.user, here.pk)
    context |= {
        "members": [(row, context["manages"] and row.rights <= mine) for row in rows],
        "roles": role_choices(here),
        "without_factor": services.without_factor(here) if context["manages"] else set(),
        "groups": mapping.groups_of(request.user, here) if scope.is_site_admin(request.user) else [],
        "maps_groups": scope.is_site_admin(request.user) and bool(settings.SOCIALACCOUNT_PROVIDERS),
        "figures": {
            name: getattr(here, name).count() for name in ("containers", "volumes", "networks")
        },  # related names: their apps are above this one
    }
    return page(request, "teams/team.html", context)


@require_POST
def add_group(request: HttpRequest) -> HttpResponse:
    team = here(request)
    require(request.user, Permission.SITE_ADMIN)
    mapping.add(request.user, team, request.POST.get("name", ""), request.POST.get("role", ""))
    return shown_anew(request, "team")


@require_POST
def remove_group(request: HttpRequest) -> HttpResponse:
    team = here(request)
    require(request.user, Permission.SITE_ADMIN)
    mapping.remove(request.user, team, request.POST.get("name", ""))
    return shown_anew(request, "team")


@require_POST
def use(request: HttpRequest) -> HttpResponse:
    """Another team is another set of everything that the page shows, so the whole page is loaded anew, at its list."""
    require(request.user, Permission.OWN_ACCOUNT)
    scope.use(request.user, request.POST.get("team", ""))
    return shown_anew(request, "home")


def here(request: HttpRequest) -> Team:
    found = scope.current(request.user)
    if found is None:
        raise DashboardError(_("Choose a team first."))
    return found


def _person(request: HttpRequest) -> User:
    return services.find_person(request.POST.get("person", "").strip())


@require_POST
def set_role(request: HttpRequest) -> HttpResponse:
    mine = here(request)
    require(request.user, Permission.TEAM_MANAGE, mine)
    services.set_role(request.user, mine, _person(request), request.POST.get("role", ""))
    return shown_anew(request, "team")


@require_POST
def require_factor(request: HttpRequest) -> HttpResponse:
    mine = here(request)
    require(request.user, Permission.TEAM_MANAGE, mine)
    services.require_factor(request.user, mine, required=request.POST.get("required") == "1")
    return shown_anew(request, "team")


@require_POST
def dismiss(request: HttpRequest) -> HttpResponse:
    """Anybody may leave, so the gate is asked by the service, about whom it is."""
    mine = here(request)
    require(request.user, Permission.OWN_ACCOUNT)
    name = request.POST.get("person", "").strip()
    if name != request.user.get_username():
        require(request.user, Permission.TEAM_MANAGE, mine)
    services.dismiss(request.user, mine, _person(request))
    return shown_anew(request, "team")


@sensitive_post_parameters("new_password1", "new_password2")
@never_cache
@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
def set_password(request: HttpRequest, secret: str) -> HttpResponse:
    """A one-time link that an administrator has handed over."""
    try:
        person = people.person_of(secret)
    except NotFound as error:
        return render(request, "teams/link_over.html", {"message": str(error)}, status=error.status)
    form = SetPasswordForm(person, request.POST or None)
    if request.method != "POST" or not form.is_valid():
        status = 422 if request.method == "POST" else 200
        return render(request, "accounts/set_password.html", {"form": form, "person": person}, status=status)
    people.set_password(secret, form.cleaned_data["new_password1"])
    return redirect("account_login")
