"""Pages about coming into a team: its open links, a pasted list of names, and the page behind a link."""

from __future__ import annotations

from typing import cast

from allauth.core import ratelimit
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from dashboard.accounts.forms import NewAccountForm
from dashboard.core.errors import DashboardError, NotFound
from dashboard.core.gate import Permission, require
from dashboard.core.numbers import whole_number
from dashboard.core.render import page, shown_anew
from dashboard.teams import joining, scope
from dashboard.teams.models import Invitation
from dashboard.teams.views import frame_of, here, role_choices

_BACKEND = "django.contrib.auth.backends.ModelBackend"


def _shown(request: HttpRequest, **more: object) -> HttpResponse:
    team = here(request)
    rows = joining.invitations(request.user, team)
    context = frame_of(request, team, "invitations") | {"rows": rows, "roles": role_choices(team)}
    return page(request, "teams/invitations.html", context | more)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def invitations(request: HttpRequest) -> HttpResponse:
    """The open links; posted to, it makes one and shows it this once."""
    team = here(request)
    require(request.user, Permission.TEAM_MANAGE, team)
    if request.method != "POST":
        return _shown(request)
    made, secret = joining.invite(
        request.user,
        team,
        request.POST.get("role", ""),
        uses=whole_number(request.POST.get("uses", "").strip()),
        days=whole_number(request.POST.get("days", "").strip()),
        note=request.POST.get("note", ""),
    )
    return _shown(request, made=made, link=joining.link_of("join", secret))


@require_POST
def revoke(request: HttpRequest, number: int) -> HttpResponse:
    team = here(request)
    require(request.user, Permission.TEAM_MANAGE, team)
    joining.revoke(request.user, team, number)
    return shown_anew(request, "team-invitations")


@never_cache
@require_POST
def take_in(request: HttpRequest) -> HttpResponse:
    """A pasted list. The links of new accounts are shown this once."""
    team = here(request)
    require(request.user, Permission.TEAM_MANAGE, team)
    names = joining.split_names(request.POST.get("names", ""))
    done = joining.take_in(request.user, team, names, request.POST.get("role", ""))
    lines = [(one, joining.link_of("set-password", one.secret) if one.secret else "") for one in done]
    text = "\n".join(f"{one.name}\t{link}" for one, link in lines if link)
    return _shown(request, taken=lines, taken_text=text, new_count=sum(bool(link) for _one, link in lines))


@sensitive_post_parameters("password1", "password2")
@never_cache
@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
def join(request: HttpRequest, secret: str) -> HttpResponse:
    """Behind a link: whoever is signed in comes in as they are; anybody else makes an account, or signs in first."""
    try:
        invitation = joining.invitation_of(secret)
        if request.user.is_authenticated:
            return _join_signed_in(request, secret, invitation)
        return _join_as_new(request, secret, invitation)
    except NotFound as error:
        return render(request, "teams/link_over.html", {"message": str(error)}, status=error.status)


def _join_signed_in(request: HttpRequest, secret: str, invitation: Invitation) -> HttpResponse:
    require(request.user, Permission.OWN_ACCOUNT)
    person = cast("User", request.user)
    if request.method != "POST":
        is_in = joining.is_member(person, invitation.team)
        context = {"invitation": invitation, "is_in": is_in, "role": _role_shown(invitation)}
        return render(request, "teams/join.html", context)
    team = joining.join(secret, person)
    scope.use(person, team.slug)
    return redirect("home")


def _join_as_new(request: HttpRequest, secret: str, invitation: Invitation) -> HttpResponse:
    form = NewAccountForm(request.POST or None)
    if request.method == "POST":
        too_often: HttpResponse | None = ratelimit.consume_or_429(request, action="join")
        if too_often is not None:
            return too_often
        if form.is_valid():
            try:
                person = joining.join_as_new(
                    secret, username=form.cleaned_data["username"], password=form.cleaned_data["password1"]
                )
            except NotFound:
                raise
            except DashboardError as error:
                form.add_error("username", str(error))
            else:
                login(request, person, backend=_BACKEND)
                scope.use(person, invitation.team.slug)
                return redirect("home")
    context = {"invitation": invitation, "form": form, "role": _role_shown(invitation)}
    return render(request, "teams/join.html", context, status=422 if request.method == "POST" else 200)


def _role_shown(invitation: Invitation) -> object:
    return dict(role_choices(invitation.team)).get(invitation.role, invitation.role)
