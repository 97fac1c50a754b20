"""Signing in by an OpenID Connect provider (ADR 32): who it is, and which groups the provider says they are in.

An account is found by the provider's own id of a person and by nothing else: not by an e-mail address or a name, which others
could choose. Loaded only where a provider is set (`settings.SOCIALACCOUNT_PROVIDERS`).
"""

from __future__ import annotations

import logging
import re
from typing import Any, Final

import requests
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.shortcuts import redirect
from django.utils.translation import gettext as _

log = logging.getLogger(__name__)
PROVIDER: Final = "sso"
ANSWER_S: Final = 10.0
NAME_LENGTH: Final = 60
MOST_GROUPS: Final = 500


class _Patient(requests.Session):
    """Each question has a time limit: a provider that hangs is one that is down."""

    def request(self, *args: Any, **how: Any) -> requests.Response:
        how.setdefault("timeout", ANSWER_S)
        return super().request(*args, **how)


class Adapter(DefaultSocialAccountAdapter):  # type: ignore[misc]  # allauth has no types
    def get_requests_session(self) -> requests.Session:
        return _Patient()

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        """The provider decides who has an account; what they may do here, teams do."""
        return True

    def pre_social_login(self, request: HttpRequest, sociallogin: Any) -> None:
        """No address of theirs is kept, or could be anybody else's."""
        sociallogin.email_addresses = []

    def populate_user(self, request: HttpRequest, sociallogin: Any, data: dict[str, Any]) -> User:
        user: User = sociallogin.user
        user.username = free_name(str(data.get("username") or data.get("name") or "user"))
        return user

    def on_authentication_error(self, request: HttpRequest, provider: Any, **said: Any) -> None:
        """Back to where one signs in, with a sentence; why stands in the log, for the administrator."""
        log.warning("signing in by the provider failed: %s %s", said.get("error"), said.get("exception"))
        raise ImmediateHttpResponse(refused(request))


def refused(request: HttpRequest) -> Any:  # a redirect
    messages.error(
        request,
        _("Signing in by %(name)s did not work. Try again, or ask an administrator.")
        % {"name": settings.BERTH_OIDC_NAME},
    )
    return redirect("account_login")


def free_name(wanted: str) -> str:
    """As the provider calls them, in letters that a name may have here; with a number where somebody has it already."""
    base = re.sub(r"[^\w.@+-]+", "-", wanted).strip("-")[:NAME_LENGTH] or "user"
    name, number = base, 1
    while User.objects.filter(username__iexact=name).exists():
        number += 1
        name = f"{base}-{number}"
    return name


def groups_of(sociallogin: Any) -> frozenset[str] | None:  # allauth has no types
    """What the provider says now; None: it says nothing about groups."""
    told = sociallogin.account.extra_data
    for part in (told.get("userinfo") or {}, told.get("id_token") or {}, told):
        found = part.get(settings.BERTH_OIDC_GROUPS)
        if isinstance(found, str):
            found = [found]
        if isinstance(found, list):
            return frozenset(str(one)[:200] for one in found[:MOST_GROUPS])
    return None
