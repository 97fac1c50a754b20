"""Extending a life span, excepting a container, and the page of a team's rules."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from dashboard.containers import liferules, lifespans
from dashboard.containers.models import LifeRules
from dashboard.containers.views import found_container
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Permission, require
from dashboard.core.numbers import whole_number
from dashboard.core.render import is_htmx, page, said, shown_anew
from dashboard.grammar.errors import ValueRefused
from dashboard.grammar.spans import read_span, write_span
from dashboard.teams.views import frame_of, here

HELP = {"expiry_s": "8h", "idle_s": "30m", "warning_s": "15m", "extension_s": "1h", "extensions": "3", "trash_s": "24h"}


def _told(request: HttpRequest, sentence: str) -> HttpResponse:
    """To htmx a notice; the notice of a warning, which asks by itself, reads JSON."""
    return said(sentence) if is_htmx(request) else JsonResponse({"said": sentence, "refused": []})


@require_POST
def extend(request: HttpRequest, container_id: str) -> HttpResponse:
    found = found_container(request, container_id, Permission.CONTAINER_OPERATE)
    length = request.POST.get("length", "").strip()
    lifespans.extend(found, request.user, _span(length) if length else None)
    return _told(request, _("%(name)s goes on.") % {"name": found.name})


@require_POST
def keep(request: HttpRequest, container_id: str) -> HttpResponse:
    found = found_container(request, container_id, Permission.CONTAINER_KEEP)
    keeps = request.POST.get("keep") == "1"
    lifespans.keep(found, request.user, keeps=keeps)
    kept, not_kept = _("%(name)s is not stopped when nobody uses it."), _("%(name)s is stopped when nobody uses it.")
    return _told(request, (kept if keeps else not_kept) % {"name": found.name})


def _span(text: str) -> int:
    """Raises DashboardError: 400."""
    try:
        return read_span(text)
    except ValueRefused as error:
        raise DashboardError(_("Lengths of time are written as 90m, 8h or 1d12h.")) from error


@require_http_methods(["GET", "HEAD", "POST"])
def rules(request: HttpRequest) -> HttpResponse:
    """How long containers of the team live; posted to, all the rules of the form are set."""
    team = here(request)
    if request.method == "POST":
        require(request.user, Permission.TEAM_MANAGE, team)
        liferules.change(request.user, team, {name: _value(name, request) for name in liferules.BOUNDS})
        return shown_anew(request, "team-life")
    found = liferules.shown(request.user, team)
    rows = [
        {
            "name": name,
            "words": liferules.words_of(name),
            "value": _written(name, getattr(found, name)),
            "example": HELP[name],
            "can_be_none": name in liferules.CAN_BE_NONE,
        }
        for name in liferules.BOUNDS
    ]
    default_s = liferules.trash_s(LifeRules())
    return page(request, "teams/life.html", frame_of(request, team, "life") | {"rows": rows, "default_s": default_s})


def _value(name: str, request: HttpRequest) -> int | None:
    text = request.POST.get(name, "").strip()
    if not text:
        return None
    return whole_number(text) if name == "extensions" else _span(text)


def _written(name: str, value: int | None) -> str:
    if value is None:
        return ""
    return str(value) if name == "extensions" else write_span(value)
