"""Tokens with which a person's command line or script comes in: shown once, kept hashed, of limited life and rights (WEB-11, ADR 27).

A token never gives more than its owner has when it is used: the gate asks its policy about the owner, and then whether the right is
one of the token's. With none named it has all of the owner's, but for the account itself: a stolen token makes no other token.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Final

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from dashboard.accounts.models import AccessToken
from dashboard.audit import services as audit
from dashboard.core.errors import DashboardError, NotFound, Refused
from dashboard.core.events import rights_changed
from dashboard.core.gate import PREFIX, Permission, Requester, is_narrowed, require
from dashboard.core.secrets import hashed, new_secret

MOST_DAYS: Final = 366
MOST_OF_PERSON: Final = 50
NAME_LENGTH: Final = 60
SHOWN_LETTERS: Final = len(PREFIX) + 6


def make(
    user: Requester, owner: User, name: str, *, days: int, rights: Collection[str] | None = None
) -> tuple[AccessToken, str]:
    """A token, and its secret, which is nowhere else. One's own; a site administrator's for anybody, as for a service account.

    Raises:
        DashboardError: a name, a number of days or rights that cannot be (400); too many (409).
        Denied: it is somebody else's, or `user` came by a token.
    """
    require(user, Permission.OWN_ACCOUNT if _is_own(user, owner) else Permission.SITE_ADMIN)
    refuse_narrowed(user)
    if not name.strip() or len(name) > NAME_LENGTH:
        raise DashboardError(_("A token has a name of 1 to %(most)d letters.") % {"most": NAME_LENGTH})
    if not 1 <= days <= MOST_DAYS:
        raise DashboardError(_("A token holds from 1 to %(most)d days.") % {"most": MOST_DAYS})
    if rights is not None and (unknown := set(rights) - set(Permission)):
        raise DashboardError(_("Not a right: %(names)s.") % {"names": ", ".join(sorted(unknown)[:5])})
    secret = PREFIX + new_secret()
    with transaction.atomic():
        User.objects.select_for_update().get(pk=owner.pk)
        if AccessToken.objects.filter(user=owner, revoked_at=None).count() >= MOST_OF_PERSON:
            raise DashboardError(
                _("There are %(most)d tokens already. Revoke one first.") % {"most": MOST_OF_PERSON}, status=409
            )
        made = AccessToken.objects.create(
            user=owner,
            name=name.strip(),
            sha256=hashed(secret),
            start=secret[:SHOWN_LETTERS],
            rights=None if rights is None else sorted(set(rights)),
            expires_at=timezone.now() + timedelta(days=days),
        )
        told = {"days": days, "rights": made.rights, "owner": owner.username}
        audit.record("create-access", user, target=f"{made.name} ({made.pk})", parameters=told)
    return made, secret


def refuse_narrowed(user: Requester) -> None:
    """Who came by a token changes nothing about accounts.

    Raises:
        Refused
    """
    if is_narrowed(user):
        raise Refused(_("This cannot be done with an access token. Sign in, or use the host's own command line."))


def _is_own(user: Requester, owner: User) -> bool:
    return getattr(user, "pk", None) == owner.pk


def tokens_of(user: Requester, owner: User) -> QuerySet[AccessToken]:
    """Those that are not revoked, the newest first; those that have run out too, so that people see why."""
    require(user, Permission.OWN_ACCOUNT if _is_own(user, owner) else Permission.SITE_ADMIN)
    return AccessToken.objects.filter(user=owner, revoked_at=None)


def revoke(user: Requester, number: int) -> None:
    """At once, with every connection of it. One's own, or a site administrator's anybody's. Idempotent.

    Raises:
        NotFound: there is no such token that `user` may know of.
    """
    require(user, Permission.OWN_ACCOUNT)
    rows = AccessToken.objects.select_related("user").filter(pk=number)
    found = (
        rows.first()
        if bool(getattr(user, "is_superuser", False))
        else rows.filter(user_id=getattr(user, "pk", None) or 0).first()
    )
    if found is None:
        raise NotFound(_("No such token: %(number)s") % {"number": number})
    with transaction.atomic():
        if AccessToken.objects.filter(pk=number, revoked_at=None).update(revoked_at=timezone.now()):
            audit.record(
                "revoke-access", user, target=f"{found.name} ({number})", parameters={"owner": found.user.username}
            )
    rights_changed([found.user_id])
