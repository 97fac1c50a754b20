"""What somebody may do and why; the picker of roles; and both on the command line."""

from __future__ import annotations

import pytest
from django.urls import reverse

from dashboard.core.gate import Permission, allows
from dashboard.teams import explaining, scope, services, words
from dashboard.teams.models import Membership, Role
from dashboard.teams.rights import ASSIGNABLE
from tests.dashboard.people import make_member
from tests.dashboard.teams.conftest import BACKEND


def test_every_right_has_words_and_stands_in_one_group():
    assert set(words.WORDS) == set(Permission)
    listed = [permission for _group, inside in words.grouped() for permission, _words in inside]
    assert sorted(listed) == sorted(Permission)
    assert {one for _group, inside in words.grouped(ASSIGNABLE) for one, _words in inside} == ASSIGNABLE


@pytest.mark.parametrize("who", ["viewer", "operator", "maintainer", "admin", "site", "stranger", "closed", "custom"])
def test_what_is_said_is_what_the_gate_answers(teams, who):
    team = teams.ours.team
    person = {"site": teams.site, "stranger": teams.stranger}.get(who) or teams.people.get(who)
    if who == "custom":
        services.save_role(teams.site, team, "watcher", ["image.view", "terminal.open"])
        person = make_member("custom", "viewer", team)
        services.set_role(teams.site, team, person, "watcher")
    if who == "closed":
        person = make_member("closed", "admin", team)
        person.is_active = False
        person.save()
    if who not in {"closed", "stranger"}:
        scope.act_in(person, team.slug)
    told = explaining.explain(person, team)
    assert [one.permission for one in told] == list(Permission)
    for one in told:
        assert one.is_given is allows(person, one.permission, team), one
        assert one.why


def test_a_reason_names_the_role_and_those_that_would_do(teams):
    services.save_role(teams.site, teams.ours.team, "builder", ["network.create"])
    told = {one.permission: one for one in explaining.explain(teams.people["operator"], teams.ours.team)}
    assert told[Permission.CONTAINER_RUN].why == "The role Operator gives it."
    assert told[Permission.NETWORK_CREATE].why == (
        "The role Operator does not give it. These do: Maintainer, Team admin, builder."
    )
    assert told[Permission.SITE_ADMIN].why == "Only site administrators may; no role gives it."


def test_the_page_of_a_person(client, teams):
    client.force_login(teams.people["viewer"], backend=BACKEND)
    body = client.get(reverse("team-person", args=["our-operator"])).content.decode()
    assert "What our-operator may do here, and why" in body
    assert "The role Operator does not give it. These do: Maintainer, Team admin." in body
    assert client.get(reverse("team-person", args=["stranger"])).status_code == 404
    client.force_login(teams.site, backend=BACKEND)
    client.post(reverse("team-use"), {"team": "ours"})
    assert "stranger is not in the team Ours." in client.get(reverse("team-person", args=["stranger"])).content.decode()


def test_the_picker_makes_changes_and_removes_a_role(client, teams):
    client.force_login(teams.people["admin"], backend=BACKEND)
    url = reverse("team-roles")
    assert client.post(url, {"name": "watcher", "allow": ["image.view", "terminal.open"]}).status_code == 302
    body = client.get(url + "?role=watcher").content.decode()
    assert 'value="terminal.open" checked' in body
    assert 'value="container.run" checked' not in body
    client.post(url, {"name": "watcher", "allow": ["image.view"]})
    assert Role.objects.get(name="watcher").permissions == ["image.view"]
    services.set_role(teams.site, teams.ours.team, teams.people["viewer"], "watcher")
    held = client.post(reverse("team-role-remove", args=["watcher"]), headers={"Accept": "application/json"})
    assert (held.status_code, "our-viewer" in held.json()["error"]) == (409, True)
    services.set_role(teams.site, teams.ours.team, teams.people["viewer"], "viewer")
    assert client.post(reverse("team-role-remove", args=["watcher"])).status_code == 302
    assert not Role.objects.filter(name="watcher").exists()


def test_who_lacks_a_right_cannot_tick_it(client, teams):
    services.save_role(teams.site, teams.ours.team, "steward", ["team.manage", "team.view", "image.view"])
    Membership.objects.filter(person=teams.people["viewer"]).update(builtin="", custom=Role.objects.get(name="steward"))
    client.force_login(teams.people["viewer"], backend=BACKEND)
    body = client.get(reverse("team-roles")).content.decode()
    assert 'value="container.run" disabled' in body
    assert 'value="image.view">' in body
    assert client.post(reverse("team-roles"), {"name": "more", "allow": ["container.run"]}).status_code == 403
