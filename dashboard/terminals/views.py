"""The list of shells, and a shell on a page of its own. The streams themselves are consumers."""

from __future__ import annotations

from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from dashboard.containers.models import Container, Exec, ExecState
from dashboard.containers.states import UP
from dashboard.core.gate import Permission, require
from dashboard.core.render import page
from dashboard.terminals.models import StreamSession


def _with_terminal() -> QuerySet[Container]:
    watching = StreamSession.objects.filter(ended_at=None, mode="attach", exec=None).select_related("user")
    up = Container.objects.filter(tty=True, state__in=UP)
    return up.select_related("image", "owner").prefetch_related(
        Prefetch("streams", queryset=watching, to_attr="open_streams")
    )


def _commands() -> QuerySet[Exec]:
    watching = StreamSession.objects.filter(ended_at=None).select_related("user")
    running = Exec.objects.filter(tty=True, state=ExecState.RUNNING).select_related("container")
    return running.prefetch_related(Prefetch("streams", queryset=watching, to_attr="open_streams"))


@require_safe
def terminals(request: HttpRequest) -> HttpResponse:
    require(request.user, Permission.CONTAINER_VIEW)
    template = "terminals/rows.html" if request.GET.get("part") == "rows" else "terminals/list.html"
    return page(request, template, {"containers": _with_terminal(), "execs": _commands()})


@require_safe
def terminal(request: HttpRequest, container_id: str) -> HttpResponse:
    container = get_object_or_404(Container, container_id=container_id)
    require(request.user, Permission.TERMINAL_OPEN, container)
    return page(request, "terminals/page.html", {"container": container, "target": container_id})


@require_safe
def exec_terminal(request: HttpRequest, exec_id: str) -> HttpResponse:
    row = get_object_or_404(Exec.objects.select_related("container"), exec_id=exec_id)
    require(request.user, Permission.TERMINAL_OPEN, row.container)
    context = {"container": row.container, "target": f"exec:{exec_id}", "command": row.command_shown}
    return page(request, "terminals/page.html", context)
