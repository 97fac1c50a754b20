"""Where a page's request comes from, for the rows that it writes."""

from __future__ import annotations

from collections.abc import Callable

from allauth.account.adapter import get_adapter
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import HttpRequest, HttpResponseBase

from dashboard.core.arrival import arrived


def _address(request: HttpRequest) -> str:
    """As the limits on guessing see it (BERTH_PROXIES); "" when the proxies in front say nothing that can be believed."""
    try:
        return str(get_adapter().get_client_ip(request))
    except (ImproperlyConfigured, PermissionDenied):
        return ""


class ArrivalMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with arrived("page", _address(request)):
            return self.get_response(request)
