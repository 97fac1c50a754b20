"""Pages of the catalog: what is here, pulling, one image, removing."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from dashboard.catalog import services, sharing
from dashboard.catalog.forms import PullForm
from dashboard.catalog.listing import image_rows, slabs_of
from dashboard.catalog.models import PULL, Image, ImageLayer
from dashboard.catalog.recent import dismiss, recent_pulls
from dashboard.catalog.removal import standing_on
from dashboard.core.errors import DashboardError
from dashboard.core.gate import Permission, offers, require
from dashboard.core.many import MOST as MOST_AT_ONCE
from dashboard.core.many import Refusal, listed, told
from dashboard.core.render import at_address, go_to, is_htmx, page, said, shown_anew
from dashboard.jobs.models import Job
from dashboard.teams import scope

_USERS_NAMED = 5


@require_safe
def catalog(request: HttpRequest) -> HttpResponse:
    require(request.user, Permission.IMAGE_VIEW)
    query = request.GET.get("q", "")
    context: dict[str, object] = {"query": query}
    part = request.GET.get("part")
    if part != "pulls":
        images = services.images_for(request.user).annotate(user_count=services.users_counted(request.user))
        context["rows"] = image_rows(images.prefetch_related("stack__layer"), query)
    if part == "found":
        return at_address(page(request, "catalog/rows.html", context), request)
    if part == "rows":
        return page(request, "catalog/rows.html", context)
    context["pulls"] = recent_pulls(request.session, request.user)
    context["available"] = services.available(request.user)
    return page(request, "catalog/pulls.html" if part == "pulls" else "catalog/list.html", context)


@require_POST
def pull(request: HttpRequest) -> HttpResponse:
    require(request.user, Permission.IMAGE_PULL)
    form = PullForm(request.POST)
    if not form.is_valid():
        raise DashboardError(_("Type the name of an image, for example ubuntu:14.04."), status=400)
    return _pulling(request, services.pull(form.cleaned_data["reference"], user=request.user))


@require_POST
def pull_again(request: HttpRequest, job_id: int) -> HttpResponse:
    """The same pull once more: name and platform as they were asked for."""
    before = get_object_or_404(scope.seen(request.user, Job.objects.filter(kind=PULL)), pk=job_id)
    require(request.user, Permission.IMAGE_PULL)
    asked = before.params
    job = services.pull(str(asked["reference"]), user=request.user, platform=str(asked.get("platform") or "") or None)
    return _pulling(request, job)


@require_POST
def pull_dismiss(request: HttpRequest, job_id: int) -> HttpResponse:
    job = get_object_or_404(scope.seen(request.user, Job.objects.filter(kind=PULL)), pk=job_id)
    require(request.user, Permission.IMAGE_VIEW)
    dismiss(request.session, job)
    return _recent(request) if is_htmx(request) else redirect("catalog")


def _pulling(request: HttpRequest, job: Job) -> HttpResponse:
    """To the pulls where they are on the page; else to the page of this one."""
    if not is_htmx(request):
        return redirect("job", job.pk)
    if request.headers.get("HX-Target") == "pulls":
        return _recent(request)
    return go_to(reverse("job", args=[job.pk]))


def _recent(request: HttpRequest) -> HttpResponse:
    return page(request, "catalog/pulls.html", {"pulls": recent_pulls(request.session, request.user)})


def _image(request: HttpRequest, image_hex: str) -> Image:
    return get_object_or_404(services.seen_images(request.user), image_id=f"sha256:{image_hex}")


@require_safe
def image(request: HttpRequest, image_hex: str) -> HttpResponse:
    shown = _image(request, image_hex)
    require(request.user, Permission.IMAGE_VIEW, shown)
    links = list(shown.stack.select_related("layer"))
    tags = [(services.familiar_name(tag), tag) for tag in services.tags_here(request.user).filter(image=shown)]
    context = {
        "image": shown,
        "image_hex": image_hex,
        "tags": tags,
        "names": [services.shown_name(tag) for _name, tag in tags],
        "slabs": slabs_of(links),
        "links": _with_history(shown, links),
        "config": shown.config.get("config") or {},
        "users": _seen_users(request, shown),
        **_who_sees(request, shown),
    }
    return page(request, "catalog/image.html", context)


_OTHERS_OFFERED = 8


def _who_sees(request: HttpRequest, shown: Image) -> dict[str, object]:
    """Of the teams that hold it those that this person knows of; and whether the current one may share it."""
    mine = scope.teams_of(request.user)
    holders = mine.filter(held_images__image=shown)
    team = scope.current(request.user)
    may_share = team is not None and team in holders and offers(request.user, Permission.IMAGE_SHARE, team)
    if shown.is_public:
        may_share = may_share and team is not None and shown.shared_by_id == team.pk
    others = mine.exclude(held_images__image=shown)[:_OTHERS_OFFERED] if may_share else []
    return {"holders": holders, "may_share": may_share, "other_teams": others}


@require_POST
def share(request: HttpRequest, image_hex: str) -> HttpResponse:
    """The button says with whom: `everybody`, `team:NAME`, or `unshare`."""
    shown = _image(request, image_hex)
    require(request.user, Permission.IMAGE_VIEW, shown)
    how, _colon, team = request.POST.get("how", "").partition(":")
    if how == "unshare":
        sharing.unshare(request.user, shown.image_id)
    elif how == "everybody" or (how == "team" and team):
        sharing.share(request.user, shown.image_id, with_team=team)
    else:
        raise DashboardError(_("Say with whom to share it."))
    return shown_anew(request, "image", image_hex)


def _seen_users(request: HttpRequest, shown: Image) -> QuerySet[Any]:  # Any: containers, whose app is above this one
    """The containers on it that this person may know of."""
    return scope.seen(request.user, shown.containers.select_related("owner"))


def _with_history(shown: Image, links: list[ImageLayer]) -> list[dict[str, object]]:
    """Layers from the top down, each with the build step that the config names for it."""
    steps = [step for step in shown.config.get("history") or [] if not step.get("empty_layer")]
    named = len(steps) == len(links)
    rows = [
        {"layer": link.layer, "step": steps[place].get("created_by", "") if named else "", "number": place + 1}
        for place, link in enumerate(links)
    ]
    return rows[::-1]


@require_POST
def remove(request: HttpRequest, image_hex: str) -> HttpResponse:
    shown = _image(request, image_hex)
    require(request.user, Permission.IMAGE_REMOVE, shown)
    lines = _removed(request, shown, request.POST.get("reference", ""))
    if not is_htmx(request):
        return redirect("catalog")
    if request.POST.get("leave"):
        return go_to(reverse("catalog"))
    return said("\n".join(lines[:4]) or _("Removed."))


@require_POST
def remove_selected(request: HttpRequest) -> HttpResponse:
    """Names, each on its own: one that is refused keeps no other from going."""
    require(request.user, Permission.IMAGE_REMOVE)
    chosen = request.POST.getlist("key")
    if not 0 < len(chosen) <= MOST_AT_ONCE:
        raise DashboardError(_("Select something first, at most %(most)d at once.") % {"most": MOST_AT_ONCE})
    done, refused = [], []
    for reference in chosen:
        try:
            shown = services.find_image(reference, request.user)
            require(request.user, Permission.IMAGE_REMOVE, shown)
            _removed(request, shown, reference)
            done.append(reference)
        except DashboardError as error:
            refused.append(Refusal(reference, reference, str(error)))
    return told([_("Removed: %(names)s.") % {"names": listed(done)}] if done else [], refused)


def _removed(request: HttpRequest, shown: Image, reference: str) -> list[str]:
    """A name, or the image with all its names: the question before named them, so more than one is no obstacle."""
    is_used = standing_on(shown).exists()
    try:
        return services.remove_image(reference or shown.image_id, request.user, force=not reference and not is_used)
    except services.ImageInUse as error:
        seen = scope.seen(request.user, standing_on(shown)).order_by("created_at")[: _USERS_NAMED + 1]
        names = [
            _("%(name)s (in the trash)") % {"name": row.name} if row.state == "trashed" else row.name for row in seen
        ]
        users = ", ".join(names[:_USERS_NAMED] + ["…"] * (len(names) > _USERS_NAMED)) or _("of other teams")
        sentence = _("Nothing is removed. First remove the containers that use the image (%(containers)s).")
        raise DashboardError(sentence % {"containers": users}, status=409) from error
