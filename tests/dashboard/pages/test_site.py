"""Site administration of teams and people: seen and done by its administrators only."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from dashboard.quotas.models import Quota
from dashboard.teams.models import Team
from tests.dashboard.people import make_member, make_team

BACKEND = "django.contrib.auth.backends.ModelBackend"
pytestmark = pytest.mark.django_db


@pytest.fixture
def site(client) -> Client:
    client.force_login(User.objects.create_superuser("site", password="a quiet harbour 7"), backend=BACKEND)
    return client


def test_all_teams_and_people_with_their_roles_and_quotas(site):
    team = make_team("class-1")
    make_member("haeun", "admin", team)
    Quota.objects.create(team=team, memory_bytes=8 * 2**30)
    shown = site.get(reverse("site")).content.decode()
    assert "class-1" in shown
    assert re.search(r"haeun.*?class-1 <span[^>]*>Team admin", shown, re.DOTALL)
    assert "0B / 8g" in shown or "/ 8g" in shown
    found = site.get(reverse("site"), {"q": "hae"}).content.decode()
    assert "haeun" in found
    assert "Nobody is called that." in site.get(reverse("site"), {"q": "nobody-at-all"}).content.decode()


def test_a_team_comes_and_goes(site):
    site.post(reverse("site-team-create"), {"slug": "class-2", "name": "Python, Monday"})
    assert Team.objects.get(slug="class-2").name == "Python, Monday"
    site.post(reverse("site-team-remove", args=["class-2"]))
    assert not Team.objects.filter(slug="class-2").exists()
    assert site.post(reverse("site-team-remove", args=["main"])).status_code == 409


def test_an_account_is_made_with_a_link_that_is_shown_once(site):
    shown = site.post(reverse("site-person-create"), {"name": "minsu"}).content.decode()
    link = re.search(r'id="new-link"[^>]*>([^<]+)<', shown)[1]
    assert Client().get(link.partition("8000")[2] or link).status_code == 200
    assert "new-link" not in site.get(reverse("site")).content.decode()


def test_an_account_is_closed_and_opened_and_the_last_administrator_stays(site):
    make_member("haeun", "viewer", make_team("class-1"))
    address = reverse("site-person", args=["haeun"])
    site.post(address, {"how": "close"})
    assert not User.objects.get(username="haeun").is_active
    site.post(address, {"how": "open"})
    assert User.objects.get(username="haeun").is_active
    assert site.post(reverse("site-person", args=["site"]), {"how": "close"}).status_code == 409
    assert site.post(address, {"how": "promote"}).status_code == 400


def test_a_teams_admin_sees_none_of_it(client):
    client.force_login(make_member("haeun", "admin", make_team("class-1")), backend=BACKEND)
    assert client.get(reverse("site")).status_code == 403
    for name, args in (("site-team-create", ()), ("site-person-create", ()), ("site-person", ("haeun",))):
        assert client.post(reverse(name, args=args), {"slug": "x", "name": "x", "how": "link"}).status_code == 403
