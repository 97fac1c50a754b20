"""Life spans on pages: the team's rules, the warning, extending, the run form; and the same by commands."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from dashboard.containers.models import Container, LifeRules, LifeSpan
from dashboard.teams.models import Team, make_main

HTMX = {"HX-Request": "true"}


@pytest.fixture
def warned(world):
    """`calm_fulton` runs, and is near its end."""
    LifeRules.objects.create(team=make_main(Team.objects), expiry_s=3600, idle_s=1800)
    now = timezone.now()
    LifeSpan.objects.create(
        container=world.running, began_at=now - timedelta(minutes=50), used_at=now, warned_at=now, warned_of="expiry",
        ends_at=now + timedelta(minutes=10),
    )  # fmt: skip
    return world


def test_the_teams_rules_are_set_on_their_page(page, world):
    said = {"expiry_s": "8h", "idle_s": "", "warning_s": "15m", "extension_s": "1h", "extensions": "2", "trash_s": "1d"}
    assert page.post("/team/life/", said).status_code == 302
    rules = LifeRules.objects.get()
    assert (rules.expiry_s, rules.idle_s, rules.trash_s, rules.extensions) == (28_800, None, 86_400, 2)
    body = page.get("/team/life/").content.decode()
    assert 'value="8h"' in body
    for name, wrong, sentence in (
        ("expiry_s", "soon", "Lengths of time are written as"),
        ("warning_s", "", "missing: Warned before"),
        ("trash_s", "900d", "too short or too long"),
    ):
        answer = page.post("/team/life/", said | {name: wrong}, headers={"Accept": "application/json"})
        assert answer.status_code == 400
        assert sentence in answer.json()["error"]


def test_a_warning_stands_on_its_page_and_in_the_list(page, warned):
    name = warned.running.container_id
    for address in (f"/containers/{name}/", f"/containers/{name}/?part=head"):
        body = page.get(address).content.decode()
        assert "The life span of calm_fulton ends; it is stopped" in body, address
        assert f'hx-post="/containers/{name}/extend/"' in body
    listed = page.get("/containers/").content.decode()
    assert "Stops" in listed
    assert "in 10 minutes" in listed


def test_extending_by_the_notice_and_by_the_page(page, warned):
    name = warned.running.container_id
    assert page.post(f"/containers/{name}/extend/").json() == {"said": "calm_fulton goes on.", "refused": []}
    answer = page.post(f"/containers/{name}/extend/", {"length": "10m"}, headers=HTMX)
    assert json.loads(answer["HX-Trigger"])["toast"]["message"] == "calm_fulton goes on."
    life = LifeSpan.objects.get()
    assert (life.prolonged_s, life.extensions, life.ends_at) == (4200, 2, None)
    assert "The life span of calm_fulton ends" not in page.get(f"/containers/{name}/").content.decode()
    assert page.post(f"/containers/{name}/extend/", {"length": "soon"}).status_code == 400


def test_excepting_it_and_taking_that_back(page, warned):
    name = warned.running.container_id
    assert "Do not stop it when nobody uses it" in page.get(f"/containers/{name}/").content.decode()
    assert "is not stopped" in page.post(f"/containers/{name}/keep/", {"keep": "1"}).json()["said"]
    assert Container.objects.get(container_id=name).options["keep"] is True
    assert "it goes on" in page.get(f"/containers/{name}/").content.decode()
    assert "is stopped when" in page.post(f"/containers/{name}/keep/", {"keep": "0"}).json()["said"]


def test_the_run_form_says_it_in_words(page, world):
    said = {"image": "ubuntu:14.04", "expire": "2h", "idle_stop": "30m"}
    line = page.post("/containers/run/line/", said).content.decode()
    assert "docker run -d --expire 2h --idle-stop 30m ubuntu:14.04" in line
    wrong = page.post("/containers/run/", said | {"expire": "soon"})
    assert wrong.status_code == 422
    assert "Lengths of time are written as" in wrong.content.decode()
