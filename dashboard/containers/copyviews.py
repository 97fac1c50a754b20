"""Files into and out of a container, from its page."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from dashboard.containers import copies
from dashboard.containers.models import Container
from dashboard.containers.views import found_container
from dashboard.core.errors import Conflict, DashboardError
from dashboard.core.gate import Permission
from dashboard.core.render import page
from dashboard.jobs.models import JobState
from dashboard.transfers import services as transfers
from dashboard.transfers.models import Direction, Transfer


@require_POST
def copy_out(request: HttpRequest, container_id: str) -> HttpResponse:
    container = found_container(request, container_id, Permission.CONTAINER_COPY)
    return _shown(request, container, copies.begin_out(container, request.user, _path(request), follow=True))


@require_POST
def copy_in(request: HttpRequest, container_id: str) -> HttpResponse:
    """A place to send a tar to; `start` is to be asked once it is there, `shown` says how it is."""
    container = found_container(request, container_id, Permission.CONTAINER_COPY)
    _path(request)
    made = copies.begin_in(container, request.user)
    return JsonResponse(
        {
            "path": f"/ws/transfers/{made.key}",
            "start": reverse("container-copy-start", args=(container_id, made.key)),
            "shown": reverse("container-copy", args=(container_id, made.key)),
        }
    )


@require_POST
def copy_start(request: HttpRequest, container_id: str, key: str) -> HttpResponse:
    container = found_container(request, container_id, Permission.CONTAINER_COPY)
    arrived = _own(request, container, key)
    if arrived.direction != Direction.IN or not arrived.is_ready or arrived.job is not None:
        raise Conflict(_("The archive has not arrived whole. Try again."))
    is_plain = request.POST.get("plain") == "1"
    try:
        job = copies.put_in(container, request.user, arrived, _path(request), keep_owners=is_plain, is_plain=is_plain)
    except BaseException:
        transfers.give_up(key)
        raise
    return JsonResponse({"job": job.pk})


@require_safe
def copy(request: HttpRequest, container_id: str, key: str) -> HttpResponse:
    """How it is with an archive. Being asked keeps it alive."""
    container = found_container(request, container_id, Permission.CONTAINER_COPY)
    transfers.beat(key)
    return _shown(request, container, _own(request, container, key))


def _path(request: HttpRequest) -> str:
    path = request.POST.get("path", "").strip()
    if not path:
        raise DashboardError(_("Say which path in the container, as /etc/hosts."), status=400)
    return path


def _own(request: HttpRequest, container: Container, key: str) -> Transfer:
    found = transfers.known(request.user, key)
    if found is None or found.subject != container.container_id:
        raise transfers.Gone
    return found


def _shown(request: HttpRequest, container: Container, shown: Transfer) -> HttpResponse:
    context = {"container": container, "transfer": shown, "job": shown.job, "stage": _stage(shown)}
    return page(request, "containers/copy.html", context)


def _stage(shown: Transfer) -> str:
    is_out, job = shown.direction == Direction.OUT, shown.job
    if job is None:
        return "cancelled" if shown.ended_at else "arriving"
    if job.state == JobState.SUCCEEDED:
        return "put" if not is_out else "sent" if shown.ended_at else "ready"
    if job.is_live and not (is_out and shown.ended_at):
        return "reading" if is_out else "putting"
    return "failed" if job.state == JobState.FAILED else "cancelled"
