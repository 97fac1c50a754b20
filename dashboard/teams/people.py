"""Links with which people set a password: there is no mail server, so an administrator hands them over (WEB-09)."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from dashboard.accounts import access
from dashboard.accounts.models import Token
from dashboard.audit import services as audit
from dashboard.core.errors import NotFound
from dashboard.core.gate import Permission, Requester, require
from dashboard.core.secrets import hashed, new_secret
from dashboard.teams import scope
from dashboard.teams.policy import rights_in

PURPOSE: Final = "password"
LIFE = timedelta(hours=24)
LIFE_OF_NEW = timedelta(days=7)  # of a new account's first password: a class sets theirs when it meets


def new_password_secret(user: Requester, person: User) -> str:
    """Of a fresh one-time link, in place of the person's last one. The old password holds until it is used."""
    require(user, Permission.SITE_ADMIN)
    access.refuse_narrowed(user)
    with transaction.atomic():
        return issue_password_link(user, person, LIFE)


def issue_password_link(user: Requester, person: User, life: timedelta) -> str:
    """As `new_password_secret`, for services that have made the account just now: the gate is theirs to ask."""
    secret = new_secret()
    Token.objects.filter(purpose=PURPOSE, user=person).delete()
    Token.objects.create(
        purpose=PURPOSE,
        user=person,
        sha256=hashed(secret),
        expires_at=timezone.now() + life,
        giver_id=getattr(user, "pk", None),
    )
    audit.record("make-password-link", user, target=person.username)
    return secret


def person_of(secret: str) -> User:
    """Whose link that is.

    Raises:
        NotFound: it was used, has run out or never was, or the account is closed.
    """
    alive = Q(expires_at__gt=timezone.now(), used_at=None, user__is_active=True)
    found = Token.objects.select_related("user", "giver").filter(alive, purpose=PURPOSE, sha256=hashed(secret)).first()
    if found is None or found.user is None or not _may_hand_over(found.giver, found.user):
        raise NotFound(_("This link was used already, or has expired. Ask an administrator for a new one."))
    person: User = found.user
    return person


def _may_hand_over(giver: User | None, person: User) -> bool:
    """Who made the link could use it, too: so it is worth something only while the account can do no more than its maker."""
    if giver is None or not giver.is_active:
        return False
    if scope.is_site_admin(giver):
        return True
    if person.is_superuser:
        return False
    held = [(rights_in(giver, one.team_id), one.rights) for one in person.memberships.select_related("custom")]
    return bool(held) and all(Permission.TEAM_MANAGE in mine and theirs <= mine for mine, theirs in held)


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
