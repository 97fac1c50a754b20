"""What others tell by signals and listeners: who signed in, who could not, who was refused."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from allauth.mfa.signals import authentication_failed
from django.contrib.auth import get_user_model, signals
from django.core.cache import cache
from django.utils.translation import gettext_noop
from redis.exceptions import RedisError

from dashboard.audit import services
from dashboard.core import gate
from dashboard.core.gate import Requester

WRONG: Final = gettext_noop("The name or the password was wrong.")
WRONG_FACTOR: Final = gettext_noop("The second factor was wrong.")
AGAIN_S: Final = 10  # the same refusal of the same person within this is one row: a loop must not fill the disk


def listen() -> None:
    signals.user_logged_in.connect(_signed_in)
    signals.user_logged_out.connect(_signed_out)
    signals.user_login_failed.connect(_failed)
    authentication_failed.connect(_failed_factor)
    gate.on_refusal(_refused)


def _signed_in(user: Any, **_said: Any) -> None:  # what a signal says
    services.record("sign-in", user)


def _signed_out(user: Any, **_said: Any) -> None:  # what a signal says
    if user is not None and user.pk is not None:
        services.record("sign-out", user)


def _failed(credentials: dict[str, Any], **_said: Any) -> None:  # what a signal says
    """What is no account's name is not written down: now and then it is a password in the wrong field."""
    name = str(credentials.get("username") or "")
    known = get_user_model().objects.filter(username=name).exists()
    target = name if known else "(no such account)"
    if not _is_repeated(f"sign-in {target}"):
        services.record("sign-in", None, target=target, reason=WRONG)


def _failed_factor(user: Any, **_said: Any) -> None:  # what a signal says
    """Somebody has the password, and is kept out by the second factor: worth each row."""
    services.record("sign-in", None, target=user.get_username(), reason=WRONG_FACTOR)


def _refused(user: Requester, error: Exception) -> None:
    permission = getattr(error, "permission", None)
    action = str(permission or "refused")
    if not _is_repeated(f"{getattr(user, 'pk', None)} {action} {error}"):
        services.refused(action, user, error)


def _is_repeated(what: str) -> bool:
    key = "audit-" + hashlib.sha256(what.encode()).hexdigest()
    try:
        return not cache.add(key, 1, AGAIN_S)
    except RedisError:
        return False
