"""Removing with an undo, and the page of the trash."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from dashboard.containers.models import Container, LifeRules, Trashed
from dashboard.jobs.models import Job
from dashboard.teams.models import Team, make_main
from tests.dashboard.pages.conftest import make_container

HTMX = {"HX-Request": "true"}


@pytest.fixture
def kept(world, messages, at_once):
    LifeRules.objects.create(team=make_main(Team.objects), trash_s=86_400)
    return world


def notice(answer) -> dict:
    return json.loads(answer["HX-Trigger"])["toast"]


def test_a_removal_says_how_to_take_it_back(page, kept):
    gone = kept.exited
    body = page.get("/containers/").content.decode()
    assert "It goes to the trash with everything it wrote, and can be brought back for 1 day." in body
    told = notice(page.post(f"/containers/{gone.container_id}/remove/", headers=HTMX))
    assert told["message"] == "brave_lovelace is removed."
    assert told["undo"] == {"path": "/containers/trash/undo/", "label": "Undo", "keys": [gone.container_id]}
    assert "brave_lovelace" not in page.get("/containers/").content.decode()
    answer = page.post("/containers/trash/undo/", {"key": gone.container_id}).json()
    assert answer == {"said": "brave_lovelace is back.", "refused": []}
    assert "brave_lovelace" in page.get("/containers/").content.decode()
    again = page.post("/containers/trash/undo/", {"key": gone.container_id}).json()
    assert again["said"] == ""
    assert again["refused"][0]["why"] == "This container is not in the trash any more."


def test_leaving_its_page_it_says_so_on_the_next(page, kept):
    answer = page.post(f"/containers/{kept.exited.container_id}/remove/", {"leave": "1"}, headers=HTMX)
    assert json.loads(answer["HX-Location"])["path"] == "/containers/"
    assert notice(answer)["undo"]["keys"] == [kept.exited.container_id]


def test_several_are_taken_back_at_once(page, kept):
    other = make_container(kept.ubuntu, "keen_oar", "exited")
    chosen = [kept.exited.container_id, other.container_id]
    answer = page.post("/containers/selected/", {"action": "remove", "key": chosen}).json()
    assert sorted(answer["undo"]["keys"]) == sorted(chosen)
    back = page.post(answer["undo"]["path"], {"key": answer["undo"]["keys"]}).json()
    assert back["refused"] == []
    assert Container.objects.filter(container_id__in=chosen).count() == 2


def test_without_a_trash_there_is_no_undo(page, world, messages, at_once):
    assert "there is no undo" in page.get("/containers/").content.decode()
    told = notice(page.post(f"/containers/{world.exited.container_id}/remove/", headers=HTMX))
    assert "undo" not in told
    assert "This team keeps no trash" in page.get("/containers/trash/").content.decode()


def test_the_page_shows_who_and_until_when_and_does_both(page, kept):
    gone = kept.exited
    page.post(f"/containers/{gone.container_id}/remove/", headers=HTMX)
    Trashed.objects.update(size_bytes=4_200_000)
    body = page.get("/containers/trash/").content.decode()
    for words in ("brave_lovelace", "ubuntu:14.04", "haeun", "4.2MB", "in 24 hours", "stay here for 1 day"):
        assert words in body, words
    make_container(kept.ubuntu, "other_one", "exited")
    Container.objects.filter(name="other_one").update(name="brave_lovelace")
    told = notice(page.post(f"/containers/trash/{gone.container_id}/restore/", headers=HTMX))
    assert told["message"] == "The name brave_lovelace is taken by now; it is back as brave_lovelace-2."
    page.post(f"/containers/{gone.container_id}/remove/", headers=HTMX)
    assert (
        notice(page.post(f"/containers/trash/{gone.container_id}/restore/", {"name": "other"}))["message"]
        == "other is back."
    )
    page.post(f"/containers/{gone.container_id}/remove/", headers=HTMX)
    assert (
        notice(page.post(f"/containers/trash/{gone.container_id}/remove/"))["message"] == "other is removed for ever."
    )
    assert Job.objects.filter(kind="end_trashed").count() == 1
    assert (
        'hx-post="/containers/trash/' + gone.container_id
        not in page.get("/containers/trash/?part=rows").content.decode()
    )


def test_all_of_it_is_emptied(page, kept):
    page.post(f"/containers/{kept.exited.container_id}/remove/", headers=HTMX)
    assert notice(page.post("/containers/trash/empty/"))["message"] == "The trash is being emptied."
    assert Trashed.objects.get().is_going


def test_removing_for_ever_is_said_on_the_form(page, kept):
    page.post(f"/containers/{kept.exited.container_id}/remove/", {"now": "1"}, headers=HTMX)
    assert not Trashed.objects.exists()
    assert Job.objects.filter(kind="remove_container").count() == 1


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (timedelta(days=2, hours=1), "in 3 days"),
        (timedelta(minutes=59, seconds=30), "in 60 minutes"),
        (timedelta(seconds=20, milliseconds=900), "in 20 seconds"),
        (timedelta(seconds=-5), "now"),
    ],
)
def test_how_long_it_is_until_then(left, said):
    from dashboard.pages.templatetags.berth import until

    assert f">{said}<" in until(timezone.now() + left)
