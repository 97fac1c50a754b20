"""Secrets of the first administrator and of the host's own command line."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from dashboard.accounts.models import Token
from dashboard.audit import services as audit
from dashboard.core.errors import NotFound
from dashboard.core.secrets import hashed, new_secret

SETUP: Final = "setup"
HOST: Final = "host"
HOST_USER: Final = "host-root"
SETUP_LIFE = timedelta(hours=24)


def has_administrator() -> bool:
    """Whether somebody can sign in as an administrator; the host's root has no password and does not count."""
    people = get_user_model().objects.filter(is_superuser=True, is_active=True).exclude(username=HOST_USER)
    return any(person.has_usable_password() for person in people)


def new_setup_secret() -> str | None:
    """The secret of a fresh one-time link, in place of the last one; None once there is an administrator."""
    with transaction.atomic():
        Token.objects.filter(purpose=SETUP).delete()
        if has_administrator():
            return None
        secret = new_secret()
        Token.objects.create(purpose=SETUP, sha256=hashed(secret), expires_at=timezone.now() + SETUP_LIFE)
    return secret


def _usable(secret: str) -> Token | None:
    now = timezone.now()
    # One that would live longer than any was made while the host's clock was ahead; it would be worth something for years.
    alive = Q(expires_at=None) | Q(expires_at__gt=now, expires_at__lte=now + SETUP_LIFE)
    return Token.objects.filter(alive, purpose=SETUP, sha256=hashed(secret), used_at=None).first()


def check_setup(secret: str) -> None:
    """Raises NotFound: the link was used, has expired, is another's, or there is an administrator already."""
    if has_administrator():
        msg = _("Berth has its administrator already, so this link is worth nothing any more.")
        raise NotFound(msg)
    if _usable(secret) is None:
        msg = _("This link is not the newest one, or has expired. Start Berth again for a new one.")
        raise NotFound(msg)


def make_first_administrator(secret: str, *, username: str, password: str) -> User:
    """Spend the link and make the account, or neither. Of two at once, one wins.

    Raises:
        NotFound: as `check_setup`.
    """
    with transaction.atomic():
        check_setup(secret)
        if not Token.objects.filter(sha256=hashed(secret), used_at=None).update(used_at=timezone.now()):
            check_setup(secret)
        person = User.objects.create_superuser(username=username, password=password)
        audit.record("create-first-administrator", person, target=username)
        return person


def new_host_secret() -> str:
    """A fresh secret for the host's root; the last one is worth nothing any more."""
    secret = new_secret()
    with transaction.atomic():
        user, is_new = get_user_model().objects.get_or_create(
            username=HOST_USER, defaults={"is_superuser": True, "is_staff": False}
        )
        if is_new or user.has_usable_password():
            user.set_unusable_password()
            user.save()
        Token.objects.filter(purpose=HOST).delete()
        Token.objects.create(purpose=HOST, sha256=hashed(secret), user=user)
    return secret
