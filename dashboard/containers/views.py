"""Pages of containers: the list, running, one container, and what can be done to it."""

from __future__ import annotations

import json
from collections.abc import Callable

from django.conf import settings
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dashboard.catalog.listing import slabs_of
from dashboard.catalog.services import resolve_local, shown_name, tags_here
from dashboard.containers import (
    figures,
    health,
    lifelimits,
    liferules,
    many,
    mounting,
    networkviews,
    services,
    states,
    trashviews,
    usage,
)
from dashboard.containers.execs import UP
from dashboard.containers.forms import LimitsForm, RunForm
from dashboard.containers.limits import asked, limits_in_force
from dashboard.containers.models import Container, ContainerState
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Permission, offers, require
from dashboard.core.many import MOST as MOST_AT_ONCE
from dashboard.core.many import told
from dashboard.core.render import at_address, go_to, is_htmx, page, said, with_notice
from dashboard.core.sentences import reason
from dashboard.grammar import ContainerOptions, ExecOptions, to_line
from dashboard.grammar.processes import USER_ORIENTED, Now, ProcessLine, cells, titles
from dashboard.grammar.values import write_cpus, write_size
from dashboard.jobs.host import host_memory
from dashboard.jobs.models import Job
from dashboard.jobs.services import JobFailed, outcome
from dashboard.networks.models import Network
from dashboard.networks.predefined import BRIDGE
from dashboard.teams import scope
from dashboard.teams.models import Team
from dashboard.volumes.models import Volume

MOST_NAMES = 200
MOST_CHANGES = 2000
STOP_POLLING = 286  # htmx's own
_TABS = ("overview", "logs", "processes", "changes", "files", "inspect")
LOOK_S = 10  # how long a page waits for the engine to look into a container
_PARTS = {
    "head": "containers/head.html",
    "execs": "containers/execs.html",
    "overview": "containers/overview.html",
    "now": "containers/now.html",
}


def _listed(request: HttpRequest) -> QuerySet[Container]:
    rows = scope.here(request.user, Container.objects.select_related("image", "owner", "health", "life"))
    rows = rows.prefetch_related("ports")
    if request.GET.get("state") == "running":
        waits = Q(state=ContainerState.EXITED, restart_at__isnull=False)
        rows = rows.filter(Q(state__in=states.UP) | waits)
    query = request.GET.get("q", "").strip()
    if query:
        matches = Q(name__icontains=query) | Q(image_reference__icontains=query) | Q(container_id__startswith=query)
        rows = rows.filter(matches | Q(command_shown__icontains=query))
    return rows


@require_safe
def containers(request: HttpRequest) -> HttpResponse:
    require(request.user, Permission.CONTAINER_VIEW)
    part, taken = request.GET.get("part"), figures.newest()
    if part == "figures":
        rows = _listed(request)
        return page(
            request, "containers/figures.html", {"figures": [(row, taken.get(row.container_id)) for row in rows]}
        )
    context = {
        "containers": _listed(request),
        "taken": taken,
        "kept": liferules.kept_by_team(),
        "query": request.GET.get("q", ""),
        "only_running": request.GET.get("state") == "running",
        "has_any": scope.here(request.user, Container.objects.all()).exists(),
    }
    if part == "found":
        return at_address(page(request, "containers/found.html", context), request)
    return page(request, "containers/rows.html" if part == "rows" else "containers/list.html", context)


_TEAMS_OFFERED = 50


def _other_teams(request: HttpRequest, shown: Container) -> QuerySet[Team] | list[Team]:
    """Where this person could give it to; whether they may there, is asked when they do."""
    if not offers(request.user, Permission.CONTAINER_REMOVE, shown):
        return []
    return scope.teams_of(request.user).exclude(pk=shown.team.pk).order_by("name")[:_TEAMS_OFFERED]


def found_container(request: HttpRequest, container_id: str, permission: Permission) -> Container:
    """The container of a page.

    Raises:
        Http404: there is none.
        Denied: this person may not.
    """
    found = services.by_id(container_id, request.user)
    if found is None:
        raise Http404(_("This container no longer exists."))
    require(request.user, permission, found)
    return found


@require_safe
def container(request: HttpRequest, container_id: str) -> HttpResponse:
    if request.GET.get("part") == "now" and services.by_id(container_id, request.user) is None:
        require(request.user, Permission.CONTAINER_VIEW)
        return HttpResponse(status=STOP_POLLING)
    shown = found_container(request, container_id, Permission.CONTAINER_VIEW)
    tab = request.GET.get("tab", "overview")
    options = ContainerOptions.from_json(shown.options) if shown.options else None
    context: dict[str, object] = {
        "container": shown,
        "tab": tab if tab in _TABS else "overview",
        "options": options,
        "line": to_line(options) if options else "",
        "limits": limits_in_force(options) if options else None,
        "limits_form": _limits_form(options) if options else None,
        "slabs": slabs_of(shown.image.stack.select_related("layer")),
        "is_up": shown.state in states.UP,
        "health": health.of(shown) if shown.state in states.UP else None,
        "probes": [*reversed(health.entries(shown))],
        "mounts": mounting.shapes(shown, options) if options else [],
        "taken": figures.newest().get(shown.container_id),
        "kept": liferules.kept_by_team(),
        "life": lifelimits.shown(shown),
        "other_teams": _other_teams(request, shown),
        "can_keep": offers(request.user, Permission.CONTAINER_KEEP, shown),
        "out_of_band": request.GET.get("part") == "now",
        "execs": shown.execs.filter(state__in=UP).select_related("requester"),
        "jobs": scope.seen(request.user, Job.objects.filter(params__container_id=shown.container_id)).order_by(
            "-created_at"
        )[:5],
    }
    context |= networkviews.places(shown, request.user)
    context |= _looked_into(request, shown, tab)
    if tab == "inspect":
        context["document"] = json.dumps(services.inspect(shown), indent=4, ensure_ascii=False, default=str)
    return page(request, _PARTS.get(request.GET.get("part", ""), "containers/container.html"), context)


def _looked_into(request: HttpRequest, shown: Container, tab: str) -> dict[str, object]:
    """What only the engine can see. Why it cannot be told now stands in its place on the page."""
    ask = {"processes": services.processes, "changes": services.changes}.get(tab)
    if ask is None or (tab == "processes" and shown.state not in states.RUNS):
        return {}
    try:
        job = outcome(ask(shown, request.user), LOOK_S)
    except DashboardError as error:
        return {"look_error": str(error)}
    if job is None:
        return {"look_error": _("The engine has not answered yet. Load the page again in a moment.")}
    if tab == "changes":
        found = job.result.get("changes", [])
        return {"changes": found[:MOST_CHANGES], "change_count": len(found)}
    now = Now(timezone.localtime(), host_memory())
    lines = [ProcessLine.from_json(one) for one in job.result.get("processes", ())]
    return {
        "titles": titles(USER_ORIENTED),
        "processes": [_labelled(cells(line, USER_ORIENTED, now)) for line in lines],
    }


def _labelled(said: list[str]) -> list[tuple[str, str]]:
    return list(zip(titles(USER_ORIENTED), said, strict=True))


def _limits_form(options: ContainerOptions) -> LimitsForm:
    """As it was asked for; empty where nothing was said."""
    memory, cpus, pids = asked(options.memory_bytes), asked(options.nano_cpus), asked(options.pids_limit)
    first = {
        "memory": "" if memory is None else write_size(memory),
        "cpus": "" if cpus is None else write_cpus(cpus),
        "pids": pids,
    }
    return LimitsForm(initial=first, auto_id="limit-%s")


def _choices(request: HttpRequest) -> list[str]:
    tags = tags_here(request.user).exclude(tag="").order_by("repository", "tag")
    return list(dict.fromkeys(shown_name(tag) for tag in tags))


@require_http_methods(["GET", "HEAD", "POST"])
def run(request: HttpRequest) -> HttpResponse:
    require(request.user, Permission.CONTAINER_RUN)
    if request.method != "POST":
        first = {"image": request.GET.get("image", ""), "interactive": True, "tty": True}
        return _run_page(request, RunForm(initial=first), line=_line_of(first))
    form = RunForm(request.POST)
    if not form.is_valid():
        return _run_page(request, form, line=to_line(form.options()), status=422)
    options = form.options()
    if resolve_local(options.image, request.user) is None and is_htmx(request):
        return _fetch_and_run(options)
    try:
        made = services.create(request.user, options)
    except DashboardError as error:
        return _run_refused(request, form, error, status=422)
    try:
        many.wait_for(services.start(made, request.user, 24, 80), 20)
    except DashboardError as error:
        return _run_refused(request, form, error, status=409, made=made)
    return _opened(request, made)


def _run_refused(
    request: HttpRequest, form: RunForm, error: DashboardError, *, status: int, made: Container | None = None
) -> HttpResponse:
    """What is wrong in general, where that is known, stands above the sentence, which may be Docker's."""
    form.add_error(None, str(error))
    why = "" if error.code == DashboardError.code else reason(error.code)
    return _run_page(request, form, line=to_line(form.options()), status=status, made=made, why=why)


def _run_page(
    request: HttpRequest, form: RunForm, *, line: str, status: int = 200, made: Container | None = None, why: str = ""
) -> HttpResponse:
    """`made` could not be started. As in Docker it stays, unless `--rm` was asked for."""
    is_removed = made is not None and made.auto_remove
    port_help = _("On the host : in the container, spaces between. On %(address)s unless you name an address.") % {
        "address": settings.BERTH_PUBLISH_ADDRESS
    }
    names = scope.here(request.user, Volume.objects.filter(is_anonymous=False)).values_list("name", flat=True)[
        :MOST_NAMES
    ]
    free = scope.here(request.user, Network.objects.exclude(name=BRIDGE), shared=True)
    context = {
        "form": form,
        "room": usage.room(request.user, form.options()) if form.is_bound else usage.room(request.user),
        "line": line,
        "choices": _choices(request),
        "port_help": port_help,
        "volume_names": names,
        "default_network": BRIDGE,
        "networks": free.values_list("name", flat=True)[:MOST_NAMES],
        "why": why,
    }
    context |= {"kept": None if is_removed else made, "is_removed": is_removed}
    return page(request, "containers/run.html", context, status=status)


def _line_of(first: dict[str, object]) -> str:
    return to_line(ContainerOptions(image=str(first["image"]) or "IMAGE", interactive=True, tty=True))


def _fetch_and_run(options: ContainerOptions) -> HttpResponse:
    """The image is not here: the command door pulls it, layer by layer in the dock, and then runs it."""
    response = go_to(reverse("containers"))
    response["HX-Trigger"] = json.dumps({"run-command": {"line": to_line(options)}})
    return response


def _opened(request: HttpRequest, made: Container) -> HttpResponse:
    address = reverse("container", args=[made.container_id])
    if not is_htmx(request):
        return redirect(address)
    response = go_to(address)
    if made.tty:
        response["HX-Trigger"] = json.dumps({"open-terminal": {"terminal": made.container_id}})
    return response


@require_POST
def run_line(request: HttpRequest) -> HttpResponse:
    require(request.user, Permission.CONTAINER_RUN)
    form = RunForm(request.POST)
    form.is_valid()
    return page(
        request,
        "containers/line_checked.html",
        {"line": to_line(form.options()), "form": form, "room": usage.room(request.user, form.options())},
    )


def _answer(request: HttpRequest, *, leave: bool = False) -> HttpResponse:
    if is_htmx(request):
        return go_to(reverse("containers")) if leave else HttpResponse(status=204)
    if request.accepts("text/html"):
        return redirect(request.POST.get("next") or "containers")
    return JsonResponse({"ok": True})


def _number(text: str | None, default: int, *, most: int) -> int:
    return min(int(text), most) if text and text.isdecimal() else default


@require_POST
def start(request: HttpRequest, container_id: str) -> HttpResponse:
    found = found_container(request, container_id, Permission.CONTAINER_OPERATE)
    rows = _number(request.POST.get("rows"), 24, most=1000)
    columns = _number(request.POST.get("cols") or request.POST.get("columns"), 80, most=2000)
    many.wait_for(services.start(found, request.user, rows, columns), 20)
    return _answer(request)


def _act(
    request: HttpRequest, container_id: str, action: Callable[[Container], Job | None], timeout_s: float
) -> HttpResponse:
    found = found_container(request, container_id, Permission.CONTAINER_OPERATE)
    many.wait_for(action(found), timeout_s)
    return _answer(request)


@require_POST
def stop(request: HttpRequest, container_id: str) -> HttpResponse:
    return _act(request, container_id, lambda found: services.stop(found, request.user), 15)


@require_POST
def kill(request: HttpRequest, container_id: str) -> HttpResponse:
    return _act(request, container_id, lambda found: services.kill(found, request.user, "KILL"), 8)


@require_POST
def pause(request: HttpRequest, container_id: str) -> HttpResponse:
    return _act(request, container_id, lambda found: services.pause(found, request.user), 15)


@require_POST
def unpause(request: HttpRequest, container_id: str) -> HttpResponse:
    return _act(request, container_id, lambda found: services.unpause(found, request.user), 15)


@require_POST
def rename(request: HttpRequest, container_id: str) -> HttpResponse:
    found = found_container(request, container_id, Permission.CONTAINER_OPERATE)
    services.rename(found, request.user, request.POST.get("name", "").strip())
    if is_htmx(request):
        return said(_("It is called %(name)s now.") % {"name": found.name})
    return redirect("container", found.container_id)


@require_POST
def update(request: HttpRequest, container_id: str) -> HttpResponse:
    found = found_container(request, container_id, Permission.CONTAINER_OPERATE)
    form = LimitsForm(request.POST)
    if not form.is_valid():
        name, sentences = next(iter(form.errors.items()))
        msg = f"{form.fields[name].label}: {sentences[0]}"
        raise DashboardError(msg, status=400)
    names = {"memory": "memory_bytes", "cpus": "nano_cpus", "pids": "pids_limit"}
    changes: dict[str, int | str | None] = {field: form.cleaned_data[name] for name, field in names.items()}
    many.wait_for(services.update(found, request.user, changes), 15)
    address = reverse("container", args=[found.container_id])
    if not is_htmx(request):
        return redirect(address)
    response = go_to(address)
    message = _("%(name)s has these limits from now on.") % {"name": found.name}
    response["HX-Trigger"] = json.dumps({"toast": {"message": message, "tone": "success"}})
    return response


@require_POST
def restart(request: HttpRequest, container_id: str) -> HttpResponse:
    return _act(request, container_id, lambda found: services.restart(found, request.user), 30)


@require_POST
def remove(request: HttpRequest, container_id: str) -> HttpResponse:
    found = found_container(request, container_id, Permission.CONTAINER_REMOVE)
    force, now = request.POST.get("force") == "1", request.POST.get("now") == "1"
    many.wait_for(services.remove(found, request.user, force, now=now), 15)
    if not is_htmx(request):
        return _answer(request, leave=True)
    answer = go_to(reverse("containers")) if request.POST.get("leave") else HttpResponse(status=204)
    return with_notice(answer, _("%(name)s is removed.") % {"name": found.name}, undo=trashviews.undo_of([found]))


@require_POST
def act_on_selected(request: HttpRequest) -> HttpResponse:
    """Each row's own right is asked for by what is done to it."""
    require(request.user, Permission.CONTAINER_VIEW)
    action = many.ACTIONS.get(request.POST.get("action", ""))
    chosen = request.POST.getlist("key")
    if action is None or not 0 < len(chosen) <= MOST_AT_ONCE:
        raise DashboardError(_("Select something first, at most %(most)d at once.") % {"most": MOST_AT_ONCE})
    came_of_it = many.act(action, chosen, request.user)
    undo = trashviews.undo_of(came_of_it.asked) if request.POST.get("action") == "remove" else None
    return told(came_of_it.sentences(action), came_of_it.refused, undo)


@require_POST
def shell(request: HttpRequest, container_id: str) -> HttpResponse:
    """A shell of its own beside the container's program, as the user that is named, or as the container's own."""
    found = found_container(request, container_id, Permission.CONTAINER_EXEC)
    options = ExecOptions(user=request.POST.get("user", "").strip(), interactive=True, tty=True)
    row, job = services.start_exec(found, request.user, options)
    try:
        outcome(job, timeout_s=20)
    except JobFailed as error:
        raise DashboardError(_no_shell(), status=409) if error.code == "shell-not-found" else error from error
    if not is_htmx(request):
        return redirect("exec-terminal", row.exec_id)
    response = HttpResponse(status=204)
    response["HX-Trigger"] = json.dumps({"open-terminal": {"terminal": f"exec:{row.exec_id}"}})
    return response


def _no_shell() -> str:
    return _("This image has no shell (no bash, ash or sh), so none can be opened in its containers.")


@require_POST
def exec_end(request: HttpRequest, exec_id: str) -> HttpResponse:
    row = services.find_exec(exec_id, request.user)
    if row is None:
        raise Http404(_("This command no longer runs."))
    many.wait_for(services.end_exec(row, request.user), 15)
    if not is_htmx(request) and request.accepts("text/html"):
        return redirect("container", row.container.container_id)
    return _answer(request)
