"""Logging in to registries: tried first, kept encrypted, never given out again (REG-10)."""

from __future__ import annotations

import json

import pytest
from cryptography.fernet import Fernet
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.urls import reverse

from dashboard.audit.models import Entry
from dashboard.core.errors import DashboardError, NotFound
from dashboard.core.gate import Denied
from dashboard.jobs.models import Job
from dashboard.registries import services, vault
from dashboard.registries.models import Credential
from dashboard.registries.services import Whose
from engine.errors import RegistryDenied
from tests.dashboard.people import make_member, make_team

pytestmark = [pytest.mark.threat("REG-10"), pytest.mark.django_db(transaction=True)]
CANARY = "canary-p4ssword"
BACKEND = "django.contrib.auth.backends.ModelBackend"


@pytest.fixture
def door(data, queue, monkeypatch):
    """What the registry was asked, and whether it says yes."""
    tried, right = [], {"robot": CANARY}

    def check(name, credentials, *, cancelled):
        tried.append((name, credentials.username))
        if right.get(credentials.username) != credentials.password:
            msg = f"The registry {name} does not take this name and password: incorrect username or password."
            raise RegistryDenied(msg)

    monkeypatch.setattr("dashboard.gateway.check_login", check, raising=False)
    monkeypatch.setattr("dashboard.gateway.registry_origin", lambda name: f"https://{name}:443", raising=False)
    return tried, right


@pytest.fixture
def team(transactional_db):
    return make_team("class-1")


def log_in(queue, user, *, password=CANARY, whose=Whose.MINE, team=None, registry="ghcr.io", username="robot") -> Job:
    job = services.log_in(user, registry, username=username, password=password, whose=whose, team=team)
    queue.run()
    job.refresh_from_db()
    return job


def test_they_are_kept_once_the_registry_takes_them(door, team, queue):
    member = make_member("haeun", "operator", team)
    assert log_in(queue, member).state == "succeeded"
    row = Credential.objects.get()
    assert (row.person, row.origin, row.checked_at is not None) == (member, "https://ghcr.io:443", True)
    usable = services.usable(team.pk, member.pk, "ghcr.io")
    assert (usable.credentials.username, usable.credentials.password) == ("robot", CANARY)
    assert services.usable(team.pk, make_member("minsu", "operator", team).pk, "ghcr.io") is None


def test_wrong_ones_leave_the_earlier_in_place(door, team, queue):
    member = make_member("haeun", "operator", team)
    log_in(queue, member)
    refused = log_in(queue, member, password="wrong")
    assert refused.state == "failed"
    assert "incorrect username or password" in refused.error
    assert services.usable(team.pk, member.pk, "ghcr.io").credentials.password == CANARY
    assert Credential.objects.count() == 1


def test_new_ones_replace_the_earlier(door, team, queue):
    member = make_member("haeun", "operator", team)
    log_in(queue, member)
    door[1]["robot2"] = "other"
    log_in(queue, member, username="robot2", password="other")
    assert [row.username for row in Credential.objects.all()] == ["robot2"]


def test_a_secret_stands_in_no_job_no_audit_row_no_page_and_no_plain_column(door, team, queue, client, caplog):
    admin = make_member("haeun", "admin", team)
    for whose in (Whose.MINE, Whose.TEAM):
        log_in(queue, admin, whose=whose, team=team)
        log_in(queue, admin, whose=whose, team=team, password=CANARY + "-wrong")
    client.force_login(admin, backend=BACKEND)
    page = client.get(reverse("team-registries")).content.decode()
    assert "ghcr.io" in page
    kept = [page, caplog.text, json.dumps([job.params | job.result for job in Job.objects.all()])]
    kept += [f"{job.error} {job.progress}" for job in Job.objects.all()]
    kept += [f"{row.target} {row.parameters} {row.reason}" for row in Entry.objects.all()]
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM registries_credential")
        kept.append(str(cursor.fetchall()))
    assert not [text for text in kept if CANARY in text]
    assert repr(services.usable(team.pk, admin.pk, "ghcr.io")).count(CANARY) == 0
    assert Entry.objects.filter(action="registry-login", target="ghcr.io").count() == 4


def test_whose_they_may_be(door, team, queue):
    operator, maintainer = make_member("jiho", "operator", team), make_member("haeun", "maintainer", team)
    site = User.objects.create_superuser("site", password=None)
    with pytest.raises(Denied):
        log_in(queue, operator, whose=Whose.TEAM, team=team)
    with pytest.raises(Denied):
        log_in(queue, maintainer, whose=Whose.SITE)
    with pytest.raises(Denied):
        log_in(queue, make_member("seoyeon", "viewer", team))
    assert log_in(queue, maintainer, whose=Whose.TEAM, team=team).state == "succeeded"
    assert log_in(queue, site, whose=Whose.SITE).state == "succeeded"
    assert services.usable(team.pk, operator.pk, "ghcr.io").is_sites is False
    assert services.usable(None, None, "ghcr.io").is_sites is True


def test_a_log_out_reaches_the_next_pull(door, team, queue):
    member = make_member("haeun", "operator", team)
    log_in(queue, member)
    services.log_out(member, "ghcr.io", whose=Whose.MINE, team=team)
    assert services.usable(team.pk, member.pk, "ghcr.io") is None
    with pytest.raises(NotFound):
        services.log_out(member, "ghcr.io", whose=Whose.MINE, team=team)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", "docker.io"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("docker.io", "docker.io"),
        ("https://ghcr.io/", "ghcr.io"),
        ("127.0.0.1:5000", "127.0.0.1:5000"),
    ],
)
def test_registries_are_called_as_docker_calls_them(text, name):
    assert services.registry_name(text) == name


@pytest.mark.parametrize("text", ["nodots", "ghcr.io/team", "a b", "x" * 300, "user@ghcr.io", "ghcr.io:99999999", "-"])
def test_what_is_no_registry_is_refused_in_a_sentence(text):
    with pytest.raises(DashboardError, match="is no registry"):
        services.registry_name(text)


@pytest.mark.parametrize(("username", "password"), [("", "x"), ("a:b", "x"), ("a\nb", "x"), ("a", ""), ("a", "x\ny")])
def test_names_and_passwords_that_cannot_be(username, password, door, team, queue):
    member = make_member("haeun", "operator", team)
    with pytest.raises(DashboardError):
        log_in(queue, member, username=username, password=password)
    assert not Credential.objects.exists()


def test_another_key_reads_nothing_and_says_what_to_do(door, team, queue, data):
    member = make_member("haeun", "operator", team)
    log_in(queue, member)
    (data / "credentials-key").write_text(Fernet.generate_key().decode())
    with pytest.raises(vault.Unreadable, match="Log in again"):
        services.usable(team.pk, member.pk, "ghcr.io")


def test_a_damaged_key_is_said_in_a_sentence(door, team, queue, data):
    (data / "credentials-key").write_text("no key")
    with pytest.raises(DashboardError, match="is damaged"):
        log_in(queue, make_member("haeun", "operator", team))
    assert not Credential.objects.exists()


def test_a_key_is_rotated_and_the_old_one_reads_nothing_any_more(door, team, queue, data, capsys):
    key = data / "credentials-key"
    key.write_text(Fernet.generate_key().decode() + "\n")
    old = key.read_text()
    member = make_member("haeun", "operator", team)
    log_in(queue, member)
    before = Credential.objects.get().secret
    call_command("rotate_credentials_key")
    assert services.usable(team.pk, member.pk, "ghcr.io").credentials.password == CANARY
    assert len(key.read_text().split()) == 1
    assert key.stat().st_mode & 0o777 == 0o640
    assert Credential.objects.get().secret != before
    key.write_text(old)
    with pytest.raises(vault.Unreadable):
        services.usable(team.pk, member.pk, "ghcr.io")


def test_a_registry_in_the_clear_is_shown_in_red(door, team, client, settings):
    settings.BERTH_PLAIN_HTTP = frozenset({"registry.lan:5000"})
    settings.BERTH_MIRRORS = {"docker.io": "http://user:mirror-secret@10.0.0.9:5000"}
    client.force_login(make_member("haeun", "viewer", team), backend=BACKEND)
    page = client.get(reverse("team-registries")).content.decode()
    assert page.count("Plain HTTP") == 2
    assert "mirror-secret" not in page
    assert 'name="password"' not in page, "a viewer keeps none"


def test_the_page_logs_in_and_out(door, team, queue, client, monkeypatch):
    member = make_member("haeun", "operator", team)
    client.force_login(member, backend=BACKEND)
    monkeypatch.setattr(
        "dashboard.jobs.services.wait", lambda job_id, timeout_s: queue.run() or Job.objects.get(pk=job_id)
    )
    form = {"server": "ghcr.io", "username": "robot", "password": "wrong", "whose": "me"}
    refused = client.post(reverse("registry-login"), form, headers={"Accept": "application/json"})
    assert (refused.status_code, "incorrect username" in refused.json()["error"]) == (409, True)
    assert client.post(reverse("registry-login"), form | {"password": CANARY}).status_code == 302
    assert "robot" in client.get(reverse("team-registries")).content.decode()
    assert client.post(reverse("registry-logout"), {"server": "ghcr.io", "whose": "me"}).status_code == 302
    assert not Credential.objects.exists()
