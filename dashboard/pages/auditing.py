"""The audit log as a page and as CSV: of one's team, or of the whole site for its administrators."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Final
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from dashboard.audit.models import Entry, Outcome
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Permission, Requester, require
from dashboard.core.render import page
from dashboard.teams import scope
from dashboard.teams.models import Team

SHOWN: Final = 100
COLUMNS: Final = (
    *("time", "person", "team", "action", "target", "outcome", "reason", "parameters", "door", "address"),
)
_ID: Final = re.compile(r"[0-9a-f]{64}")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_FIELDS: Final = ("person", "action", "outcome", "since", "until")


def _seen(user: Requester) -> QuerySet[Entry]:
    return scope.here(user, Entry.objects.all(), shared=scope.is_site_admin(user))


def _day(text: str, name: str) -> datetime | None:
    if not text:
        return None
    try:
        return timezone.make_aware(datetime.combine(date.fromisoformat(text), time.min))
    except ValueError:
        msg = _("%(name)s must be a day such as 2026-11-26, not '%(text)s'.") % {"name": name, "text": text[:40]}
        raise DashboardError(msg) from None


def _filtered(rows: QuerySet[Entry], asked: dict[str, str]) -> QuerySet[Entry]:
    """Raises DashboardError: a day or an outcome that cannot be (400)."""
    if asked["person"]:
        rows = rows.filter(actor_name=asked["person"])
    if asked["action"]:
        rows = rows.filter(Q(action__icontains=asked["action"]) | Q(target__icontains=asked["action"]))
    if asked["outcome"]:
        if asked["outcome"] not in Outcome.values:
            raise DashboardError(_("The outcome must be done or refused."))
        rows = rows.filter(outcome=asked["outcome"])
    if since := _day(asked["since"], "since"):
        rows = rows.filter(at__gte=since)
    if until := _day(asked["until"], "until"):
        rows = rows.filter(at__lt=until + timedelta(days=1))
    return rows


def _short(target: str) -> str:
    """Ids as lists show them, 12 digits of 64."""
    return target[:12] if _ID.fullmatch(target) else target


def _cell(value: object) -> str:
    """A spreadsheet takes what begins like a formula for one, and names are other people's words."""
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


class _Echo:
    def write(self, line: str) -> str:
        return line


def _lines(rows: QuerySet[Entry], teams: dict[int, str]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield "\ufeff" + writer.writerow(COLUMNS)  # or Excel takes Hangul for another encoding
    for row in rows.iterator(chunk_size=500):
        told = json.dumps(row.parameters, ensure_ascii=False) if row.parameters else ""
        cells = (row.at.isoformat(timespec="seconds"), row.actor_name, teams.get(row.team_id or 0, ""), row.action)
        more = (row.target, row.outcome, row.reason, told, row.door, row.address)
        yield writer.writerow([_cell(cell) for cell in (*cells, *more)])


@require_safe
def audit(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    require(request.user, Permission.AUDIT_VIEW)
    asked = {name: request.GET.get(name, "").strip()[:150] for name in _FIELDS}
    rows = _filtered(_seen(request.user), asked)
    teams = dict(Team.objects.values_list("pk", "slug"))
    if request.GET.get("format") == "csv":
        answer = StreamingHttpResponse(_lines(rows, teams), content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = 'attachment; filename="audit.csv"'
        return answer
    before = request.GET.get("before", "")
    if before.isdecimal():
        rows = rows.filter(pk__lt=min(int(before), 2**62))
    found = list(rows[: SHOWN + 1])
    query = urlencode({name: value for name, value in asked.items() if value})
    context = {
        "rows": [(row, teams.get(row.team_id or 0, ""), _short(row.target)) for row in found[:SHOWN]],
        "older": found[SHOWN - 1].pk if len(found) > SHOWN else None,
        "asked": asked,
        "outcomes": Outcome.choices,
        "query": query,
        "is_site": scope.is_site_admin(request.user),
    }
    return page(request, "pages/audit.html", context)
