"""The audit log: one row exactly for each change, none for what was undone, no secrets, nothing of other teams."""

from __future__ import annotations

import csv
import io

import pytest
from django.core.cache import cache
from django.db import DatabaseError, transaction
from django.test import Client
from django.urls import reverse

from dashboard.audit import services
from dashboard.audit.models import Entry
from dashboard.containers.models import Container
from dashboard.core.gate import Denied, Permission, tell_refused
from dashboard.jobs.services import submit
from dashboard.teams import services as teams
from dashboard.terminals import sessions
from tests.dashboard.pages.conftest import make_image
from tests.dashboard.people import make_member, make_team

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    cache.clear()
    monkeypatch.setattr("dashboard.jobs.services.enqueue", lambda job: True)


@pytest.fixture
def ours():
    return make_team("ours")


@pytest.fixture
def boss(ours):
    return make_member("boss", "admin", ours)


def rows(**chosen):
    return list(Entry.objects.filter(**chosen).order_by("pk"))


def test_a_change_and_its_row_are_one_transaction(ours, boss):
    person = make_member("minji", "viewer", ours)
    teams.set_role(boss, ours, person, "operator")
    [row] = rows(action="change-role")
    assert (row.actor_name, row.target, row.team_id) == (boss.username, person.username, ours.pk)
    assert row.parameters == {"role": "operator", "before": "viewer"}

    with transaction.atomic():
        teams.set_role(boss, ours, person, "viewer")
        transaction.set_rollback(True)
    assert len(rows(action="change-role")) == 1


def test_what_changes_nothing_has_no_row(ours, boss):
    person = make_member("minji", "viewer", ours)
    teams.set_role(boss, ours, person, "viewer")
    assert rows(action="change-role") == []


def test_a_row_is_never_changed(ours, boss):
    services.record("sign-in", boss)
    [row] = rows(action="sign-in")
    row.target = "another"
    with pytest.raises(TypeError):
        row.save()
    with pytest.raises(TypeError):
        row.delete()
    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
        Entry.objects.filter(pk=row.pk).update(target="another")
    assert rows(action="sign-in")[0].target == ""


def test_a_job_that_somebody_asked_for_has_a_row_and_berths_own_has_none(ours, boss):
    submit("pull_image", {"reference": "ubuntu:14.04"}, requester=boss, team_id=ours.pk)
    submit("pull_image", {"reference": "debian:12"}, requester=None)
    [row] = rows(action="pull-image")
    assert (row.target, row.team_id, row.actor_id) == ("ubuntu:14.04", ours.pk, boss.pk)


def test_secrets_are_left_out_and_sizes_are_bounded():
    told = services.without_secrets(
        {
            "env": ["PASSWORD=hunter2", "EMPTY"],
            "environment": {"A": "hunter2"},
            "registry_password": "hunter2",
            "nested": {"Token": "hunter2", "port": 80, "deep": {"a": {"b": {"c": "x"}}}},
            "long": "x" * 5000,
            "many": list(range(5000)),
            "escape": "a\x1b[2Jb",
        }
    )
    assert "hunter2" not in str(told)
    assert told["env"] == ["PASSWORD=(hidden)", "EMPTY=(hidden)"]
    assert told["nested"]["port"] == 80
    assert len(str(told)) < 2000
    assert told["escape"] == "a?[2Jb"


def test_sign_ins_good_and_bad(ours):
    person = make_member("minji", "viewer", ours)
    person.set_password("a-long-enough-one")
    person.save()
    client = Client()
    client.post(reverse("account_login"), {"login": person.username, "password": "wrong"})
    client.post(reverse("account_login"), {"login": "hunter2-in-the-wrong-field", "password": "wrong"})
    assert [row.target for row in rows(action="sign-in", outcome="refused")] == [person.username, "(no such account)"]
    client.post(reverse("account_login"), {"login": person.username, "password": "a-long-enough-one"})
    [row] = rows(action="sign-in", outcome="done")
    assert (row.actor_name, row.door, row.address) == (person.username, "page", "127.0.0.1")


def test_a_refusal_has_one_row_however_often_it_is_repeated(ours):
    person = make_member("minji", "viewer", ours)
    client = Client()
    client.force_login(person)
    for _ in range(3):
        assert client.get("/system/", headers={"accept": "application/json"}).status_code == 403
    [row] = rows(outcome="refused")
    assert (row.action, row.actor_name, row.reason) == ("site.admin", person.username, "You may not do this.")


def test_who_is_not_signed_in_leaves_no_name():
    tell_refused(None, Denied(Permission.SITE_ADMIN, is_anonymous=True))
    assert rows(outcome="refused")[0].actor_name == ""


def test_one_sees_the_rows_of_ones_team_only(ours, boss):
    theirs = make_team("theirs")
    services.record("change-role", None, target="foreign-person", team_id=theirs.pk)
    services.record("create-account", None, target="of-the-site")
    services.record("change-role", boss, target="own-person", team_id=ours.pk)
    client = Client()
    client.force_login(boss)
    shown = client.get("/audit/").content.decode()
    assert "own-person" in shown
    assert "foreign-person" not in shown
    assert "of-the-site" not in shown
    exported = b"".join(client.get("/audit/?format=csv").streaming_content).decode()
    assert "own-person" in exported
    assert "foreign-person" not in exported


@pytest.mark.parametrize("role", ["viewer", "operator", "maintainer"])
def test_only_a_team_admin_sees_it(ours, role):
    client = Client()
    client.force_login(make_member("minji", role, ours))
    assert client.get("/audit/", headers={"accept": "application/json"}).status_code == 403


def test_filters_choose_and_refuse_in_a_sentence(ours, boss):
    services.record("add-member", boss, target="minsu", team_id=ours.pk)
    services.record("remove-team", boss, target="zzgone", team_id=ours.pk, reason="You may not do this.")
    client = Client()
    client.force_login(boss)
    assert "minsu" not in client.get("/audit/?outcome=refused").content.decode()
    assert "zzgone" not in client.get("/audit/?action=minsu").content.decode()
    assert "minsu" not in client.get("/audit/?until=2020-01-01").content.decode()
    for bad in ("since=yesterday", "outcome=maybe"):
        assert client.get(f"/audit/?{bad}", headers={"accept": "application/json"}).status_code == 400
    assert client.get("/audit/?before=99999999999999999999999").status_code == 200


def test_a_spreadsheet_gets_no_formula(ours, boss):
    services.record("add-member", boss, target='=HYPERLINK("http://x")', team_id=ours.pk)
    client = Client()
    client.force_login(boss)
    text = b"".join(client.get("/audit/?format=csv").streaming_content).decode("utf-8-sig")
    table = list(csv.DictReader(io.StringIO(text)))
    assert table[0]["target"] == '\'=HYPERLINK("http://x")'
    assert table[0]["team"] == "ours"


def test_an_id_is_shown_short_and_found_by_all_of_it(ours, boss):
    services.record("remove-container", boss, target="ab" * 32, team_id=ours.pk)
    client = Client()
    client.force_login(boss)
    shown = client.get("/audit/", {"action": "ab" * 32}).content.decode()
    assert ">abababababab</span>" in shown
    assert f'title="{"ab" * 32}"' in shown


def test_a_terminal_is_written_down_when_it_opens_and_when_it_closes(ours, boss):
    image = make_image("ubuntu", "14.04", [1000], seed="13b6")
    container = Container.objects.create(
        container_id="1a" * 32, team=ours, name="web", image=image, image_reference="ubuntu:14.04", state="running",
        options={}, command_shown="sh",
    )  # fmt: skip
    watched = sessions.open_session(container, boss, kind="browser", mode="logs")
    typed = sessions.open_session(container, boss, kind="browser", mode="attach")
    for session in (watched, typed, typed):  # a connection may say twice that it is over
        sessions.end(session.pk)
    assert [(row.action, row.target, row.actor_name) for row in rows()] == [
        ("open-terminal", "web", "boss"),
        ("close-terminal", "web", "boss"),
    ]
