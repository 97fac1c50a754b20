"""Only those of allauth's addresses that are used: signing up and everything by e-mail has none."""

from __future__ import annotations

from collections.abc import Callable

from allauth.account import views as allauth
from allauth.mfa.base.views import authenticate
from allauth.mfa.webauthn.views import login_webauthn
from django.contrib.auth.decorators import login_not_required
from django.http import HttpResponseBase
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from dashboard.accounts import directoryviews, factorviews, views


def _signing_in(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Of allauth, for who is not in yet."""
    return never_cache(login_not_required(require_http_methods(["GET", "HEAD", "POST"])(view)))


urlpatterns = [
    path("accounts/login/", allauth.login, name="account_login"),
    path("accounts/second-factor/", _signing_in(authenticate), name="mfa_authenticate"),
    path("accounts/passkey/", _signing_in(login_webauthn), name="mfa_login_webauthn"),
    path("accounts/sso/", directoryviews.start, name="sso"),
    path("accounts/sso/callback/", directoryviews.callback, {"provider_id": "sso"}, name="openid_connect_callback"),
    path("accounts/logout/", allauth.logout, name="account_logout"),
    path("accounts/password/change/", views.change_password, name="account_change_password"),
    path("setup/<str:token>/", views.setup, name="setup"),
    path("me/sign-ins/end/", views.end_other_sign_ins, name="sign-ins-end"),
    path("me/sign-ins/<int:number>/end/", views.end_sign_in, name="sign-in-end"),
    path("me/second-factor/", factorviews.second_factor, name="second-factor"),
    path("me/second-factor/app/", factorviews.add_app, name="factor-app"),
    path("me/second-factor/passkey/", factorviews.add_passkey, name="factor-passkey"),
    path("me/second-factor/codes/", factorviews.new_codes, name="factor-codes"),
    path("me/second-factor/<int:number>/remove/", factorviews.remove, name="factor-remove"),
    path("me/tokens/", views.create_token, name="token-create"),
    path("me/tokens/<int:number>/revoke/", views.revoke_token, name="token-revoke"),
    path("me/", views.preferences, name="preferences"),
]
