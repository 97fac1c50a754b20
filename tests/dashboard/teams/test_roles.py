"""Route × role × team: what the matrix says, on things that are there (WEB-01, WS-03)."""

from __future__ import annotations

import pytest
from django.urls import reverse

from tests.dashboard.matrix import EVERYBODYS, HEX, OBJECTS, OWN_ONLY, ROLES, ROUTES
from tests.dashboard.teams.conftest import BACKEND

pytestmark = [pytest.mark.threat("WEB-01"), pytest.mark.threat("WS-03")]
UNKNOWN = {
    "image": (HEX,),
    "container": (HEX,),
    "exec": (HEX,),
    "trashed": (HEX,),
    "volume": ("no-such-thing",),
    "network": (HEX,),
    "job": (999_999,),
    "member": ("nobody",),
    "invitation": (999_999,),
    "role": ("no-such-role",),
    "rule": (999_999,),
    "request": (999_999,),
}


def ask(client, name, args):
    row = ROUTES[name]
    url = reverse(name, args=args)
    method = next(iter(row.methods))
    return client.get(url) if method == "GET" else client.post(url, row.data)


def test_every_route_about_a_thing_says_whose_it_is():
    named = {name for name, row in ROUTES.items() if row.args}
    assert named == set(OBJECTS) | OWN_ONLY | EVERYBODYS


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", OBJECTS)
def test_a_role_does_what_its_row_says(name, role, client, teams):
    kind, allowed = OBJECTS[name]
    client.force_login(teams.people[role], backend=BACKEND)
    status = ask(client, name, teams.ours.args[kind]).status_code
    assert (status not in {403, 404}) is (role in allowed), status


@pytest.mark.parametrize("name", OBJECTS)
def test_a_thing_of_another_team_answers_as_one_that_is_not_there(name, client, teams):
    kind, _allowed = OBJECTS[name]
    client.force_login(teams.people["admin"], backend=BACKEND)
    foreign, unknown = ask(client, name, teams.theirs.args[kind]), ask(client, name, UNKNOWN[kind])
    assert foreign.status_code == unknown.status_code == 404
    strip = [str(one).encode() for one in (*teams.theirs.args[kind], *UNKNOWN[kind])]
    bodies = [foreign.content, unknown.content]
    for word in strip:
        bodies = [body.replace(word, b"") for body in bodies]
    assert bodies[0].split(b"csrf-token")[0] == bodies[1].split(b"csrf-token")[0]
    assert b"theirs" not in foreign.content
    assert b"secret" not in foreign.content


@pytest.mark.parametrize("name", OBJECTS)
def test_a_site_administrator_may_do_everything_in_every_team(name, client, teams):
    kind, _allowed = OBJECTS[name]
    client.force_login(teams.site, backend=BACKEND)
    client.post(reverse("team-use"), {"team": "theirs"})
    assert ask(client, name, teams.theirs.args[kind]).status_code not in {403, 404}


LISTS = ("home", "containers", "trash", "volumes", "networks", "terminals", "activity", "run", "catalog")


@pytest.mark.parametrize("name", LISTS)
def test_lists_show_the_current_teams_only(name, client, teams):
    client.force_login(teams.people["admin"], backend=BACKEND)
    body = client.get(reverse(name)).content.decode()
    for foreign in (teams.theirs.container.container_id, teams.theirs.network.network_id, "theirs"):
        assert foreign not in body
    own = {
        "containers": teams.ours.container.container_id,
        "volumes": "data",
        "networks": teams.ours.network.network_id,
    }
    assert own.get(name, "") in body


def test_an_image_names_no_container_of_another_team(client, teams):
    client.force_login(teams.people["admin"], backend=BACKEND)
    image = teams.ours.container.image
    teams.ours.exec.delete()
    teams.ours.container.delete()
    assert (
        teams.theirs.container.container_id
        not in client.get(reverse("image", args=[image.image_id[7:]])).content.decode()
    )
    answer = client.post(reverse("image-remove", args=[image.image_id[7:]]), headers={"Accept": "application/json"})
    assert answer.status_code == 409
    assert "web" not in answer.json()["error"]
