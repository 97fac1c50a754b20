"""What every page's frame shows."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext_lazy as _

from dashboard.accounts.models import Preferences
from dashboard.core.gate import Permission, Requester, offers
from dashboard.imagepolicy.services import unread, waiting_count
from dashboard.jobs.models import LIVE_STATES, Job
from dashboard.pages.activity import UNASKED, of_team
from dashboard.pages.words import WORDS
from dashboard.teams import scope
from dashboard.teams.views import choices

NAVIGATION = (
    ("catalog", "layers", _("Catalog")),
    ("containers", "box", _("Containers")),
    ("volumes", "hard-drive", _("Volumes")),
    ("networks", "network", _("Networks")),
    ("terminals", "square-terminal", _("Terminals")),
    ("activity", "activity", _("Activity")),
    ("audit", "list-checks", _("Audit")),
    ("system", "server", _("System")),
)
_NEEDS = {"audit": Permission.AUDIT_VIEW, "system": Permission.SITE_ADMIN}
THEMES = frozenset({"light", "dark", "contrast"})


def live_job_count(user: Requester) -> int:
    """Jobs that people of the current team asked for, as Activity lists them: the parts of a pull are not counted."""
    live = of_team(Job.objects.filter(state__in=LIVE_STATES, parent=None), user)
    return live.exclude(kind__in=UNASKED).count()


def _theme(request: HttpRequest) -> str:
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return ""
    chosen = Preferences.objects.filter(user=user).values_list("theme", flat=True).first() or ""
    return chosen if chosen in THEMES else ""


def _frame_template(request: HttpRequest) -> str:
    """The whole page, only its main part (htmx swaps pages in the frame), or a plain one for whoever is not signed in."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return "frame/plain.html"
    htmx = getattr(request, "htmx", None)
    swaps_main = bool(htmx) and htmx is not None and htmx.boosted and not htmx.history_restore_request
    return "frame/part.html" if swaps_main else "frame/full.html"


def _navigation(request: HttpRequest) -> tuple[tuple[str, str, object], ...]:
    """The rail: what this person may open."""
    user = getattr(request, "user", None)
    return tuple(item for item in NAVIGATION if item[0] not in _NEEDS or offers(user, _NEEDS[item[0]]))


def is_in_the_clear(request: HttpRequest) -> bool:
    """Whether what goes between this browser and Berth can be read on the way: plain HTTP to another machine."""
    if request.is_secure():
        return False
    try:
        host = urlsplit(f"//{request.get_host()}").hostname or ""
    except (DisallowedHost, ValueError):
        return True
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost" and not host.endswith(".localhost")


def _waiting_requests(request: HttpRequest) -> int:
    """Requests for images that somebody who decides in the current team has not answered."""
    user = getattr(request, "user", None)
    here = scope.current(user)
    if here is None or not offers(user, Permission.TEAM_MANAGE, here):
        return 0
    return waiting_count(here)


def _unread_answers(request: HttpRequest) -> int:
    """Answers to this person's own requests for images, in the current team."""
    user = getattr(request, "user", None)
    here = scope.current(user)
    return 0 if here is None or user is None else unread(user, here).count()


def frame(request: HttpRequest) -> dict[str, object]:
    return {
        "waiting_requests": SimpleLazyObject(lambda: _waiting_requests(request)),
        "unread_answers": SimpleLazyObject(lambda: _unread_answers(request)),
        "frame_template": _frame_template(request),
        "is_in_the_clear": is_in_the_clear(request),
        "navigation": _navigation(request),
        "version_line": f"Berth version {settings.VERSION}, build {settings.BUILD}",
        "asset_version": f"{settings.VERSION}-{settings.BUILD}",
        "theme": SimpleLazyObject(lambda: _theme(request)),
        "teams": SimpleLazyObject(lambda: choices(request)),
        "activity_count": SimpleLazyObject(lambda: live_job_count(request.user)),
        "has_passkeys": settings.PASSKEYS_POSSIBLE,
        "sso_name": settings.BERTH_OIDC_NAME if settings.SOCIALACCOUNT_PROVIDERS else "",
        "words": {key: str(text) for key, text in WORDS.items()},
    }
