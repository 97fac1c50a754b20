"""Where one is signed in, and signing out everywhere else (WEB-07)."""

from __future__ import annotations

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from dashboard.accounts.signins import device_of
from dashboard.audit.models import Entry

pytestmark = [pytest.mark.django_db, pytest.mark.threat("WEB-07")]
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 Safari/604.1"
SECRET = "a quiet harbour 7"


def signed_in(agent, address="192.0.2.1", name="haeun"):
    client = Client(headers={"User-Agent": agent}, REMOTE_ADDR=address)
    answer = client.post(reverse("account_login"), {"login": name, "password": SECRET})
    assert answer.status_code == 302, answer.content
    return client


@pytest.fixture
def haeun():
    return User.objects.create_user("haeun", password=SECRET)


def is_in(client):
    return client.get(reverse("preferences")).status_code == 200


def test_each_place_is_listed_by_its_browser_and_address_and_ended_by_itself(haeun):
    here, phone = signed_in(FIREFOX), signed_in(PHONE, "192.0.2.9")
    body = here.get(reverse("preferences")).content.decode()
    assert "Firefox, Linux" in body
    assert "Safari, iOS" in body
    assert "192.0.2.9" in body
    row = UserSession.objects.get(ip="192.0.2.9")
    assert here.post(reverse("sign-in-end", args=[row.pk])).status_code == 302
    assert (is_in(here), is_in(phone)) == (True, False)
    assert here.post(reverse("sign-in-end", args=[row.pk])).status_code == 404
    assert "192.0.2.9" not in here.get(reverse("preferences")).content.decode()


def test_everywhere_else_ends_at_once_and_here_stays(haeun):
    here, others = signed_in(FIREFOX), [signed_in(PHONE, f"192.0.2.{number}") for number in (7, 8, 9)]
    here.post(reverse("sign-ins-end"))
    assert is_in(here)
    assert [is_in(other) for other in others] == [False, False, False]
    assert Entry.objects.get(action="end-sign-ins").parameters == {"count": 3}


def test_one_from_before_places_were_noted_ends_too(haeun):
    here, forgotten = signed_in(FIREFOX), signed_in(PHONE, "192.0.2.9")
    UserSession.objects.filter(ip="192.0.2.9").delete()
    here.post(reverse("sign-ins-end"))
    assert (is_in(here), is_in(forgotten)) == (True, False)


def test_nobody_ends_or_sees_anybody_elses(haeun):
    User.objects.create_user("minsu", password=SECRET)
    here, other = signed_in(FIREFOX), signed_in(PHONE, "192.0.2.9", name="minsu")
    row = UserSession.objects.get(user__username="minsu")
    assert "192.0.2.9" not in here.get(reverse("preferences")).content.decode()
    assert here.post(reverse("sign-in-end", args=[row.pk])).status_code == 404
    here.post(reverse("sign-ins-end"))
    assert is_in(other)


def test_a_changed_password_keeps_this_one_in_the_list(haeun):
    here, other = signed_in(FIREFOX), signed_in(PHONE, "192.0.2.9")
    said = {"old_password": SECRET, "new_password1": "another harbour 8", "new_password2": "another harbour 8"}
    assert here.post(reverse("account_change_password"), said).status_code == 302
    assert (is_in(here), is_in(other)) == (True, False)
    body = here.get(reverse("preferences")).content.decode()
    assert "this one" in body


@pytest.mark.parametrize(
    ("agent", "shown"),
    [
        (FIREFOX, "Firefox, Linux"),
        (PHONE, "Safari, iOS"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0", "Edge, Windows"),
        (
            "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 SamsungBrowser/26.0 Chrome/122.0 Safari/537.36",
            "Samsung Internet, Android",
        ),
        ("curl/8.0", "curl/8.0"),
        ("\x1b[31m", "?[31m"),
        ("", "–"),
    ],
)
def test_a_browser_in_words(agent, shown):
    assert device_of(agent) == shown
