"""One's own second factors. What changes one is asked for the password again: an open browser is not its owner."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any, cast

from allauth.core import ratelimit
from allauth.mfa.adapter import get_adapter
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.totp.internal.auth import clear_totp_secret, get_totp_secret
from allauth.mfa.webauthn.internal.auth import begin_registration
from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from dashboard.accounts import factors
from dashboard.accounts.factorforms import AddPasskey
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Permission, missing_factor, require
from dashboard.core.render import page, shown_anew

_PARTS = {"app", "passkey"}


@never_cache
@require_safe
def second_factor(request: HttpRequest) -> HttpResponse:
    """What there is; with `?add=app` or `?add=passkey` the form for one more."""
    require(request.user, Permission.OWN_ACCOUNT)
    adding = request.GET.get("add", "")
    return _shown(request, adding=adding if adding in _PARTS else "")


def _shown(
    request: HttpRequest, *, adding: str = "", problem: str = "", codes: list[str] | None = None
) -> HttpResponse:
    person = cast("User", request.user)
    found = factors.of(person)
    context: dict[str, object] = {
        "factors": found,
        "adding": adding,
        "problem": problem,
        "codes": codes,
        "required_by": missing_factor(person),
    }
    if adding == "app" and not found.app:
        context |= _app(person, get_totp_secret(regenerate=not problem))
    if adding == "passkey" and settings.PASSKEYS_POSSIBLE:
        context["options"] = _plain(begin_registration(person, passwordless=True))
    return page(request, "accounts/second_factor.html", context, status=422 if problem else 200)


def _app(person: User, secret: str) -> dict[str, object]:
    """The picture that an app reads, and the same as letters."""
    adapter = get_adapter()
    picture = adapter.build_totp_svg(adapter.build_totp_url(person, secret))
    return {
        "picture": f"data:image/svg+xml;base64,{base64.b64encode(picture.encode()).decode()}",
        "secret": " ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
    }


def _plain(options: Any) -> Any:  # Any: fido2's mappings
    """As JSON has it: bytes are base64url already."""
    return json.loads(json.dumps(options, default=dict))


_FRESH = timedelta(minutes=10)


def _problem(request: HttpRequest) -> str:
    """What is wrong with the password; "" for nothing.

    Raises:
        DashboardError: somebody guesses too often (429).
    """
    if not ratelimit.consume(request, action="factor", user=request.user):
        raise DashboardError(_("Too many attempts. Wait a few minutes, then try again."), status=429)
    person = cast("User", request.user)
    if not person.has_usable_password():  # who signs in by a provider has none here
        is_fresh = person.last_login is not None and timezone.now() - person.last_login < _FRESH
        return "" if is_fresh else _("Sign out and in again first: this needs a fresh sign-in.")
    return "" if person.check_password(request.POST.get("password", "")) else _("The password is not right.")


@sensitive_post_parameters("password", "code")
@never_cache
@require_POST
def add_app(request: HttpRequest) -> HttpResponse:
    require(request.user, Permission.OWN_ACCOUNT)
    problem = _problem(request)
    form = ActivateTOTPForm(request.POST, user=request.user)
    if not problem and not form.is_valid():
        problem = str(next(iter(form.errors.values()))[0])
    if problem:
        return _shown(request, adding="app", problem=problem)
    codes = factors.add_app(cast("User", request.user), form.secret)
    clear_totp_secret(request)
    return _shown(request, codes=codes)


@sensitive_post_parameters("password", "credential")
@never_cache
@require_POST
def add_passkey(request: HttpRequest) -> HttpResponse:
    require(request.user, Permission.OWN_ACCOUNT)
    if not settings.PASSKEYS_POSSIBLE:
        raise DashboardError(_("Passkeys need Berth behind https:// and a name."), status=409)
    problem = _problem(request)
    form = AddPasskey(request.POST, user=request.user)
    if not problem and not form.is_valid():
        problem = _("The browser's answer is not one to these questions. Try again.")
    if problem:
        return _shown(request, adding="passkey", problem=problem)
    said = form.cleaned_data
    codes = factors.add_passkey(cast("User", request.user), request.POST.get("name", ""), said["credential"])
    return _shown(request, codes=codes)


@sensitive_post_parameters("password")
@never_cache
@require_POST
def new_codes(request: HttpRequest) -> HttpResponse:
    require(request.user, Permission.OWN_ACCOUNT)
    problem = _problem(request)
    if problem:
        return _shown(request, problem=problem)
    return _shown(request, codes=factors.new_codes(cast("User", request.user)))


@sensitive_post_parameters("password")
@never_cache
@require_POST
def remove(request: HttpRequest, number: int) -> HttpResponse:
    require(request.user, Permission.OWN_ACCOUNT)
    problem = _problem(request)
    if problem:
        return _shown(request, problem=problem)
    factors.remove(cast("User", request.user), number)
    return shown_anew(request, "second-factor")
