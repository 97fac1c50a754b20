"""The list of shells, and a shell on a page of its own. The streams themselves are consumers."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from dashboard.containers.models import Container, Exec, ExecState
from dashboard.containers.services import find_exec
from dashboard.containers.states import UP
from dashboard.core.gate import Permission, require
from dashboard.core.render import page
from dashboard.teams import scope
from dashboard.terminals import sessions


@require_safe
def terminals(request: HttpRequest) -> HttpResponse:
    require(request.user, Permission.CONTAINER_VIEW)
    up = list(
        scope.here(request.user, Container.objects.filter(tty=True, state__in=UP)).select_related("image", "owner")
    )
    mine = scope.here(request.user, Container.objects.all())
    running = Exec.objects.filter(tty=True, state=ExecState.RUNNING, container__in=mine)
    commands = list(running.select_related("container"))
    names = sessions.watching_of([row.pk for row in up], [row.pk for row in commands])
    context = {
        "containers": [(row, names.get(sessions.key_of(row), ())) for row in up],
        "execs": [(row, names.get(sessions.key_of(row), ())) for row in commands],
    }
    template = "terminals/rows.html" if request.GET.get("part") == "rows" else "terminals/list.html"
    return page(request, template, context)


@require_safe
def terminal(request: HttpRequest, container_id: str) -> HttpResponse:
    container = get_object_or_404(scope.seen(request.user, Container.objects.all()), container_id=container_id)
    require(request.user, Permission.TERMINAL_OPEN, container)
    return page(request, "terminals/page.html", {"container": container, "target": container_id})


@require_safe
def exec_terminal(request: HttpRequest, exec_id: str) -> HttpResponse:
    row = find_exec(exec_id, request.user)
    if row is None:
        raise Http404
    require(request.user, Permission.TERMINAL_OPEN, row.container)
    context = {"container": row.container, "target": f"exec:{exec_id}", "command": row.command_shown}
    return page(request, "terminals/page.html", context)
