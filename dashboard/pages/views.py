"""Pages that several apps make up together: home, activity, system, errors."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import connection
from django.db.models import Count, Sum
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from dashboard.catalog import services as catalog
from dashboard.catalog.listing import image_rows
from dashboard.catalog.models import Image, Layer, LayerState
from dashboard.checkup import services as checkup
from dashboard.containers.models import Container, ContainerState
from dashboard.containers.states import UP
from dashboard.core.gate import Permission, require
from dashboard.core.render import is_htmx, page, said
from dashboard.core.shown import shown_mirrors
from dashboard.jobs import services as jobs
from dashboard.jobs.models import Job, JobState
from dashboard.pages import activity as listing
from dashboard.pages.context import live_job_count
from dashboard.pages.findings import report
from dashboard.teams import scope
from dashboard.volumes.models import Volume
from dashboard.volumes.services import measure_stale

PRIMER = ("docker -v", "docker run -i -t ubuntu:14.04", "docker pull centos:7", "docker images")


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    if not scope.teams_of(request.user).exists():
        return redirect("team")  # which says what to do
    require(request.user, Permission.CONTAINER_VIEW)
    mine = scope.here(request.user, Container.objects.all())
    running = mine.filter(state__in=UP)
    newest = catalog.with_tags(catalog.images_here(request.user), request.user)
    context = {
        "primer": PRIMER,
        "running": running.select_related("owner")[:8],
        "recent": listing.rows(listing.listed("", request.user)[:6]),
        "images": image_rows(newest.order_by("-created_at").prefetch_related("stack__layer")[:6])[:6],
        "is_empty": not mine.exists() and not newest.exists(),
    }
    part = request.GET.get("part") == "overview"
    return page(request, "pages/overview.html" if part else "pages/home.html", context)


@require_safe
def activity(request: HttpRequest) -> HttpResponse:
    require(request.user, Permission.JOB_VIEW)
    part = request.GET.get("part")
    if part == "count":
        return page(request, "frame/activity.html", {"activity_count": live_job_count(request.user)})
    state = request.GET.get("state", "")
    context = {"rows": listing.rows(listing.listed(state, request.user)), "state": state}
    return page(request, "pages/activity_rows.html" if part == "rows" else "pages/activity.html", context)


@require_safe
def job(request: HttpRequest, job_id: int) -> HttpResponse:
    shown = get_object_or_404(scope.seen(request.user, Job.objects.select_related("requester")), pk=job_id)
    require(request.user, Permission.JOB_VIEW, shown)
    names = dict(Container.objects.filter(container_id=listing.container_of(shown)).values_list("container_id", "name"))
    row = listing.row(shown, names)
    if request.GET.get("part") == "pull" and row.card:
        return page(request, "catalog/pull_card.html", {"card": row.card})
    context = {"row": row, "job": shown, "children": listing.rows(shown.children.order_by("pk")[:200])}
    template = "pages/job_body.html" if request.GET.get("part") == "body" else "pages/job.html"
    return page(request, template, context)


@require_POST
def cancel(request: HttpRequest, job_id: int) -> HttpResponse:
    shown = get_object_or_404(scope.seen(request.user, Job.objects.all()), pk=job_id)
    require(request.user, Permission.JOB_CANCEL, shown)
    jobs.cancel(shown, request.user)
    return said(_("Cancelling."), tone="info") if is_htmx(request) else redirect("job", job_id)


def _volumes() -> dict[str, int]:
    """How many, and what those hold that have been measured."""
    found = Volume.objects.aggregate(volumes=Count("pk"), measured=Count("size_bytes"), volume_bytes=Sum("size_bytes"))
    return {**found, "volume_bytes": found["volume_bytes"] or 0}


def _check() -> dict[str, object]:
    """The check that was asked for last, and what it found if it has ended well."""
    job = checkup.latest()
    ended_well = job is not None and job.state == JobState.SUCCEEDED
    return {"check": job, "outcome": checkup.Outcome.of(job) if job is not None and ended_well else None}


@require_POST
def system_check(request: HttpRequest) -> HttpResponse:
    checkup.check(request.user, repair="repair" in request.POST, deep="deep" in request.POST)
    return page(request, "pages/system_check.html", _check()) if is_htmx(request) else redirect("system")


@require_safe
def system(request: HttpRequest) -> HttpResponse:
    require(request.user, Permission.SITE_ADMIN)
    if request.GET.get("part") == "check":
        return page(request, "pages/system_check.html", _check())
    if not request.GET.get("part"):
        measure_stale(request.user)
    ready = Layer.objects.filter(state=LayerState.READY)
    context = {
        "report": report(),
        "counts": {
            "images": Image.objects.count(),
            "layers": ready.count(),
            "layer_bytes": sum(ready.values_list("file_bytes", flat=True)),
            "containers": Container.objects.count(),
            "running": Container.objects.filter(state=ContainerState.RUNNING).count(),
            **_volumes(),
        },
        "data_folder": str(settings.BERTH_DATA),
        "database": connection.vendor,
        "mirrors": shown_mirrors(),
        "plain_http": sorted(settings.BERTH_PLAIN_HTTP),
        "public_url": settings.BERTH_PUBLIC_URL,
        **_check(),
    }
    template = "pages/system_body.html" if request.GET.get("part") == "body" else "pages/system.html"
    return page(request, template, context)


def _error(request: HttpRequest, status: int, message: str, *, hint: str = "") -> HttpResponse:
    if not request.accepts("text/html"):
        return JsonResponse({"error": message}, status=status)
    if is_htmx(request) and request.headers.get("HX-Boosted") != "true":
        return said(message, tone="error", status=status)  # a part of a page: one sentence, nothing swapped
    context = {"status": status, "message": message, "hint": hint}
    return page(request, "errors/sentence.html", context, status=status)


@login_not_required
def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _error(request, 400, _("Berth could not read this request."))


@login_not_required
def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _error(request, 403, _("You may not do this."))


@login_not_required
def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A page from before the last sign-in, mostly of a second tab. Who is signed in by now has nothing to sign in for."""
    if request.path == reverse(settings.LOGIN_URL) and request.user.is_authenticated:
        return redirect(settings.LOGIN_REDIRECT_URL)
    return _error(request, 403, _("This page was too old. Load it again."), hint=_("Nothing was changed."))


@login_not_required
def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _error(request, 404, _("There is nothing at this address, or it is gone."))


@login_not_required
def server_error(request: HttpRequest) -> HttpResponse:
    """May run because the database or the templates failed: stands on nothing that could fail again."""
    return HttpResponse(_plain_page(_("Something went wrong in Berth. The log has the details.")), status=500)


def _plain_page(sentence: str) -> str:
    return (
        '<!doctype html><meta charset="utf-8"><title>Berth</title>'
        '<link rel="stylesheet" href="/static/app.css"><main id="main" class="gate"><div class="gate-box">'
        f'<h1>Berth</h1><p role="alert">{sentence}</p><p><a class="btn btn-sm" href="/">Berth</a></p></div></main>'
    )
