"""The first administrator, and what a person sets for himself. Signing in and out is allauth's."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from allauth.core import ratelimit
from django.contrib import messages
from django.contrib.auth import login, update_session_auth_hash
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import PasswordChangeForm
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from dashboard.accounts import tokens
from dashboard.accounts.forms import NewAccountForm, PreferencesForm
from dashboard.accounts.models import Preferences
from dashboard.audit import services as audit
from dashboard.core.errors import NotFound
from dashboard.core.gate import Permission, require

if TYPE_CHECKING:
    from django.contrib.auth.models import User

_BACKEND = "django.contrib.auth.backends.ModelBackend"


@sensitive_post_parameters("password1", "password2")
@never_cache
@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
def setup(request: HttpRequest, token: str) -> HttpResponse:
    """The one-time link that `script/server` prints. Whoever has it is the host's root, or was told it by him."""
    try:
        return _setup(request, token)
    except NotFound as error:
        context = {"message": str(error), "has_administrator": tokens.has_administrator()}
        return render(request, "accounts/setup_over.html", context, status=error.status)


def _setup(request: HttpRequest, token: str) -> HttpResponse:
    tokens.check_setup(token)
    form = NewAccountForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        status = 422 if request.method == "POST" else 200
        return render(request, "accounts/setup.html", {"form": form}, status=status)
    person = tokens.make_first_administrator(
        token, username=form.cleaned_data["username"], password=form.cleaned_data["password1"]
    )
    login(request, person, backend=_BACKEND)
    return redirect("home")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def preferences(request: HttpRequest) -> HttpResponse:
    require(request.user, Permission.OWN_ACCOUNT)
    person = cast("User", request.user)
    mine = Preferences.objects.filter(user=person).first() or Preferences(user_id=person.pk)
    if request.method != "POST":
        return render(request, "accounts/preferences.html", {"form": PreferencesForm(instance=mine)})
    form = PreferencesForm(request.POST, instance=mine)
    if not form.is_valid():
        return render(request, "accounts/preferences.html", {"form": form}, status=422)
    form.save()
    with translation.override(mine.language or translation.get_language_from_request(request)):
        messages.success(request, _("Saved."))
    if request.headers.get("HX-Request") == "true":  # language and theme are of the whole page, not of its main part
        return HttpResponse(headers={"HX-Redirect": reverse("preferences")})
    return redirect("preferences")


@sensitive_post_parameters("old_password", "new_password1", "new_password2")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def change_password(request: HttpRequest) -> HttpResponse:
    """Keep this session under a new key; every other one of the person's ends, with its sockets (WEB-07, WS-04)."""
    require(request.user, Permission.OWN_ACCOUNT)
    person = cast("User", request.user)
    if request.method != "POST":
        return render(request, "accounts/password.html", {"form": PasswordChangeForm(person)})
    too_often: HttpResponse | None = ratelimit.consume_or_429(request, action="change_password", user=person)
    if too_often is not None:
        return too_often
    form = PasswordChangeForm(person, request.POST)
    if not form.is_valid():
        return render(request, "accounts/password.html", {"form": form}, status=422)
    with transaction.atomic():
        changed = form.save()
        audit.record("change-password", person, target=person.username)
    update_session_auth_hash(request, changed)
    messages.success(request, _("The password is changed. Everywhere else you are signed out."))
    return redirect("preferences")
