"""allauth's hooks: nobody signs up by himself; administrators make accounts."""

from __future__ import annotations

from allauth.account.adapter import DefaultAccountAdapter
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.utils.translation import gettext as _

from dashboard.core.errors import DashboardError


class ClosedSignup(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def respond_user_inactive(self, request: HttpRequest, user: User) -> None:
        """Only somebody with the right password learns that the account is closed."""
        raise DashboardError(_("This account is closed. Ask an administrator."), status=403)
