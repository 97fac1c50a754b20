"""Links with which people set a password: there is no mail server, so an administrator hands them over (WEB-09)."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from dashboard.accounts.models import Token
from dashboard.accounts.tokens import hashed, new_secret
from dashboard.audit import services as audit
from dashboard.core.errors import NotFound
from dashboard.core.gate import Permission, Requester, require

PURPOSE: Final = "password"
LIFE = timedelta(hours=24)


def new_password_secret(user: Requester, person: User) -> str:
    """Of a fresh one-time link, in place of the person's last one. The old password holds until it is used."""
    require(user, Permission.SITE_ADMIN)
    secret = new_secret()
    with transaction.atomic():
        Token.objects.filter(purpose=PURPOSE, user=person).delete()
        Token.objects.create(purpose=PURPOSE, user=person, sha256=hashed(secret), expires_at=timezone.now() + LIFE)
        audit.record("make-password-link", user, target=person.username)
    return secret


def person_of(secret: str) -> User:
    """Whose link that is.

    Raises:
        NotFound: it was used, has run out or never was, or the account is closed.
    """
    alive = Q(expires_at__gt=timezone.now(), used_at=None, user__is_active=True)
    found = Token.objects.select_related("user").filter(alive, purpose=PURPOSE, sha256=hashed(secret)).first()
    if found is None or found.user is None:
        raise NotFound(_("This link was used already, or has expired. Ask an administrator for a new one."))
    person: User = found.user
    return person


def set_password(secret: str, password: str) -> User:
    """Spend the link; everything that the person has open elsewhere ends. Of two at once, one wins.

    Raises:
        NotFound: as `person_of`.
    """
    with transaction.atomic():
        person = person_of(secret)
        spent = Token.objects.filter(purpose=PURPOSE, sha256=hashed(secret), used_at=None)
        if not spent.update(used_at=timezone.now()):
            person_of(secret)
        person.set_password(password)
        person.save()
        audit.record("set-password", person, target=person.username)
    return person
