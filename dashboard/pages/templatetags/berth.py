"""Icons, sizes, times and layer stacks for templates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from urllib.parse import urlsplit

from django import template
from django.http import HttpRequest
from django.template import Context
from django.templatetags.static import static
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext

from dashboard.containers.models import Container
from dashboard.containers.services import shown_ports
from dashboard.core import sentences
from dashboard.grammar import binary_size, human_size
from dashboard.grammar import ports as spelled
from dashboard.grammar.values import write_cpus
from dashboard.volumes.models import shown_name

register = template.Library()
MOST_PORTS = 6

_STEPS = (
    (31_536_000, "year"),
    (2_592_000, "month"),
    (604_800, "week"),
    (86_400, "day"),
    (3600, "hour"),
    (60, "minute"),
)


@register.simple_tag
def icon(name: str) -> SafeString:
    address = static("icons.svg")
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>', address, name)


@register.filter
def size(value: float | None) -> str:
    return "" if value is None else human_size(value)


@register.filter
def of(found: Mapping[str, object], container: Container) -> object:
    """What a mapping by container's id has of this one; None for nothing."""
    return found.get(container.container_id) if found else None


@register.filter
def of_team(found: Mapping[int, object], container: Container) -> object:
    """What a mapping by team has of this container's; nothing of one that goes by itself when it ends."""
    if not found or container.team_id is None or container.auto_remove:
        return None
    return found.get(container.team_id)


@register.filter
def keeps_any(found: Mapping[int, int]) -> bool:
    """Whether any team keeps what is removed."""
    return any(found.values())


@register.filter
def span(seconds: int | None) -> str:
    """A length of time in the largest unit that says it exactly."""
    if seconds is None:
        return ""
    for length, unit in _SPANS:
        if seconds % length == 0 and seconds >= length:
            return _span_words(unit, seconds // length)
    return _span_words("second", seconds)


_SPANS = ((86_400, "day"), (3600, "hour"), (60, "minute"))


def _span_words(unit: str, count: int) -> str:
    said = {
        "day": ngettext("%(n)d day", "%(n)d days", count),
        "hour": ngettext("%(n)d hour", "%(n)d hours", count),
        "minute": ngettext("%(n)d minute", "%(n)d minutes", count),
        "second": ngettext("%(n)d second", "%(n)d seconds", count),
    }
    return said[unit] % {"n": count}


@register.simple_tag
def until(moment: datetime | None) -> SafeString | str:
    """How long it is until then, with the exact time on hover."""
    if moment is None:
        return "–"
    exact = date_format(timezone.localtime(moment), "Y-m-d H:i:s e")
    seconds = max(0, int((moment - timezone.now()).total_seconds()))
    unit, length = next(((unit, length) for length, unit in _SPANS if seconds >= length), ("second", 1))
    left = gettext("in %(span)s") % {"span": _span_words(unit, -(-seconds // length))} if seconds else gettext("now")
    return format_html('<time datetime="{}" title="{}">{}</time>', moment.isoformat(timespec="seconds"), exact, left)


@register.filter
def memory(value: float | None) -> str:
    return "" if value is None else binary_size(value)


register.filter("cpus", write_cpus)
register.filter("volume", shown_name)
register.filter("translated", sentences.translated)
register.filter("reason", sentences.reason)
register.simple_tag(sentences.invariant, name="invariant")


@register.filter
def short(value: str) -> str:
    """The first 12 hex digits, of a digest or of an id."""
    return str(value).removeprefix("sha256:")[:12]


def _words(unit: str, count: int) -> str:
    sentences = {
        "year": ngettext("%(n)d year ago", "%(n)d years ago", count),
        "month": ngettext("%(n)d month ago", "%(n)d months ago", count),
        "week": ngettext("%(n)d week ago", "%(n)d weeks ago", count),
        "day": ngettext("%(n)d day ago", "%(n)d days ago", count),
        "hour": ngettext("%(n)d hour ago", "%(n)d hours ago", count),
        "minute": ngettext("%(n)d minute ago", "%(n)d minutes ago", count),
    }
    return sentences[unit] % {"n": count}


def ago_text(moment: datetime, now: datetime) -> str:
    seconds = max(0, int((now - moment).total_seconds()))
    for length, unit in _STEPS:
        if seconds >= length:
            return _words(unit, seconds // length)
    return gettext("just now")


@register.simple_tag
def ago(moment: datetime | None) -> SafeString | str:
    """Relative, with the exact time on hover; `app.js` keeps it true while the page stays open."""
    if moment is None:
        return "–"
    exact = date_format(timezone.localtime(moment), "Y-m-d H:i:s e")
    text = ago_text(moment, timezone.now())
    return format_html(
        '<time data-ago datetime="{}" title="{}">{}</time>', moment.isoformat(timespec="seconds"), exact, text
    )


@register.inclusion_tag("parts/stack.html")
def stack(layers: Iterable[object], *, shape: str = "line", writable: bool = False) -> dict[str, object]:
    """Layers as slabs with true proportions, the lowest first; `shape` is "line" or "tall"."""
    return {"layers": layers, "shape": shape, "writable": writable}


@register.inclusion_tag("parts/ports.html", takes_context=True)
def ports(context: Context, container: Container) -> dict[str, object]:
    """Published ports, those that a browser can open as links; a long list as `ps` prints it."""
    host = _host_of(context["request"])
    shown = sorted(shown_ports(container), key=lambda one: (not one.address, one.container_port, one.port))
    if len(shown) > MOST_PORTS:
        return {"ports": [(spelled.shown_ports(shown), None)]}
    return {"ports": [(spelled.shown_ports([one]), spelled.link_to(one, host)) for one in shown]}


def _host_of(request: HttpRequest) -> str:
    return urlsplit(f"//{request.get_host()}").hostname or ""
