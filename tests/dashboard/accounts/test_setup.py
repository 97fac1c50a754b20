"""The first administrator: by a one-time link, by nobody else, and once (WEB-09)."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.management import call_command
from django.db import connections
from django.utils import timezone

from dashboard.accounts import tokens
from dashboard.accounts.models import Token
from dashboard.core.errors import NotFound

pytestmark = [pytest.mark.django_db, pytest.mark.threat("WEB-09")]
GOOD = {"username": "haeun", "password1": "a quiet harbour 7", "password2": "a quiet harbour 7"}


@pytest.fixture(autouse=True)
def empty_cache():
    cache.clear()


@pytest.fixture
def link():
    return f"/setup/{tokens.new_setup_secret()}/"


def test_the_link_makes_an_administrator_who_is_signed_in(client, link):
    assert client.get(link).status_code == 200
    answer = client.post(link, GOOD)
    assert (answer.status_code, answer["Location"]) == (302, "/")
    person = User.objects.get(username="haeun")
    assert person.is_superuser
    assert person.password.startswith("argon2")
    assert client.get("/").status_code == 200


def test_the_link_works_once(client, link):
    client.post(link, GOOD)
    client.logout()
    assert client.get(link).status_code == 404
    assert client.post(link, GOOD | {"username": "eve"}).status_code == 404
    assert not User.objects.filter(username="eve").exists()


@pytest.mark.parametrize(
    ("language", "sentence"), [("en", "Berth has its administrator already"), ("ko", "이미 관리자가 있어")]
)
def test_a_used_link_leads_to_the_sign_in_page_in_the_browser_s_language(client, link, language, sentence):
    client.post(link, GOOD)
    client.logout()
    for address in (link, "/setup/another-one/"):
        answer = client.get(address, headers={"accept-language": language})
        assert answer.status_code == 404
        assert sentence in answer.content.decode()
        assert 'href="/accounts/login/"' in answer.content.decode()
        assert "Start Berth again" not in answer.content.decode()


def test_a_wrong_link_says_where_the_right_one_is_while_there_is_no_administrator(client, link):
    body = client.get("/setup/another-one/").content.decode()
    assert "This link is not the newest one" in body
    assert "script/server prints the link" in body
    assert "accounts/login" not in body


def test_the_page_tells_the_rule_for_passwords_beforehand(client, link):
    assert "At least 10 characters" in client.get(link).content.decode()


def test_a_link_ends_by_itself(client, link):
    Token.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert client.post(link, GOOD).status_code == 404
    assert not User.objects.exists()


@pytest.mark.parametrize("secret", ["x", "a" * 43, "../admin", "%00"])
def test_a_guessed_link_does_nothing(client, link, secret):
    assert client.get(f"/setup/{secret}/").status_code == 404


@pytest.mark.parametrize(
    "change",
    [{"username": ""}, {"username": "a b/c"}, {"password2": "another one 77"}, {"password1": "short", "password2": "short"},
     {"password1": "password123", "password2": "password123"}, {"password1": "haeun", "password2": "haeun"}],
)  # fmt: skip
def test_bad_words_are_refused_with_a_reason_and_the_link_stays_good(client, link, change):
    answer = client.post(link, GOOD | change)
    assert answer.status_code == 422
    assert not User.objects.exists()
    assert client.post(link, GOOD).status_code == 302


def test_nothing_else_of_a_person_can_be_set(client, link):
    client.post(link, GOOD | {"first_name": "x", "email": "x@example.org", "id": "7"})
    person = User.objects.get(username="haeun")
    assert (person.first_name, person.email, person.pk == 7) == ("", "", False)


def test_the_database_knows_no_secret(link):
    secret = link.split("/")[2]
    assert secret not in str(list(Token.objects.values()))
    assert tokens.new_setup_secret() != secret
    assert Token.objects.filter(purpose="setup").count() == 1  # the older link is worth nothing now


def test_there_is_no_link_once_there_is_an_administrator(client, link):
    client.post(link, GOOD)
    assert tokens.new_setup_secret() is None
    assert not Token.objects.filter(purpose="setup", used_at=None).exists()


def test_the_host_root_is_no_administrator_to_sign_in(link):
    tokens.new_host_secret()
    assert not tokens.has_administrator()
    assert tokens.new_setup_secret() is not None
    root = User.objects.get(username=tokens.HOST_USER)
    assert root.is_superuser
    assert not root.has_usable_password()


def test_a_new_host_secret_ends_the_last_one():
    first, second = tokens.new_host_secret(), tokens.new_host_secret()
    assert first != second
    assert Token.objects.filter(purpose="host").count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_at_once_make_one_administrator():
    secret = tokens.new_setup_secret()
    outcomes: list[str] = []
    start = threading.Barrier(2)

    def race(name: str) -> None:
        start.wait()
        try:
            tokens.make_first_administrator(secret, username=name, password="a quiet harbour 7")
            outcomes.append("made")
        except NotFound:
            outcomes.append("refused")
        finally:
            connections.close_all()

    threads = [threading.Thread(target=race, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["made", "refused"]
    assert User.objects.count() == 1


def test_prepare_prints_what_script_server_needs(capsys):
    import json

    call_command("prepare")
    found = json.loads(capsys.readouterr().out)
    assert found["setup_path"].startswith("/setup/")
    assert len(found["admin_token"]) >= 43
    User.objects.create_superuser("admin", password="a quiet harbour 7")
    call_command("prepare")
    assert json.loads(capsys.readouterr().out)["setup_path"] == ""
