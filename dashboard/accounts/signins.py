"""Where a person is signed in, and ending that: one place, or everywhere else (WEB-07). The rows are allauth's."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from allauth.usersessions.models import UserSession
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import transaction
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext as _

from dashboard.audit import services as audit
from dashboard.core.errors import NotFound
from dashboard.core.events import rights_changed

SEEN_AT_MOST_EVERY: Final = timedelta(minutes=1)
_BROWSERS: Final = ("Edg", "OPR", "SamsungBrowser", "Whale", "Firefox", "Chrome", "Safari")
_NAMES: Final = {"Edg": "Edge", "OPR": "Opera", "SamsungBrowser": "Samsung Internet"}
_SYSTEMS: Final = (
    ("Android", "Android"),
    ("iPhone", "iOS"),
    ("iPad", "iPadOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    number: int
    device: str
    address: str
    since: datetime
    seen: datetime
    is_this: bool


def note(request: HttpRequest) -> None:
    """Write down this session, once it has its key; again after its key changed. Nothing without an address, as in a test."""
    if request.META.get("REMOTE_ADDR"):
        UserSession.objects.create_from_request(request)


class SeenMiddleware:
    """Behind authentication: a session was used just now. A row is written at most once a minute."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.user.is_authenticated and request.session.session_key:
            fresh = UserSession.objects.filter(
                session_key=request.session.session_key, last_seen_at__gt=timezone.now() - SEEN_AT_MOST_EVERY
            )
            if not fresh.exists():
                note(request)
        return self.get_response(request)


def of(person: User, session_key: str | None) -> list[SignIn]:
    """The one that asks first, then by when they were seen. Those that are over are forgotten on the way."""
    rows = UserSession.objects.purge_and_list(person)
    found = [
        SignIn(
            number=row.pk,
            device=device_of(row.user_agent),
            address=row.ip,
            since=row.created_at,
            seen=row.last_seen_at,
            is_this=row.session_key == session_key,
        )
        for row in rows
    ]
    return sorted(found, key=lambda one: (not one.is_this, -one.seen.timestamp()))


def device_of(user_agent: str) -> str:
    """`Firefox, Linux`: enough to know one's own by."""
    browser = next((name for name in _BROWSERS if f"{name}/" in user_agent), "")
    system = next((name for sign, name in _SYSTEMS if sign in user_agent), "")
    shown = ", ".join(filter(None, (_NAMES.get(browser, browser), system)))
    return shown or re.sub(r"[^ -~]", "?", user_agent)[:40] or "–"


def end(person: User, number: int) -> None:
    """One of the person's own.

    Raises:
        NotFound: there is none of that number.
    """
    row = UserSession.objects.filter(user=person, pk=number).first()
    if row is None:
        raise NotFound(_("That sign-in is over already."))
    _end(person, [row.session_key])


def end_others(person: User, session_key: str | None) -> int:
    """Everywhere but here; how many those were."""
    noted = UserSession.objects.filter(user=person).exclude(session_key=session_key or "")
    keys = {row.session_key for row in noted} | _keys_of(person, but=session_key)
    _end(person, keys)
    return len(keys)


def _keys_of(person: User, *, but: str | None) -> set[str]:
    """Of all sessions, those as this person: also ones that nobody has used since places began to be noted."""
    alive = Session.objects.filter(expire_date__gt=timezone.now()).exclude(session_key=but or "")
    return {one.session_key for one in alive.iterator() if one.get_decoded().get(SESSION_KEY) == str(person.pk)}


def _end(person: User, keys: Collection[str]) -> None:
    if not keys:
        return
    with transaction.atomic():
        Session.objects.filter(session_key__in=keys).delete()
        UserSession.objects.filter(session_key__in=keys).delete()
        audit.record("end-sign-ins", person, target=person.username, parameters={"count": len(keys)})
    rights_changed([person.pk])  # open connections look at once, and find their session gone
