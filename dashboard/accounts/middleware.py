"""The language of a page: what the person chose, else what the browser asks for."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils import translation

from dashboard.accounts.models import Preferences

SUPPORTED = frozenset(code for code, _ in settings.LANGUAGES)


class LanguageMiddleware:
    """Behind authentication. The answer says that it varies, so that no cache mixes languages."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        language = chosen_language(request) or translation.get_language_from_request(request)
        with translation.override(language):
            request.LANGUAGE_CODE = language
            response = self.get_response(request)
        response.headers.setdefault("Content-Language", language)
        return response


def chosen_language(request: HttpRequest) -> str:
    """What the signed-in person has set; "" for nobody, nothing, or a language that is no longer there."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return ""
    chosen = Preferences.objects.filter(user=user).values_list("language", flat=True).first() or ""
    return chosen if chosen in SUPPORTED else ""
