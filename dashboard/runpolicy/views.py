"""The page of a team's run policy."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from dashboard import gateway
from dashboard.core.gate import Permission, offers, require
from dashboard.core.render import page, shown_anew
from dashboard.jobs.host import host_info
from dashboard.runpolicy import services
from dashboard.runpolicy.rules import Rules
from dashboard.teams.views import frame_of, here

# (rule, words, the host's ceiling that it lies within, or "")
SWITCHES = (
    ("privileged", _("Privileged containers: they can do everything on the host"), "privileged"),
    ("userns_host", _("Containers whose root is the host's root"), "userns_host"),
    ("seccomp_unconfined", _("Containers without a filter of system calls"), "seccomp_unconfined"),
)
LISTS = (
    ("devices", _("Devices of the host"), "/dev/fuse", "devices"),
    ("capabilities", _("Capabilities that may be added"), "CAP_NET_ADMIN", ""),
    ("host_paths", _("Folders of the host"), "/srv/shared", "host_paths"),
    ("networks", _("Networks"), "bridge", ""),
    ("labels", _("Labels that each container must carry"), "owner", ""),
)
_CAN_BE_ANY = frozenset({"capabilities", "host_paths", "networks"})


@require_http_methods(["GET", "HEAD", "POST"])
def run_policy(request: HttpRequest) -> HttpResponse:
    """What containers of the team may be. Its admins may narrow it, site administrators set it."""
    team = here(request)
    if request.method == "POST":
        require(request.user, Permission.TEAM_MANAGE, team)
        if request.POST.get("reset"):
            services.reset(request.user, team)
        else:
            services.change(request.user, team, _said(request))
        return shown_anew(request, "team-policy")
    rules = services.shown(request.user, team)
    lifted = host_info().get("lifted")
    held = set(lifted) if isinstance(lifted, list) else set()
    context = frame_of(request, team, "policy") | {
        "rules": rules,
        "is_default": rules == Rules(),
        "is_site": offers(request.user, Permission.SITE_ADMIN),
        "switches": [(name, words, getattr(rules, name), ceiling in held) for name, words, ceiling in SWITCHES],
        "namespaces": [(kind, kind in rules.host_namespaces) for kind in gateway.HOST_NAMESPACES],
        "has_namespaces": "host_namespaces" in held,
        "lists": [_listed(rules, held, one) for one in LISTS],
        "capability_names": sorted(gateway.GRANTABLE_CAPABILITIES),
    }
    return page(request, "teams/run_policy.html", context)


def _listed(rules: Rules, held: set[Any], row: tuple[str, object, str, str]) -> dict[str, object]:
    name, words, example, ceiling = row
    value = getattr(rules, name)
    return {
        "name": name,
        "words": words,
        "example": example,
        "is_any": value is None,
        "can_be_any": name in _CAN_BE_ANY,
        "text": "\n".join(sorted(value or ())),
        "values": sorted(value or ()),
        "is_given": not ceiling or ceiling in held,
    }


def _said(request: HttpRequest) -> dict[str, Any]:
    """The form has every rule."""
    said: dict[str, Any] = {name: name in request.POST for name, _words, _ceiling in SWITCHES}
    said["no_new_privileges"] = "no_new_privileges" in request.POST
    said["host_namespaces"] = request.POST.getlist("host_namespaces")
    for name, _words, _example, _ceiling in LISTS:
        if name in _CAN_BE_ANY and request.POST.get(f"{name}_any"):
            said[name] = None
        else:
            said[name] = request.POST.get(name, "").replace(",", " ").split()
    return said
