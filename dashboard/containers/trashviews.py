"""The trash of a team as a page, and the undo after a removal."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from django.db.models import Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from dashboard.containers import liferules, many, trash
from dashboard.containers.models import Container
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Permission, allows, require
from dashboard.core.many import MOST, Refusal, told
from dashboard.core.render import Undo, page, said
from dashboard.jobs.models import Job
from dashboard.teams import scope

WAIT_S = 15.0


@require_safe
def shown(request: HttpRequest) -> HttpResponse:
    rows = trash.listed(request.user)
    here = scope.current(request.user)
    context = {
        "rows": rows,
        "size": rows.aggregate(total=Sum("trashed__size_bytes"))["total"] or 0,
        "kept_s": None if here is None else liferules.trash_s(liferules.rules_of(here.pk)),
    }
    return page(request, "containers/trash_rows.html" if request.GET.get("part") else "containers/trash.html", context)


def _found(request: HttpRequest, container_id: str) -> Container:
    """Raises Http404: it is not in the trash of any of the person's teams."""
    found = trash.by_id(container_id, request.user)
    if found is None:
        require(request.user, Permission.CONTAINER_VIEW)
        raise Http404(_("This container is not in the trash any more."))
    require(request.user, Permission.CONTAINER_REMOVE, found)
    return found


@require_POST
def restore(request: HttpRequest, container_id: str) -> HttpResponse:
    """`name`: another than its own, which may be taken."""
    found = _found(request, container_id)
    restored = trash.restore(found, request.user, request.POST.get("name", "").strip())
    return said(restored.sentence(restored.container.name if request.POST.get("name") else found.name))


@require_POST
def remove(request: HttpRequest, container_id: str) -> HttpResponse:
    found = _found(request, container_id)
    many.wait_for(trash.end(found, request.user), WAIT_S)
    return said(_("%(name)s is removed for ever.") % {"name": found.name})


@require_POST
def undo(request: HttpRequest) -> HttpResponse:
    """What the notice after a removal offers: `key` is each that was removed."""
    require(request.user, Permission.CONTAINER_VIEW)
    chosen = request.POST.getlist("key")
    if not 0 < len(chosen) <= MOST:
        raise DashboardError(_("Select something first, at most %(most)d at once.") % {"most": MOST})

    def back(row: Container) -> str:
        return trash.restore(row, request.user).sentence(row.name)

    return told(*_each(request, chosen, back))


@require_POST
def empty(request: HttpRequest) -> HttpResponse:
    require(request.user, Permission.CONTAINER_REMOVE)
    jobs: list[Job] = []

    def end(row: Container) -> str:
        jobs.append(trash.end(row, request.user))
        return ""

    _each(request, list(trash.listed(request.user).values_list("container_id", flat=True)), end)
    return said(_("The trash is being emptied."))


def _each(request: HttpRequest, ids: Iterable[str], act: Callable[[Container], str]) -> tuple[list[str], list[Refusal]]:
    """One that is refused keeps no other from it."""
    done, refused = [], []
    for container_id in ids:
        row = trash.by_id(container_id, request.user)
        if row is None or not allows(request.user, Permission.CONTAINER_VIEW, row):
            gone = _("This container is not in the trash any more.")
            refused.append(Refusal(container_id, container_id[:12], gone))
            continue
        try:
            done.append(act(row))
        except DashboardError as error:
            refused.append(Refusal(container_id, row.name, str(error)))
    return done, refused


def undo_of(containers: Iterable[Container]) -> Undo | None:
    """The undo of a removal just now: of those that are in the trash, or on their way."""
    ids = [row.container_id for row in containers]
    kept = Container.with_trash.filter(container_id__in=ids, trashed__isnull=False)
    keys = list(kept.values_list("container_id", flat=True))
    return Undo(path=reverse("trash-undo"), label=_("Undo"), keys=tuple(keys)) if keys else None
