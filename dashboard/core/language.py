"""The language that a person reads: what they chose, else what their browser asks for."""

from __future__ import annotations

from django.apps import apps
from django.conf import settings
from django.http import HttpRequest
from django.utils import translation

from dashboard.core.gate import Requester


def language_for(user: Requester, request: HttpRequest) -> str:
    """Reads the database for somebody who is signed in, and cookies and headers of the request."""
    return _chosen(user) or translation.get_language_from_request(request)


def _chosen(user: Requester) -> str:
    """Empty for nobody, nothing, or a language that is no longer there."""
    if user is None or not user.is_authenticated:
        return ""
    rows = apps.get_model("accounts", "Preferences").objects.filter(user_id=user.pk)
    chosen = rows.values_list("language", flat=True).first() or ""
    return chosen if chosen in dict(settings.LANGUAGES) else ""
