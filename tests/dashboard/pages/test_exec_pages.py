"""Open shell, the commands that run in a container, and ending them."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from django.utils import timezone

from dashboard.containers.models import Container, ContainerState, Exec
from dashboard.jobs.models import Job, JobState
from dashboard.terminals import sessions
from dashboard.terminals.models import StreamSession
from tests.dashboard.pages.conftest import make_container

HTMX = {"HX-Request": "true"}


@pytest.fixture
def shell(world):
    return Exec.objects.create(
        exec_id="e" * 64,
        container=world.running,
        requester=world.person,
        state="running",
        tty=True,
        open_stdin=True,
        command_shown="/bin/<bash>",
        options={"user": "app"},
    )


def test_open_shell_starts_one_and_opens_it_in_the_dock(page, world, messages, at_once):
    answer = page.post(f"/containers/{world.running.container_id}/shell/", {"user": " app "}, headers=HTMX)
    row = Exec.objects.get()
    assert answer.status_code == 204
    assert json.loads(answer["HX-Trigger"]) == {"open-terminal": {"terminal": f"exec:{row.exec_id}"}}
    assert (row.tty, row.open_stdin, row.options["command"], row.options["user"]) == (True, True, [], "app")


def test_without_scripts_it_opens_on_a_page_of_its_own(page, world, messages, at_once):
    answer = page.post(f"/containers/{world.running.container_id}/shell/")
    assert answer["Location"] == f"/terminals/exec/{Exec.objects.get().exec_id}/"


def test_an_image_without_a_shell_is_told_so_in_the_readers_language(page, world, messages, at_once):
    at_once |= {"state": JobState.FAILED, "error_code": "shell-not-found", "error": "This image has no shell."}
    address = f"/containers/{world.running.container_id}/shell/"
    answer = page.post(address, headers={"Accept": "application/json"})
    assert answer.status_code == 409
    assert answer.json()["error"].startswith("This image has no shell (no bash, ash or sh)")
    answer = page.post(address, headers={"Accept": "application/json", "Accept-Language": "ko"})
    assert "셸" in answer.json()["error"]


def test_another_reason_is_said_as_it_is(page, world, messages, at_once):
    at_once |= {"state": JobState.FAILED, "error_code": "user-unknown", "error": "unable to find user x"}
    address = f"/containers/{world.running.container_id}/shell/"
    answer = page.post(address, {"user": "x"}, headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (409, "unable to find user x")


def test_a_container_that_does_not_run_has_none(page, world, messages):
    answer = page.post(f"/containers/{world.exited.container_id}/shell/", headers={"Accept": "application/json"})
    assert answer.status_code == 409
    assert "is not running" in answer.json()["error"]
    assert (
        "Start the container to open a shell" in page.get(f"/containers/{world.exited.container_id}/").content.decode()
    )


def test_a_paused_container_offers_none(page, world):
    Container.objects.filter(pk=world.running.pk).update(state=ContainerState.PAUSED)
    body = page.get(f"/containers/{world.running.container_id}/").content.decode()
    assert "Unpause the container to open a shell in it." in body
    assert f"/containers/{world.running.container_id}/shell/" not in body


def test_attach_and_open_shell_stand_beside_each_other(page, world):
    body = page.get(f"/containers/{world.running.container_id}/").content.decode()
    assert ">Attach</a>" in body
    assert f'data-open-terminal="{world.running.container_id}"' in body
    assert ">Open shell</button>" in body


def test_a_container_without_a_terminal_offers_its_log_and_a_shell(page, world):
    made = make_container(world.ubuntu, "quiet_keel", "running")
    body = page.get(f"/containers/{made.container_id}/").content.decode()
    assert ">Attach</a>" not in body
    assert f'href="/containers/{made.container_id}/?tab=logs" title="Its program has no terminal' in body
    assert ">Open shell</button>" in body


def test_what_runs_is_listed_and_can_be_ended(page, world, shell, messages, at_once):
    for address in (
        f"/containers/{world.running.container_id}/",
        f"/containers/{world.running.container_id}/?part=execs",
    ):
        body = page.get(address).content.decode()
        assert "/bin/&lt;bash&gt;" in body
        assert "as app" in body
        assert f'data-open-terminal="exec:{shell.exec_id}"' in body
        assert f'hx-post="/execs/{shell.exec_id}/end/"' in body
    assert page.post(f"/execs/{shell.exec_id}/end/", headers=HTMX).status_code == 204
    assert Job.objects.get(kind="end_exec").params["exec_id"] == shell.exec_id
    answer = page.post(f"/execs/{shell.exec_id}/end/", headers={"Accept": "text/html"})
    assert answer["Location"] == f"/containers/{world.running.container_id}/"


def test_one_that_has_ended_is_not_listed(page, world, shell):
    Exec.objects.update(state="exited")
    assert "bash&gt;" not in page.get(f"/containers/{world.running.container_id}/?part=execs").content.decode()
    assert shell.exec_id not in page.get("/terminals/").content.decode()


def test_shells_stand_among_the_terminals_and_have_a_page(page, world, shell):
    body = page.get("/terminals/").content.decode()
    assert f'id="terminal-{shell.exec_id[:12]}"' in body
    assert 'data-topic="execs streams"' in body
    assert "live:execs from:body" in body
    body = page.get(f"/terminals/exec/{shell.exec_id}/").content.decode()
    assert f'data-terminal="exec:{shell.exec_id}"' in body
    assert "/bin/&lt;bash&gt;" in body
    Container.objects.all().delete()
    assert page.get(f"/terminals/exec/{shell.exec_id}/").status_code == 404


def test_the_list_names_who_watches_now_and_nobody_whose_page_died(page, world, shell, django_user_model):
    mate, gone = (django_user_model.objects.create_user(name) for name in ("mate", "gone"))
    for user, row in ((mate, None), (mate, None), (world.person, shell), (gone, shell)):
        sessions.open_session(world.running, user, kind="browser", mode="attach", row=row)
    sessions.open_session(world.running, gone, kind="browser", mode="logs")
    StreamSession.objects.filter(user=gone).update(heartbeat_at=timezone.now() - timedelta(minutes=1))
    body = page.get("/terminals/?part=rows").content.decode()
    assert re.findall(r'data-label="Watching now">(.*?)</td>', body) == ["mate", "haeun"]


def test_the_list_is_told_of_every_stream_that_opens_or_ends(world, monkeypatch):
    told = []
    monkeypatch.setattr(sessions, "publish", lambda topic, _payload: told.append(topic))
    made = sessions.open_session(world.running, world.person, kind="browser", mode="attach")
    for _ in range(2):
        sessions.end(made.pk)
    assert told == ["streams", "streams"]
