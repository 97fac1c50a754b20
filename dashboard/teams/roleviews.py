"""Pages about roles: what each gives, changing a team's own ones, and what one person may do and why."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dashboard.core.gate import Permission, require
from dashboard.core.render import page, shown_anew
from dashboard.teams import explaining, scope, services
from dashboard.teams.policy import rights_in
from dashboard.teams.rights import ASSIGNABLE, BUILTIN, Builtin
from dashboard.teams.views import frame_of, here
from dashboard.teams.words import WORDS, grouped


@require_http_methods(["GET", "HEAD", "POST"])
def roles(request: HttpRequest) -> HttpResponse:
    """Every role with what it gives; posted to, a role of the team's own is made or changed."""
    team = here(request)
    if request.method == "POST":
        require(request.user, Permission.TEAM_MANAGE, team)
        services.save_role(request.user, team, request.POST.get("name", "").strip(), request.POST.getlist("allow"))
        return shown_anew(request, "team-roles")
    require(request.user, Permission.TEAM_VIEW, team)
    own = list(team.roles.prefetch_related("memberships"))
    mine = rights_in(request.user, team.pk)
    edited = next((role for role in own if role.name == request.GET.get("role")), None)
    columns = [(role.label, BUILTIN[role]) for role in Builtin] + [(role.name, role.rights) for role in own]
    table = [
        (group, [(words, [permission in rights for _name, rights in columns]) for permission, words in inside])
        for group, inside in grouped(ASSIGNABLE)
    ]
    chosen = edited.rights if edited else frozenset()
    picker = [
        (group, [(one, words, one in chosen, one in mine) for one, words in inside])
        for group, inside in grouped(ASSIGNABLE)
    ]
    context = frame_of(request, team, "roles") | {
        "own": [(role, role.memberships.count(), role.rights <= mine) for role in own],
        "names": [name for name, _rights in columns],
        "table": table,
        "picker": picker,
        "edited": edited,
    }
    return page(request, "teams/roles.html", context)


@require_POST
def remove(request: HttpRequest, name: str) -> HttpResponse:
    team = here(request)
    require(request.user, Permission.TEAM_MANAGE, team)
    services.remove_role(request.user, team, name)
    return shown_anew(request, "team-roles")


@require_safe
def member(request: HttpRequest, name: str) -> HttpResponse:
    """One's own rights, or those of somebody in the team. Whoever is not in it answers as whoever is not there."""
    team = here(request)
    require(request.user, Permission.TEAM_VIEW, team)
    person, rights = explaining.seen(request.user, team, name)
    told = {right.permission: right for right in rights}
    groups = [(group, [(words, told[one]) for one, words in inside]) for group, inside in grouped()]
    context = frame_of(request, team, "members") | {
        "person": person,
        "member": team.memberships.select_related("custom").filter(person=person).first(),
        "groups": groups,
        "given_count": sum(right.is_given for right in told.values()),
        "all_count": len(WORDS),
        "is_site": scope.is_site_admin(person),
    }
    return page(request, "teams/member.html", context)
