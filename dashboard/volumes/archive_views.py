"""The page of one volume, and what it does with archives: back up, download, restore."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from dashboard.core.errors import Conflict
from dashboard.core.gate import Permission, require
from dashboard.core.render import page
from dashboard.jobs.models import JobState
from dashboard.teams import scope
from dashboard.transfers import services as transfers
from dashboard.transfers.models import Direction, Transfer
from dashboard.volumes import archives, services
from dashboard.volumes.models import Volume


def _volume(request: HttpRequest, name: str) -> Volume:
    """The current team's."""
    return get_object_or_404(scope.here(request.user, Volume.objects.select_related("owner")), name=name)


@require_safe
def volume(request: HttpRequest, name: str) -> HttpResponse:
    is_part = request.GET.get("part") == "head"
    if is_part and not scope.here(request.user, Volume.objects.filter(name=name)).exists():  # removed meanwhile
        require(request.user, Permission.VOLUME_VIEW)
        return page(request, "volumes/gone.html", {"name": name})
    found = _volume(request, name)
    require(request.user, Permission.VOLUME_VIEW, found)
    if not is_part:
        services.measure_stale(request.user)
    template = "volumes/head.html" if is_part else "volumes/volume.html"
    uses = found.uses.select_related("container").order_by("container__name")
    return page(request, template, {"volume": found, "uses": uses, "mountpoint": services.mountpoint(found)})


@require_POST
def backup(request: HttpRequest, name: str) -> HttpResponse:
    found = _volume(request, name)
    return _shown(request, found, archives.begin_backup(found, request.user))


@require_safe
def transfer(request: HttpRequest, name: str, key: str) -> HttpResponse:
    """How it is with an archive. Being asked keeps it alive."""
    found = _volume(request, name)
    require(request.user, Permission.VOLUME_VIEW, found)
    transfers.beat(key)
    return _shown(request, found, _own(request, found, key))


@require_POST
def restore(request: HttpRequest, name: str) -> HttpResponse:
    """A place to send the archive to; `start` is to be asked once it is there, `shown` says how it is."""
    found = _volume(request, name)
    made = archives.begin_restore(found, request.user)
    return JsonResponse(
        {
            "path": f"/ws/transfers/{made.key}",
            "start": reverse("volume-restore-start", args=(name, made.key)),
            "shown": reverse("volume-transfer", args=(name, made.key)),
        }
    )


@require_POST
def restore_start(request: HttpRequest, name: str, key: str) -> HttpResponse:
    found = _volume(request, name)
    arrived = _own(request, found, key)
    if arrived.direction != Direction.IN or not arrived.is_ready or arrived.job is not None:
        raise Conflict(_("The archive has not arrived whole. Try again."))
    try:
        job = archives.restore(found, request.user, arrived)
    except BaseException:
        transfers.give_up(key)
        raise
    return JsonResponse({"job": job.pk})


def _own(request: HttpRequest, volume: Volume, key: str) -> Transfer:
    found = transfers.known(request.user, key)
    if found is None or found.subject != volume.key:
        raise transfers.Gone
    return found


def _shown(request: HttpRequest, found: Volume, shown: Transfer) -> HttpResponse:
    context = {"volume": found, "transfer": shown, "job": shown.job, "stage": _stage(shown)}
    if shown.job is not None and shown.job.state == JobState.SUCCEEDED and shown.direction == Direction.OUT:
        context["size_bytes"] = shown.job.progress.get("current")
    return page(request, "volumes/transfer.html", context)


def _stage(shown: Transfer) -> str:
    is_out, job = shown.direction == Direction.OUT, shown.job
    if job is None:
        return "cancelled" if shown.ended_at else "arriving"
    if job.state == JobState.SUCCEEDED:
        return "restored" if not is_out else "sent" if shown.ended_at else "ready"
    if job.is_live and not (is_out and shown.ended_at):
        return "writing" if is_out else "restoring"
    return "failed" if job.state == JobState.FAILED else "cancelled"
