"""Signing in by an OpenID Connect provider, a real one in a process of its own; and what its groups give (WEB-02, WEB-06)."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from dashboard.core.errors import DashboardError
from dashboard.core.gate import Denied
from dashboard.teams import mapping
from dashboard.teams.models import Membership
from tests.dashboard.people import make_member, make_team
from tests.support.oidc import know as person
from tests.support.oidc import running_provider

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def provider():
    with running_provider() as url:
        yield url


@pytest.fixture
def sso(provider, settings):
    app = {"provider_id": "sso", "name": "School", "client_id": "berth", "secret": "shh"}
    settings.BERTH_OIDC_NAME = "School"
    settings.SOCIALACCOUNT_PROVIDERS = {
        "openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": [app | {"settings": {"server_url": provider}}]}
    }
    return provider


def come(provider, sub, client=None, *, next_page="") -> tuple[Client, object]:
    """All the way to the provider and back; the last answer."""
    client = client or Client()
    away = client.post(reverse("sso"), {"next": next_page})
    assert away.status_code == 302
    address = away["Location"]
    assert address.startswith(provider)
    asked = parse_qs(urlsplit(address).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["state"]
    with httpx.Client(trust_env=False, timeout=10) as browser:
        back = browser.post(address, data={"sub": sub})
    assert back.status_code == 302, back.text
    target = urlsplit(back.headers["Location"])
    return client, client.get(f"{target.path}?{target.query}")


def test_without_a_provider_there_is_no_way_and_no_button(client):
    assert client.post(reverse("sso")).status_code == 404
    assert client.get(reverse("openid_connect_callback")).status_code == 404
    assert "accounts/sso" not in client.get(reverse("account_login")).content.decode()


def test_somebody_signs_in_and_is_in_no_team_until_a_group_says_so(sso):
    assert "School" in Client().get(reverse("account_login")).content.decode()
    client, answer = come(sso, person(sso, "u1", preferred_username="haeun", groups=["students"]))
    assert (answer.status_code, answer["Location"]) == (302, "/")
    found = User.objects.get()
    assert (found.username, found.has_usable_password(), found.is_superuser, found.is_staff) == (
        "haeun",
        False,
        False,
        False,
    )
    assert not Membership.objects.exists()
    assert client.get("/", follow=True).status_code == 200
    come(sso, "u1")
    assert User.objects.count() == SocialAccount.objects.count() == 1


def test_groups_give_roles_and_take_them_away_and_leave_what_was_given_by_hand(sso):
    site = User.objects.create_superuser("site", password=None)
    monday, friday, hand = make_team("monday"), make_team("friday"), make_team("hand")
    for team, group, role in (
        (monday, "students", "viewer"),
        (monday, "tutors", "maintainer"),
        (friday, "tutors", "operator"),
    ):
        mapping.add(site, team, group, role)
    come(sso, person(sso, "u2", preferred_username="minsu", groups=["students", "tutors", "chess"]))
    minsu = User.objects.get(username="minsu")
    hand.memberships.create(person=minsu, builtin="operator")

    def roles():
        return {one.team.slug: (one.role, one.by_directory) for one in minsu.memberships.select_related("team")}

    assert roles() == {"monday": ("maintainer", True), "friday": ("operator", True), "hand": ("operator", False)}
    come(sso, person(sso, "u2", preferred_username="minsu", groups=["students"]))
    assert roles() == {"monday": ("viewer", True), "hand": ("operator", False)}
    monday.memberships.filter(person=minsu).update(builtin="admin", by_directory=False)
    come(sso, person(sso, "u2", preferred_username="minsu", groups=[]))
    assert roles() == {"monday": ("admin", False), "hand": ("operator", False)}
    assert not User.objects.get(username="minsu").is_superuser


def test_a_claim_that_is_left_out_takes_away_what_groups_gave(sso):
    mapping.add(User.objects.create_superuser("site", password=None), make_team("monday"), "students", "viewer")
    come(sso, person(sso, "u3", preferred_username="jiho", groups=["students"]))
    assert Membership.objects.count() == 1
    come(sso, person(sso, "u3", preferred_username="jiho"))
    assert not Membership.objects.exists()


def test_only_a_site_administrator_says_what_groups_give():
    team = make_team("monday")
    admin = make_member("teacher", "admin", team)
    with pytest.raises(Denied):
        mapping.add(admin, team, "students", "viewer")
    site = User.objects.create_superuser("site", password=None)
    with pytest.raises(DashboardError):
        mapping.add(site, team, "students", "no-such-role")
    mapping.add(site, team, "students", "viewer")
    mapping.add(site, team, "students", "operator")
    assert [row.role for row in mapping.groups_of(admin, team)] == ["operator"]
    with pytest.raises(Denied):
        mapping.remove(admin, team, "students")


@pytest.mark.threat("WEB-06")
def test_a_name_or_an_address_of_somebody_elses_opens_no_account(sso):
    victim = User.objects.create_user("teacher", email="teacher@school.example", password="a quiet harbour 7")
    thief = person(sso, "u4", preferred_username="teacher", email="teacher@school.example", email_verified=True)
    come(sso, thief)
    assert SocialAccount.objects.get().user != victim
    assert SocialAccount.objects.get().user.username == "teacher-2"
    hostile = person(sso, "u5", preferred_username="../<b> \n x")
    come(sso, hostile)
    assert re.fullmatch(r"[\w.@+-]+", SocialAccount.objects.get(uid="u5").user.username)


def test_a_closed_account_stays_closed(sso):
    come(sso, person(sso, "u6", preferred_username="seoyeon"))
    User.objects.filter(username="seoyeon").update(is_active=False)
    client, answer = come(sso, "u6")
    assert answer.status_code == 403
    assert "closed" in answer.content.decode()
    assert "_auth_user_id" not in client.session


def test_an_answer_with_a_wrong_state_or_code_signs_nobody_in(sso):
    client = Client()
    client.post(reverse("sso"))
    for query in ("?code=x&state=forged", "?code=x", "?state=x", "?error=access_denied&state=y", ""):
        answer = client.get(reverse("openid_connect_callback") + query)
        assert (answer.status_code, answer["Location"]) == (302, reverse("account_login")), query
    away = client.post(reverse("sso"))["Location"]
    state = parse_qs(urlsplit(away).query)["state"][0]
    answer = client.get(reverse("openid_connect_callback"), {"code": "guessed", "state": state})
    assert answer["Location"] == reverse("account_login")
    assert "did not work" in client.get(reverse("account_login")).content.decode()
    assert not User.objects.exists()


def test_a_state_of_one_browser_is_worth_nothing_in_another(sso):
    victim, thief = Client(), Client()
    address = thief.post(reverse("sso"))["Location"]
    with httpx.Client(trust_env=False, timeout=10) as browser:
        back = urlsplit(browser.post(address, data={"sub": person(sso, "u7")}).headers["Location"])
    answer = victim.get(f"{back.path}?{back.query}")
    assert answer["Location"] == reverse("account_login")
    assert "_auth_user_id" not in victim.session


def test_a_page_elsewhere_is_never_where_it_leads(sso):
    _client, answer = come(sso, person(sso, "u8"), next_page="//evil.example/")
    assert answer["Location"] == "/"
    _client, answer = come(sso, "u8", next_page="/containers/")
    assert answer["Location"] == "/containers/"


def test_a_provider_that_is_down_is_said_in_a_sentence(sso, settings):
    settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"][0]["settings"]["server_url"] = "http://127.0.0.1:9"
    client = Client()
    assert client.post(reverse("sso"))["Location"] == reverse("account_login")
    assert "Signing in by School did not work" in client.get(reverse("account_login")).content.decode()


def test_who_has_no_password_here_sets_a_second_factor_up_after_a_fresh_sign_in(sso, settings):
    client, _answer = come(sso, person(sso, "u9", preferred_username="yuna"))
    page = client.post(reverse("factor-codes"), {"password": ""})
    assert "The password is not right" not in page.content.decode()
    User.objects.filter(username="yuna").update(last_login=timezone.now() - timedelta(hours=1))
    page = client.post(reverse("factor-codes"), {"password": ""})
    assert "needs a fresh sign-in" in page.content.decode()
