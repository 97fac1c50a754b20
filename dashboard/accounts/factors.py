"""Second factors: an app's codes (TOTP), passkeys, and recovery codes for when both are gone (ADR 26). The rows are allauth's.

A factor is asked for wherever somebody signs in with a password. An access token and the host's own command line are
secrets of their own and are asked for none.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.base.internal.flows import delete_dangling_recovery_codes
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from allauth.mfa.webauthn.internal.auth import WebAuthn
from cryptography.fernet import Fernet
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dashboard.accounts import access
from dashboard.audit import services as audit
from dashboard.core.errors import DashboardError, NotFound
from dashboard.core.events import rights_changed
from dashboard.core.gate import Permission, Requester, require

MOST_PASSKEYS: Final = 10
NAME_LENGTH: Final = 60
_FACTORS: Final = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)


class Adapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth has no types
    """allauth's hooks: our name, our words, and secrets that the database alone does not give away."""

    error_messages = DefaultMFAAdapter.error_messages | {
        "incorrect_code": gettext_lazy("This is not right, or was used already. Try the next code.")
    }

    def get_totp_issuer(self) -> str:
        return "Berth"

    def get_totp_label(self, user: User) -> str:
        return f"{user.get_username()} ({settings.BERTH_PUBLIC_URL.partition('://')[2]})"

    def encrypt(self, text: str) -> str:
        return _fernet().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return _fernet().decrypt(encrypted_text.encode()).decode()


def _fernet() -> Fernet:
    """By the key in the data folder: a copy of the database alone is worth no codes."""
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(f"second factors {settings.SECRET_KEY}".encode()).digest()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Passkey:
    number: int
    name: str
    since: datetime
    last_used: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Factors:
    """What somebody has; `app`: the number of the app's row, 0 for none; `codes_left` None: no recovery codes."""

    app: int
    app_since: datetime | None
    passkeys: tuple[Passkey, ...]
    codes_left: int | None


def has_any(person: Any) -> bool:  # Any: a person's row
    """Whether signing in takes more than a password."""
    found: bool = Authenticator.objects.filter(user_id=person.pk, type__in=_FACTORS).exists()
    return found


def holders() -> set[int]:
    """Row numbers of everybody who has one."""
    return set(Authenticator.objects.filter(type__in=_FACTORS).values_list("user_id", flat=True))


def of(person: User) -> Factors:
    rows = list(Authenticator.objects.filter(user=person).order_by("created_at"))
    app = next((row for row in rows if row.type == Authenticator.Type.TOTP), None)
    codes = next((row for row in rows if row.type == Authenticator.Type.RECOVERY_CODES), None)
    return Factors(
        app=app.pk if app else 0,
        app_since=app.created_at if app else None,
        passkeys=tuple(
            Passkey(number=row.pk, name=row.wrap().name, since=row.created_at, last_used=row.last_used_at)
            for row in rows
            if row.type == Authenticator.Type.WEBAUTHN
        ),
        codes_left=len(codes.wrap().get_unused_codes()) if codes else None,
    )


def add_app(person: User, secret: str) -> list[str]:
    """`secret`: what the app shows right codes of. Recovery codes, if they are the first ones; else [].

    Raises:
        DashboardError: there is an app already (409).
    """
    with transaction.atomic():
        User.objects.select_for_update().get(pk=person.pk)
        if Authenticator.objects.filter(user=person, type=Authenticator.Type.TOTP).exists():
            raise DashboardError(_("There is an app already. Remove it first."), status=409)
        TOTP.activate(person, secret)
        return _added(person, "app")


def add_passkey(person: User, name: str, credential: dict[str, Any]) -> list[str]:
    """`credential`: what the browser made, checked. Recovery codes, if they are the first ones; else [].

    Raises:
        DashboardError: there are too many (409).
    """
    with transaction.atomic():
        User.objects.select_for_update().get(pk=person.pk)
        if Authenticator.objects.filter(user=person, type=Authenticator.Type.WEBAUTHN).count() >= MOST_PASSKEYS:
            told = {"most": MOST_PASSKEYS}
            raise DashboardError(_("There are %(most)d passkeys already. Remove one first.") % told, status=409)
        WebAuthn.add(person, name.strip()[:NAME_LENGTH] or _("Passkey"), credential)
        return _added(person, "passkey")


def _added(person: User, kind: str) -> list[str]:
    audit.record("add-factor", person, target=person.username, parameters={"kind": kind})
    rights_changed([person.pk])
    if Authenticator.objects.filter(user=person, type=Authenticator.Type.RECOVERY_CODES).exists():
        return []
    return list(RecoveryCodes.activate(person).get_unused_codes())


def new_codes(person: User) -> list[str]:
    """In place of those that there were.

    Raises:
        DashboardError: there is no factor that they could stand in for (409).
    """
    with transaction.atomic():
        User.objects.select_for_update().get(pk=person.pk)
        if not has_any(person):
            raise DashboardError(_("Set up an app or a passkey first."), status=409)
        Authenticator.objects.filter(user=person, type=Authenticator.Type.RECOVERY_CODES).delete()
        made = RecoveryCodes.activate(person)
        audit.record("new-recovery-codes", person, target=person.username)
    return list(made.get_unused_codes())


def remove(person: User, number: int) -> None:
    """One of one's own; with the last one the recovery codes go, too.

    Raises:
        NotFound: there is none of that number.
    """
    with transaction.atomic():
        row = Authenticator.objects.filter(user=person, pk=number, type__in=_FACTORS).first()
        if row is None:
            raise NotFound(_("This second factor is gone already."))
        row.delete()
        delete_dangling_recovery_codes(person)
        kind = "app" if row.type == Authenticator.Type.TOTP else "passkey"
        audit.record("remove-factor", person, target=person.username, parameters={"kind": kind})
    rights_changed([person.pk])


def remove_all(user: Requester, person: User) -> None:
    """Of somebody who has lost them: the password alone is enough again. Idempotent.

    Raises:
        Denied: `user` is no site administrator.
        Refused: `user` came by an access token.
    """
    require(user, Permission.SITE_ADMIN)
    access.refuse_narrowed(user)
    with transaction.atomic():
        if Authenticator.objects.filter(user=person).delete()[0]:
            audit.record("remove-factors", user, target=person.username)
    rights_changed([person.pk])
