"""The first administrator, and what a person sets for himself. Signing in and out is allauth's."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from allauth.core import ratelimit
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, update_session_auth_hash
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import PasswordChangeForm
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from dashboard.accounts import access, factors, signins, tokens
from dashboard.accounts.forms import NewAccountForm, PreferencesForm
from dashboard.accounts.models import Preferences
from dashboard.audit import services as audit
from dashboard.core.errors import DashboardError, NotFound
from dashboard.core.gate import Permission, require
from dashboard.core.numbers import whole_number
from dashboard.core.render import shown_anew

if TYPE_CHECKING:
    from django.contrib.auth.models import User

_LOOKING = frozenset(one for one in Permission if one.endswith(".view")) | {Permission.TERMINAL_OPEN}
# What a page offers; the command line names rights one by one.
TOKEN_RIGHTS: dict[str, tuple[object, frozenset[str] | None]] = {
    "all": (gettext_lazy("All that I may"), None),
    "run": (
        gettext_lazy("Run and use containers"),
        _LOOKING
        | {
            *(Permission.IMAGE_PULL, Permission.CONTAINER_RUN, Permission.CONTAINER_OPERATE, Permission.CONTAINER_EXEC),
            *(
                Permission.CONTAINER_COPY,
                Permission.CONTAINER_REMOVE,
                Permission.PORT_PUBLISH,
                Permission.VOLUME_CREATE,
            ),
            *(Permission.VOLUME_USE, Permission.NETWORK_USE, Permission.TERMINAL_TYPE, Permission.JOB_CANCEL),
        },
    ),
    "look": (gettext_lazy("Only look"), _LOOKING),
}
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


def _shown(request: HttpRequest, form: PreferencesForm, *, status: int = 200, secret: str = "") -> HttpResponse:
    person = cast("User", request.user)
    context = {
        "form": form,
        "sign_ins": signins.of(person, request.session.session_key),
        "tokens": access.tokens_of(person, person),
        "choices": [(name, words) for name, (words, _rights) in TOKEN_RIGHTS.items()],
        "secret": secret,
        "host": settings.BERTH_PUBLIC_URL,
        "has_factor": factors.has_any(person),
    }
    return render(request, "accounts/preferences.html", context, status=status)


@never_cache
@require_POST
def create_token(request: HttpRequest) -> HttpResponse:
    """An access token, shown this once."""
    require(request.user, Permission.OWN_ACCOUNT)
    person = cast("User", request.user)
    chosen = TOKEN_RIGHTS.get(request.POST.get("rights", ""))
    if chosen is None:
        raise DashboardError(_("Choose what the token may do."))
    _words, rights = chosen
    days = whole_number(request.POST.get("days", "").strip())
    _made, secret = access.make(person, person, request.POST.get("name", ""), days=days, rights=rights)
    mine = Preferences.objects.filter(user=person).first() or Preferences(user_id=person.pk)
    return _shown(request, PreferencesForm(instance=mine), secret=secret)


@require_POST
def end_sign_in(request: HttpRequest, number: int) -> HttpResponse:
    """One of one's own, on a device that is not at hand."""
    require(request.user, Permission.OWN_ACCOUNT)
    signins.end(cast("User", request.user), number)
    return shown_anew(request, "preferences")


@require_POST
def end_other_sign_ins(request: HttpRequest) -> HttpResponse:
    require(request.user, Permission.OWN_ACCOUNT)
    signins.end_others(cast("User", request.user), request.session.session_key)
    return shown_anew(request, "preferences")


@require_POST
def revoke_token(request: HttpRequest, number: int) -> HttpResponse:
    require(request.user, Permission.OWN_ACCOUNT)
    access.revoke(request.user, number)
    return shown_anew(request, "preferences")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def preferences(request: HttpRequest) -> HttpResponse:
    require(request.user, Permission.OWN_ACCOUNT)
    person = cast("User", request.user)
    mine = Preferences.objects.filter(user=person).first() or Preferences(user_id=person.pk)
    if request.method != "POST":
        return _shown(request, PreferencesForm(instance=mine))
    form = PreferencesForm(request.POST, instance=mine)
    if not form.is_valid():
        return _shown(request, form, status=422)
    form.save()
    with translation.override(mine.language or translation.get_language_from_request(request)):
        messages.success(request, _("Saved."))
    return shown_anew(request, "preferences")  # language and theme are of the whole page, not of its main part


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
    signins.note(request)
    messages.success(request, _("The password is changed. Everywhere else you are signed out."))
    return redirect("preferences")
