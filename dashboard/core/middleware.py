"""From errors to answers: every error made on purpose becomes one sentence with the right status, in the form asked for.

A full page for a browser, a notice for htmx (HX-Trigger), JSON for everybody else. What was not made on purpose becomes
Django's 500, whose page says nothing of the inside; the log has the traceback.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, resolve_url
from django.utils.translation import gettext as _
from redis.exceptions import RedisError

from dashboard.core import gate
from dashboard.core.errors import DashboardError
from dashboard.core.render import page
from dashboard.core.sentences import translated

log = logging.getLogger(__name__)
GetResponse = Callable[[HttpRequest], HttpResponseBase]
StatusOf = Callable[[Any], int]  # of the family's own type


class GateAsked:
    """Deny by default: a view that answers a signed-in person without having asked the gate answers 403 instead.

    Public views (`login_not_required`) and those marked `asks_no_gate` are left alone. The test matrix finds such views
    before anybody else does; this is for the one that slips through.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        asked = gate.start_watching()
        request.gate_is_public = False  # type: ignore[attr-defined]  # ours, for process_view
        response = self.get_response(request)
        if asked or request.gate_is_public or response.status_code >= 300:  # type: ignore[attr-defined]
            return response
        log.error("%s %s answered without asking the gate; the answer is thrown away", request.method, request.path)
        return answer(request, 403, _("You may not do this."))

    def process_view(self, request: HttpRequest, view: Callable[..., HttpResponse], *_: object) -> None:
        is_public = not getattr(view, "login_required", True) or getattr(view, "asks_no_gate", False)
        request.gate_is_public = is_public  # type: ignore[attr-defined]  # ours


class ErrorSentences:
    """`DashboardError` and `EngineError` from views."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, gate.Denied) and error.is_anonymous:
            return _to_sign_in(request)
        if isinstance(error, gate.Denied) and error.needs_factor and request.method == "GET" and _wants_page(request):
            return redirect("second-factor")
        if (known := sentence_of(error)) is not None:
            status, sentence = known
            if isinstance(error, DashboardError) and (error.is_refusal or status == 403):
                gate.tell_refused(request.user, error)
            if status >= 500:
                log.error("%s %s: %s", request.method, request.path, error)
            return answer(request, status, sentence)
        if isinstance(error, Http404 | PermissionDenied) and not _wants_page(request):
            not_there = isinstance(error, Http404)
            words = _("There is nothing at this address, or it is gone.") if not_there else _("You may not do this.")
            return answer(request, 404 if not_there else 403, words)
        if not isinstance(error, Http404 | PermissionDenied) and not _wants_page(request):
            log.exception("%s %s failed", request.method, request.path, exc_info=error)
            return answer(request, 500, _("Something went wrong in Berth. The log has the details."))
        return None


_families: list[tuple[type[Exception], StatusOf]] = []


def register_errors(family: type[Exception], status_of: StatusOf) -> None:
    """`core` stands below `gateway`: an app that loads later says which errors are the engine's and what they mean."""
    _families.append((family, status_of))


def sentence_of(error: BaseException) -> tuple[int, str] | None:
    """Status and sentence of an error that was made on purpose. For doors that have no HTTP too."""
    if isinstance(error, DashboardError):
        return error.status, str(error)
    for family, status_of in _families:
        if isinstance(error, family):
            return status_of(error), str(error)
    if isinstance(error, RedisError | OperationalError):
        return 503, _("A part of Berth does not answer. Try again in a moment.")
    return None


def _wants_page(request: HttpRequest) -> bool:
    return request.accepts("text/html") and not _is_htmx_part(request)


def _is_htmx_part(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true" and request.headers.get("HX-Boosted") != "true"


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    if not _wants_page(request):
        return answer(request, 401, _("Sign in first."))
    return redirect(f"{resolve_url(settings.LOGIN_URL)}?{urlencode({'next': request.get_full_path()})}")


def answer(request: HttpRequest, status: int, sentence: str) -> HttpResponse:
    """One sentence in the form and language that was asked for; never more than the sentence."""
    sentence = translated(sentence)
    if _is_htmx_part(request):
        response = HttpResponse(status=status)
        response["HX-Trigger"] = json.dumps({"toast": {"message": sentence, "tone": "error"}})
        response["HX-Reswap"] = "none"
        return response
    if not request.accepts("text/html"):
        return JsonResponse({"error": sentence}, status=status)
    return page(request, "errors/sentence.html", {"status": status, "message": sentence}, status=status)


def too_many(request: HttpRequest) -> HttpResponse:
    """For allauth's rate limits (`handler429`)."""
    return answer(request, 429, _("Too many attempts. Wait a few minutes, then try again."))
