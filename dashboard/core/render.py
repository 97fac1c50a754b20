"""Answering with a page or a part of one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse


def page(
    request: HttpRequest, template: str, context: Mapping[str, object] | None = None, *, status: int = 200
) -> HttpResponse:
    """A page, or only its main part when htmx swaps pages in the frame (`frame_template` of the context processor).

    One address has several bodies, so no cache may mix them up: not the browser's either, on Back.
    """
    response = render(request, template, dict(context or {}), status=status)
    response["Cache-Control"] = "no-store"
    response["Vary"] = "HX-Request, Cookie, Accept-Language"
    return response


def is_htmx(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true"


def shown_anew(request: HttpRequest, route: str, *args: object) -> HttpResponse:
    """After a change: that page from the server, whole, with htmx and without."""
    address = reverse(route, args=args)
    return HttpResponse(headers={"HX-Redirect": address}) if is_htmx(request) else redirect(address)


def at_address(response: HttpResponse, request: HttpRequest) -> HttpResponse:
    """The browser shows this address from now on, without `part` and what is empty: a filter is the URL."""
    shown = urlencode([(name, value) for name, value in request.GET.items() if value and name != "part"])
    response["HX-Replace-Url"] = f"{request.path}?{shown}" if shown else request.path
    return response


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """What a notice offers beside its sentence: `keys` are posted to `path` as `key`."""

    path: str
    label: str
    keys: tuple[str, ...] = ()

    def shape(self) -> dict[str, object]:
        return {"path": self.path, "label": self.label, "keys": list(self.keys)}


def said(message: str, *, tone: str = "success", status: int = 204, undo: Undo | None = None) -> HttpResponse:
    """Nothing to swap, one sentence to show: `app.js` turns the HX-Trigger header into a notice."""
    return with_notice(HttpResponse(status=status), message, tone=tone, undo=undo)


def with_notice(
    response: HttpResponse, message: str, *, tone: str = "success", undo: Undo | None = None
) -> HttpResponse:
    notice: dict[str, object] = {"message": message, "tone": tone}
    if undo is not None:
        notice["undo"] = undo.shape()
    response["HX-Trigger"] = json.dumps({"toast": notice})
    return response


def go_to(path: str) -> HttpResponse:
    """Let htmx show another page in the frame, as a click on a link would."""
    response = HttpResponse()
    response["HX-Location"] = json.dumps({"path": path, "target": "#main", "select": "#main", "swap": "outerHTML"})
    return response
